package matrix

// DefaultVersion is the room version of new rooms. Spec: rooms/#complete-list-of-room-versions
const DefaultVersion = "12"

// EventIDFormat says what an event id looks like and where it comes from.
type EventIDFormat int

const (
	// EventIDDomain is "$opaque:domain", a field of the event (versions 1, 2).
	EventIDDomain EventIDFormat = 1
	// EventIDBase64 is "$" and the reference hash in standard base64 (version 3).
	EventIDBase64 EventIDFormat = 3
	// EventIDURLSafe is "$" and the reference hash in URL-safe base64 (version 4 on).
	EventIDURLSafe EventIDFormat = 4
)

// StateResAlgorithm names a state resolution algorithm.
type StateResAlgorithm int

const (
	// StateResV1 is the algorithm of room version 1.
	StateResV1 StateResAlgorithm = 1
	// StateResV2 is the algorithm of room versions 2 to 11.
	StateResV2 StateResAlgorithm = 2
	// StateResV21 is the algorithm of room version 12. MSC4297
	StateResV21 StateResAlgorithm = 21
)

// RedactionAlgorithm is numbered by the room version that introduced it.
type RedactionAlgorithm int

const (
	// RedactionV1 serves versions 1 to 5.
	RedactionV1 RedactionAlgorithm = 1
	// RedactionV6 forgets m.room.aliases (versions 6, 7).
	RedactionV6 RedactionAlgorithm = 6
	// RedactionV8 keeps "allow" of join rules (version 8).
	RedactionV8 RedactionAlgorithm = 8
	// RedactionV9 keeps "join_authorised_via_users_server" of members (versions 9, 10).
	RedactionV9 RedactionAlgorithm = 9
	// RedactionV11 is the algorithm of versions 11 and 12.
	RedactionV11 RedactionAlgorithm = 11
)

// RoomVersion is one row of the table of behaviours; read-only. Compare by pointer or by ID.
type RoomVersion struct {
	ID     string
	Stable bool

	EventIDFormat      EventIDFormat
	StateRes           StateResAlgorithm
	RedactionAlgorithm RedactionAlgorithm

	StrictCanonicalJSON bool // v6+: JSON outside the canonical grammar is refused
	EnforceKeyValidity  bool // v5+: signing keys must be valid at origin_server_ts
	AliasAuth           bool // v1-5: m.room.aliases has auth rules and a redaction rule of its own
	RedactionAuth       bool // v1-2: auth rules judge redactions
	NotificationsPL     bool // v6+: "notifications" is checked in power level changes
	KnockAllowed        bool // v7+
	RestrictedJoins     bool // v8+
	KnockRestricted     bool // v10+
	IntegerPowerLevels  bool // v10+: power levels are integers, never strings
	FloatPowerLevels    bool // v1-5: power levels may be floats
	ImplicitRoomCreator bool // v11+: no "creator" in the create event, its sender counts
	RedactsInContent    bool // v11+: "redacts" stands in content
	PrivilegedCreators  bool // v12+: creators have infinite power. MSC4289
	RoomIDIsCreateHash  bool // v12+: the room id is the create event's hash. MSC4291
}

// RefsWithHashes reports whether prev_events and auth_events are lists of (id, hashes) pairs (versions 1, 2).
func (v *RoomVersion) RefsWithHashes() bool { return v.EventIDFormat == EventIDDomain }

// MaxDepth is the greatest depth an event may claim. Spec: rooms/v6/#event-format
func (v *RoomVersion) MaxDepth() int64 {
	if v.StrictCanonicalJSON {
		return maxSafeInteger
	}
	return 1<<63 - 1
}

// Version finds a room version by its id.
func Version(id string) (*RoomVersion, bool) {
	for _, v := range roomVersions {
		if v.ID == id {
			return v, true
		}
	}
	return nil, false
}

// Versions lists all supported room versions, oldest first.
func Versions() []*RoomVersion { return append([]*RoomVersion(nil), roomVersions...) }

// roomVersions is written here and never changed.
var roomVersions = makeVersions()

// makeVersions derives each version from the one before it, as the specification does.
func makeVersions() []*RoomVersion {
	v := RoomVersion{
		Stable: true, EventIDFormat: EventIDDomain, StateRes: StateResV1, RedactionAlgorithm: RedactionV1,
		AliasAuth: true, RedactionAuth: true, FloatPowerLevels: true,
	}
	var all []*RoomVersion
	next := func(id string, change func()) {
		change()
		v.ID = id
		row := v
		all = append(all, &row)
	}
	next("1", func() {})
	next("2", func() { v.StateRes = StateResV2 })
	next("3", func() { v.EventIDFormat, v.RedactionAuth = EventIDBase64, false })
	next("4", func() { v.EventIDFormat = EventIDURLSafe })
	next("5", func() { v.EnforceKeyValidity = true })
	next("6", func() {
		v.RedactionAlgorithm, v.AliasAuth = RedactionV6, false
		v.StrictCanonicalJSON, v.FloatPowerLevels, v.NotificationsPL = true, false, true
	})
	next("7", func() { v.KnockAllowed = true })
	next("8", func() { v.RedactionAlgorithm, v.RestrictedJoins = RedactionV8, true })
	next("9", func() { v.RedactionAlgorithm = RedactionV9 })
	next("10", func() { v.KnockRestricted, v.IntegerPowerLevels = true, true })
	next("11", func() {
		v.RedactionAlgorithm, v.ImplicitRoomCreator, v.RedactsInContent = RedactionV11, true, true
	})
	next("12", func() {
		v.StateRes, v.PrivilegedCreators, v.RoomIDIsCreateHash = StateResV21, true, true
	})
	return all
}
