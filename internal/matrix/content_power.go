package matrix

import "encoding/json"

// PowerLevels is the content of m.room.power_levels with the defaults filled in. Read-only.
// Spec: client-server-api/#mroompower_levels
type PowerLevels struct {
	UsersDefault, EventsDefault, StateDefault int64
	Ban, Kick, Redact, Invite                 int64
	Users                                     map[UserID]int64
	Events                                    map[string]int64
	Notifications                             map[string]int64
	// Present has the bits of the single levels that are written in the event.
	Present PowerKey
	// BadUsers tells that "users" has a key that is not a user id, which auth rules refuse.
	BadUsers bool
}

// PowerKey is a set of the single levels.
type PowerKey uint16

// The single levels of m.room.power_levels, and the three maps.
const (
	PowerUsersDefault PowerKey = 1 << iota
	PowerEventsDefault
	PowerStateDefault
	PowerBan
	PowerKick
	PowerRedact
	PowerInvite
	PowerUsers
	PowerEvents
	PowerNotifications
)

// DefaultPowerLevels are the levels of a power level event that says nothing. A room without such an event has
// state_default 0 besides; that is for the caller. Spec: client-server-api/#mroompower_levels
func DefaultPowerLevels() PowerLevels {
	return PowerLevels{StateDefault: 50, Ban: 50, Kick: 50, Redact: 50}
}

// PowerLevels parses the content by the rules of the event's room version: integers only from version 10 on,
// integers in strings before, floats besides in versions 1 to 5. The error tells the first bad value.
func (e *Event) PowerLevels() (*PowerLevels, error) {
	if r := e.memo.power.p.Load(); r != nil {
		return r.value, r.err
	}
	return e.memo.power.get(e.Content, e.Version.ParsePowerLevels)
}

// User is a user's level, by the event alone: infinite power of creators is not known here.
func (p *PowerLevels) User(u UserID) int64 {
	if level, ok := p.Users[u]; ok {
		return level
	}
	return p.UsersDefault
}

// Event is the level needed to send an event of a type.
func (p *PowerLevels) Event(typ string, isState bool) int64 {
	if level, ok := p.Events[typ]; ok {
		return level
	}
	if isState {
		return p.StateDefault
	}
	return p.EventsDefault
}

// Notification is the level needed to notify by a key such as "room"; 50 unless written.
func (p *PowerLevels) Notification(key string) int64 {
	if level, ok := p.Notifications[key]; ok {
		return level
	}
	return 50
}

// ParsePowerLevels reads canonical power level content.
func (v *RoomVersion) ParsePowerLevels(content json.RawMessage) (*PowerLevels, error) {
	p := DefaultPowerLevels()
	m := membersOf(content)
	for k, raw, ok := m.next(); ok; k, raw, ok = m.next() {
		if !v.readPower(&p, string(k), raw) {
			return nil, BadJSON("The power levels have no valid " + string(k) + ".")
		}
	}
	if m.bad {
		return nil, BadJSON("The power levels are malformed.")
	}
	return &p, nil
}

// readPower reads one key; keys that mean nothing are fine.
func (v *RoomVersion) readPower(p *PowerLevels, key string, raw []byte) (ok bool) {
	switch key {
	case "users":
		p.Present |= PowerUsers
		p.Users, ok = readLevels[UserID](v, raw)
		for u := range p.Users {
			p.BadUsers = p.BadUsers || !validDomainID(string(u), '@')
		}
		return ok
	case "events":
		p.Present |= PowerEvents
		p.Events, ok = readLevels[string](v, raw)
		return ok
	case "notifications":
		p.Present |= PowerNotifications
		p.Notifications, ok = readLevels[string](v, raw)
		return ok
	}
	slot, bit := p.single(key)
	if slot == nil {
		return true
	}
	p.Present |= bit
	*slot, ok = v.level(raw)
	return ok
}

// single is the place of a level that stands alone.
func (p *PowerLevels) single(key string) (*int64, PowerKey) {
	switch key {
	case "users_default":
		return &p.UsersDefault, PowerUsersDefault
	case "events_default":
		return &p.EventsDefault, PowerEventsDefault
	case "state_default":
		return &p.StateDefault, PowerStateDefault
	case "ban":
		return &p.Ban, PowerBan
	case "kick":
		return &p.Kick, PowerKick
	case "redact":
		return &p.Redact, PowerRedact
	case "invite":
		return &p.Invite, PowerInvite
	}
	return nil, 0
}

func readLevels[K ~string](v *RoomVersion, raw []byte) (map[K]int64, bool) {
	levels := map[K]int64{}
	m := membersOf(raw)
	for k, value, ok := m.next(); ok; k, value, ok = m.next() {
		n, ok := v.level(value)
		if !ok {
			return nil, false
		}
		levels[K(appendUnescaped(nil, k))] = n
	}
	return levels, !m.bad
}
