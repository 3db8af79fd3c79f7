package authrules

import (
	"math"

	"rempart/internal/matrix"
)

// InfinitePower is the level of the creators of rooms of version 12. MSC4289
const InfinitePower = math.MaxInt64

// founderPower is the creator's level in a room without power levels, up to version 11.
// Spec: client-server-api/#mroompower_levels
const founderPower = 100

// levels are the power levels in force in one state.
type levels struct {
	create *matrix.Event
	table  *matrix.PowerLevels // nil: the room has none
}

// levelsIn reads a state's power levels. Ones that cannot be read say nothing; no rule lets such an event in.
func levelsIn(s State, create *matrix.Event) levels {
	e := s.Event(powerLevelsKey)
	if e == nil {
		return levels{create: create}
	}
	table, err := e.PowerLevels()
	if err != nil {
		defaults := matrix.DefaultPowerLevels()
		table = &defaults
	}
	return levels{create: create, table: table}
}

// of is a user's level.
func (l levels) of(u matrix.UserID) int64 {
	if l.create != nil && l.create.Version.PrivilegedCreators {
		if l.create.IsCreator(u) {
			return InfinitePower
		}
	} else if l.table == nil && l.create != nil && isFounder(l.create, string(u)) {
		return founderPower
	}
	if l.table == nil {
		return 0
	}
	return l.table.User(u)
}

// required is the level needed to send an event that no special rule covers.
// Spec: server-server-api/#definitions, "required power level"
func (l levels) required(typ string, isState bool) int64 {
	if l.table != nil {
		return l.table.Event(typ, isState)
	}
	if isState {
		return 50
	}
	return 0
}

func (l levels) invite() int64 {
	if l.table == nil {
		return 0
	}
	return l.table.Invite
}

func (l levels) kick() int64 {
	if l.table == nil {
		return 50
	}
	return l.table.Kick
}

func (l levels) ban() int64 {
	if l.table == nil {
		return 50
	}
	return l.table.Ban
}

func (l levels) redact() int64 {
	if l.table == nil {
		return 50
	}
	return l.table.Redact
}

func levelsOf(s State) levels { return levelsIn(s, s.Event(createKey)) }

// PowerLevelOf is a user's power level in a state; InfinitePower for the creators of a version 12 room.
func PowerLevelOf(s State, u matrix.UserID) int64 { return levelsOf(s).of(u) }

// RequiredPower is the level needed to send an event of a type that no special rule covers.
func RequiredPower(s State, typ string, isState bool) int64 {
	return levelsOf(s).required(typ, isState)
}

// InvitePower is the level needed to invite. Spec: server-server-api/#definitions
func InvitePower(s State) int64 { return levelsOf(s).invite() }

// KickPower is the level needed to remove a user of less power.
func KickPower(s State) int64 { return levelsOf(s).kick() }

// BanPower is the level needed to ban a user of less power, and to undo a ban together with KickPower.
func BanPower(s State) int64 { return levelsOf(s).ban() }

// RedactPower is the level needed to redact events of others.
func RedactPower(s State) int64 { return levelsOf(s).redact() }

// MayInvite reports whether a user is joined and has the power to invite, as a restricted join needs of the one
// who authorises it.
func MayInvite(s State, u matrix.UserID) bool {
	l := levelsOf(s)
	m := s.Event(memberKey(string(u)))
	return m != nil && m.Membership() == join && l.of(u) >= l.invite()
}

// NotificationPower is the level needed to notify by a key such as "room"; 50 unless the room says otherwise.
func NotificationPower(s State, key string) int64 {
	if t := levelsOf(s).table; t != nil {
		return t.Notification(key)
	}
	return 50
}
