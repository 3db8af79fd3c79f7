package naive

import (
	"math"
	"sort"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
)

// powerOrder is the reverse topological power ordering: again and again the smallest event of which no auth
// chain member is left.
func (r resolver) powerOrder(x set) []matrix.EventID {
	chains := map[matrix.EventID]set{}
	for id := range x {
		chains[id] = r.chain(id)
	}
	var order []matrix.EventID
	left := set{}
	for id := range x {
		left[id] = true
	}
	for len(left) > 0 {
		var best matrix.EventID
		for id := range left {
			if !meets(chains[id], left) && (best == "" || r.powerLess(id, best)) {
				best = id
			}
		}
		order = append(order, best)
		delete(left, best)
	}
	return order
}

func meets(a, b set) bool {
	for id := range a {
		if b[id] {
			return true
		}
	}
	return false
}

// powerLess is the comparison of the reverse topological power ordering.
func (r resolver) powerLess(x, y matrix.EventID) bool {
	ex, ey := r.events[x], r.events[y]
	px, py := r.senderPower(ex), r.senderPower(ey)
	if px != py {
		return px > py
	}
	if ex.OriginServerTS != ey.OriginServerTS {
		return ex.OriginServerTS < ey.OriginServerTS
	}
	return x < y
}

// senderPower is the sender's power level by the event's auth events.
func (r resolver) senderPower(e *matrix.Event) int64 {
	r.rejected = nil
	return authrules.PowerLevelOf(view{r, State{}, e}, e.Sender)
}

// mainlineOrder sorts events by the mainline of a power levels event ("" for none).
func (r resolver) mainlineOrder(ids set, levels matrix.EventID) []matrix.EventID {
	var mainline []matrix.EventID
	for p := levels; p != ""; p = r.levelsOf(p) {
		mainline = append(mainline, p)
	}
	order := list(ids)
	sort.Slice(order, func(i, j int) bool {
		x, y := order[i], order[j]
		if px, py := r.position(mainline, x), r.position(mainline, y); px != py {
			return px > py
		}
		if tx, ty := r.events[x].OriginServerTS, r.events[y].OriginServerTS; tx != ty {
			return tx < ty
		}
		return x < y
	})
	return order
}

// position is the mainline position of an event.
func (r resolver) position(mainline []matrix.EventID, id matrix.EventID) int {
	for e := r.levelsOf(id); e != ""; e = r.levelsOf(e) {
		for i, p := range mainline {
			if p == e {
				return i
			}
		}
	}
	return math.MaxInt
}

// levelsOf is the power levels event among the auth events.
func (r resolver) levelsOf(id matrix.EventID) matrix.EventID {
	for _, a := range r.events[id].AuthEvents {
		if e := r.events[a]; e.Type == "m.room.power_levels" && e.StateKeyEquals("") {
			return a
		}
	}
	return ""
}
