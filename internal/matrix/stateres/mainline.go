package stateres

import (
	"cmp"
	"math"
	"slices"

	"rempart/internal/matrix"
)

// offMainline is the position of an event whose power levels never meet the mainline: it comes first.
const offMainline = math.MaxInt

// mainline gives events their position along the history of one power levels event.
// Spec: rooms/v2/#definitions, "mainline ordering".
type mainline struct {
	r        *resolution
	position map[matrix.EventID]int // of power levels events: theirs, or of the first mainline event behind them
}

// mainlineOrder sorts events by the mainline of the given power levels (nil: an empty mainline).
func (r *resolution) mainlineOrder(ids []matrix.EventID, levels *matrix.Event) ([]matrix.EventID, error) {
	m := &mainline{r: r, position: map[matrix.EventID]int{}}
	if err := m.build(levels); err != nil {
		return nil, err
	}
	type placed struct {
		position int
		ts       int64
		id       matrix.EventID
	}
	list := make([]placed, 0, len(ids))
	for _, id := range ids {
		e, err := r.event(id)
		if err != nil {
			return nil, err
		}
		position, err := m.of(id)
		if err != nil {
			return nil, err
		}
		list = append(list, placed{position, e.OriginServerTS, id})
	}
	slices.SortFunc(list, func(x, y placed) int {
		return cmp.Or(cmp.Compare(y.position, x.position), cmp.Compare(x.ts, y.ts), cmp.Compare(x.id, y.id))
	})
	order := ids[:0]
	for _, p := range list {
		order = append(order, p.id)
	}
	return order, nil
}

// build walks from the power levels back to the room's first ones.
func (m *mainline) build(levels *matrix.Event) error {
	for i := 0; levels != nil; i++ {
		if _, seen := m.position[levels.ID]; seen {
			return ErrCycle
		}
		m.position[levels.ID] = i
		var err error
		if levels, err = m.r.authEventOf(levels.ID, powerLevelsKey); err != nil {
			return err
		}
	}
	return nil
}

// of finds an event's mainline position and remembers it for all power levels events on the way.
func (m *mainline) of(id matrix.EventID) (int, error) {
	position := offMainline
	var path []matrix.EventID
	for {
		levels, err := m.r.authEventOf(id, powerLevelsKey)
		if err != nil {
			return 0, err
		}
		if levels == nil {
			break
		}
		if p, known := m.position[levels.ID]; known {
			position = p
			break
		}
		m.position[levels.ID] = offMainline // ends a circle
		path = append(path, levels.ID)
		id = levels.ID
	}
	for _, p := range path {
		m.position[p] = position
	}
	return position, nil
}
