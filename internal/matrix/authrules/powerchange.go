package authrules

import (
	"rempart/internal/matrix"
)

// checkPowerLevels applies the rules for a change of power levels by a sender of the given power.
// Spec: rooms/v1/#authorisation-rules, rule 10; rooms/v10/, rule 9; rooms/v12/, rule 10
func (c *check) checkPowerLevels(power int64) error {
	next, err := c.e.PowerLevels()
	if err != nil || next.BadUsers {
		return forbid("the power levels have the wrong form")
	}
	if c.v.PrivilegedCreators {
		for user := range next.Users {
			if c.create.IsCreator(user) {
				return forbid("the power levels name a creator of the room")
			}
		}
	}
	before := c.s.Event(powerLevelsKey)
	if before == nil {
		return nil
	}
	current, err := before.PowerLevels()
	if err != nil {
		return forbid("the room's power levels cannot be read")
	}
	return c.mayReplace(current, next, power)
}

// mayReplace compares two power tables entry by entry.
func (c *check) mayReplace(current, next *matrix.PowerLevels, power int64) error {
	switch {
	case !singlesMayChange(current, next, power):
		return forbid("a level is changed from or to more than the sender's power level")
	case !mayChange(current.Events, next.Events, power):
		return forbid("a level of an event type is changed from or to more than the sender's power level")
	case c.v.NotificationsPL && !mayChange(current.Notifications, next.Notifications, power):
		return forbid("a notification level is changed from or to more than the sender's power level")
	case !mayChange(current.Users, next.Users, power):
		return forbid("a user's level is changed from or to more than the sender's power level")
	}
	for user, level := range current.Users {
		if now, still := next.Users[user]; user != c.e.Sender && level >= power && (!still || now != level) {
			return forbid("the level of another user with the sender's power level or more is changed")
		}
	}
	return nil
}

// singlesMayChange compares the levels that stand alone; absent is different from the default.
func singlesMayChange(current, next *matrix.PowerLevels, power int64) bool {
	was, now := singlesOf(current), singlesOf(next)
	for i, w := range was {
		n := now[i]
		if w != n && (w.present && w.level > power || n.present && n.level > power) {
			return false
		}
	}
	return true
}

// single is one level that stands alone; zero when absent.
type single struct {
	present bool
	level   int64
}

func singlesOf(p *matrix.PowerLevels) [7]single {
	at := func(bit matrix.PowerKey, level int64) single {
		if p.Present&bit == 0 {
			return single{}
		}
		return single{true, level}
	}
	return [7]single{
		at(matrix.PowerUsersDefault, p.UsersDefault),
		at(matrix.PowerEventsDefault, p.EventsDefault),
		at(matrix.PowerStateDefault, p.StateDefault),
		at(matrix.PowerBan, p.Ban),
		at(matrix.PowerRedact, p.Redact),
		at(matrix.PowerKick, p.Kick),
		at(matrix.PowerInvite, p.Invite),
	}
}

// mayChange reports whether no entry that is added, changed or removed is above the power, before or after.
// Why: a sender's own entry may pass too, since its current level is his power.
func mayChange[K comparable](current, next map[K]int64, power int64) bool {
	for name, level := range current {
		if now, still := next[name]; (!still || now != level) && level > power {
			return false
		}
	}
	for name, level := range next {
		if old, had := current[name]; (!had || old != level) && level > power {
			return false
		}
	}
	return true
}
