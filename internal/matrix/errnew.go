package matrix

import (
	"net/http"
	"time"
)

// Forbidden is 403 M_FORBIDDEN.
func Forbidden(msg string) *Error { return NewError(http.StatusForbidden, CodeForbidden, msg) }

// NotFound is 404 M_NOT_FOUND.
func NotFound(msg string) *Error { return NewError(http.StatusNotFound, CodeNotFound, msg) }

// BadJSON is 400 M_BAD_JSON: JSON, but of the wrong shape or values.
func BadJSON(msg string) *Error { return NewError(http.StatusBadRequest, CodeBadJSON, msg) }

// NotJSON is 400 M_NOT_JSON: the text is not JSON at all.
func NotJSON(msg string) *Error { return NewError(http.StatusBadRequest, CodeNotJSON, msg) }

// InvalidParam is 400 M_INVALID_PARAM.
func InvalidParam(msg string) *Error { return NewError(http.StatusBadRequest, CodeInvalidParam, msg) }

// MissingParam is 400 M_MISSING_PARAM.
func MissingParam(msg string) *Error { return NewError(http.StatusBadRequest, CodeMissingParam, msg) }

// UnknownPos is 400 M_UNKNOWN_POS: the connection of sliding sync has ended. MSC4186
func UnknownPos() *Error {
	return NewError(http.StatusBadRequest, CodeUnknownPos, "This connection is no longer known. Start again without pos.")
}

// Unrecognized is 404 M_UNRECOGNIZED: no such endpoint.
func Unrecognized() *Error {
	return NewError(http.StatusNotFound, CodeUnrecognized, "Unrecognized request.")
}

// MethodNotAllowed is 405 M_UNRECOGNIZED: the endpoint exists, with another method.
func MethodNotAllowed() *Error {
	return NewError(http.StatusMethodNotAllowed, CodeUnrecognized, "Unrecognized request method.")
}

// UnknownToken is 401 M_UNKNOWN_TOKEN. softLogout tells the client to keep its keys and log in again.
// Spec: client-server-api/#soft-logout
func UnknownToken(softLogout bool) *Error {
	e := NewError(http.StatusUnauthorized, CodeUnknownToken, "Unknown or expired access token. Log in again.")
	return e.With("soft_logout", softLogout)
}

// MissingToken is 401 M_MISSING_TOKEN.
func MissingToken() *Error {
	return NewError(http.StatusUnauthorized, CodeMissingToken, "This request needs an access token.")
}

// Unauthorized is 401 M_UNAUTHORIZED, as the federation API answers a bad request signature.
func Unauthorized(msg string) *Error {
	return NewError(http.StatusUnauthorized, CodeUnauthorized, msg)
}

// LimitExceeded is 429 M_LIMIT_EXCEEDED with retry_after_ms, rounded up to a millisecond.
func LimitExceeded(retryAfter time.Duration) *Error {
	ms := (retryAfter + time.Millisecond - 1).Milliseconds()
	e := NewError(http.StatusTooManyRequests, CodeLimitExceeded, "Too many requests. Try again later.")
	return e.With("retry_after_ms", ms)
}

// ResourceLimitExceeded is 403 M_RESOURCE_LIMIT_EXCEEDED with the address of who can help.
func ResourceLimitExceeded(msg, adminContact string) *Error {
	return NewError(http.StatusForbidden, CodeResourceLimitExceeded, msg).With("admin_contact", adminContact)
}

// TooLarge is 413 M_TOO_LARGE.
func TooLarge(msg string) *Error {
	return NewError(http.StatusRequestEntityTooLarge, CodeTooLarge, msg)
}

// UserInUse is 400 M_USER_IN_USE.
func UserInUse() *Error {
	return NewError(http.StatusBadRequest, CodeUserInUse, "This user name is taken.")
}

// InvalidUsername is 400 M_INVALID_USERNAME.
func InvalidUsername(msg string) *Error {
	return NewError(http.StatusBadRequest, CodeInvalidUsername, msg)
}

// Exclusive is 400 M_EXCLUSIVE: the name is reserved for an application service.
func Exclusive(msg string) *Error { return NewError(http.StatusBadRequest, CodeExclusive, msg) }

// UnsupportedRoomVersion is 400 M_UNSUPPORTED_ROOM_VERSION: this server does not know the version.
func UnsupportedRoomVersion() *Error {
	return NewError(http.StatusBadRequest, CodeUnsupportedRoomVersion, "This server does not support that room version.")
}

// IncompatibleRoomVersion is 400 M_INCOMPATIBLE_ROOM_VERSION with the room's version: the peer does not know it.
func IncompatibleRoomVersion(version string) *Error {
	e := NewError(http.StatusBadRequest, CodeIncompatibleRoomVersion, "Your server does not support the room's version.")
	return e.With("room_version", version)
}

// BadState is 400 M_BAD_STATE: the act does not fit the present state, such as unbanning who is not banned.
func BadState(msg string) *Error { return NewError(http.StatusBadRequest, CodeBadState, msg) }

// BadAlias is 400 M_BAD_ALIAS.
func BadAlias(msg string) *Error { return NewError(http.StatusBadRequest, CodeBadAlias, msg) }

// RoomInUse is 400 M_ROOM_IN_USE: the alias asked for at creation is taken.
func RoomInUse(msg string) *Error { return NewError(http.StatusBadRequest, CodeRoomInUse, msg) }

// InvalidRoomState is 400 M_INVALID_ROOM_STATE: the initial state asked for contradicts itself.
func InvalidRoomState(msg string) *Error {
	return NewError(http.StatusBadRequest, CodeInvalidRoomState, msg)
}

// Conflict is 409 M_UNKNOWN: the thing exists already.
func Conflict(msg string) *Error { return NewError(http.StatusConflict, CodeUnknown, msg) }

// GuestForbidden is 403 M_GUEST_ACCESS_FORBIDDEN.
func GuestForbidden() *Error {
	return NewError(http.StatusForbidden, CodeGuestAccessForbidden, "Guests may not do this.")
}

// UserDeactivated is 403 M_USER_DEACTIVATED.
func UserDeactivated() *Error {
	return NewError(http.StatusForbidden, CodeUserDeactivated, "This account has been deactivated.")
}

// UserLocked is 401 M_USER_LOCKED with soft_logout. Spec: client-server-api/#account-locking
func UserLocked() *Error {
	return NewError(http.StatusUnauthorized, CodeUserLocked, "This account is locked.").With("soft_logout", true)
}

// UserSuspended is 403 M_USER_SUSPENDED. Spec: client-server-api/#account-suspension
func UserSuspended() *Error {
	return NewError(http.StatusForbidden, CodeUserSuspended, "This account is suspended.")
}

// WeakPassword is 400 M_WEAK_PASSWORD.
func WeakPassword(msg string) *Error { return NewError(http.StatusBadRequest, CodeWeakPassword, msg) }

// InvalidSignature is 400 M_INVALID_SIGNATURE.
func InvalidSignature(msg string) *Error {
	return NewError(http.StatusBadRequest, CodeInvalidSignature, msg)
}

// UnableToAuthoriseJoin is 400 M_UNABLE_TO_AUTHORISE_JOIN: cannot tell whether a restricted join is allowed.
func UnableToAuthoriseJoin(msg string) *Error {
	return NewError(http.StatusBadRequest, CodeUnableToAuthoriseJoin, msg)
}

// UnableToGrantJoin is 400 M_UNABLE_TO_GRANT_JOIN: another server must authorise this restricted join.
func UnableToGrantJoin(msg string) *Error {
	return NewError(http.StatusBadRequest, CodeUnableToGrantJoin, msg)
}

// WrongRoomKeysVersion is 403 M_WRONG_ROOM_KEYS_VERSION with the current backup version.
func WrongRoomKeysVersion(current string) *Error {
	e := NewError(http.StatusForbidden, CodeWrongRoomKeysVersion, "This is not the current backup version.")
	return e.With("current_version", current)
}
