package matrix

// Identifiers are types, never bare strings. Spec: appendices/#common-identifier-format
type (
	// UserID is a full Matrix user identifier, "@localpart:server".
	UserID string
	// RoomID is "!opaque:server", or "!hash" from room version 12 on.
	RoomID string
	// EventID is "$..." in one of the three forms that room versions define.
	EventID string
	// RoomAlias is "#localpart:server".
	RoomAlias string
	// ServerName is a host name or IP literal with an optional port.
	ServerName string
	// DeviceID names a device of one user; opaque.
	DeviceID string
)
