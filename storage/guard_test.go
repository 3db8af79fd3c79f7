package storage

import (
	"database/sql"
	"errors"
	"testing"
)

var errMine = errors.New("mine")

func insertSample(id int64) Guard {
	return Guard{sql: `INSERT INTO sample (id, pos, text) VALUES ($1, 0, 'guard') ON CONFLICT DO NOTHING`, args: []any{id}, want: 1}
}

func guarded(c *Change, guards ...Guard) *Change {
	c.Guard(guards...)
	return c
}

func TestOnlyTheChangeWhoseGuardFailsIsDropped(t *testing.T) {
	eachEngine(t, func(t *testing.T, r *rig) {
		a := guarded(live(row(1, "a")), insertSample(100))
		b := guarded(live(row(2, "b")), insertSample(100).OrElse(errMine))
		c := guarded(live(row(3, "c")), insertSample(101), insertSample(100))
		d := live(row(4, "d"))
		errs := r.together(t, a, b, c, d)
		if errs[0] != nil || !errors.Is(errs[1], errMine) || !errors.Is(errs[2], ErrGuard) || errs[3] != nil {
			t.Errorf("outcomes %v", errs)
		}
		wantTexts(t, r.texts(t), map[int64]string{1: "a", 4: "d", 100: "guard"})
		if a.LastPos() != 1 || d.LastPos() != 2 || r.Position() != 2 || len(r.published()) != 2 {
			t.Errorf("positions %d and %d of %d: a dropped change left a hole", a.LastPos(), d.LastPos(), r.Position())
		}
		r.commit(t, live())
		if r.Position() != 3 {
			t.Errorf("next position %d, want 3", r.Position())
		}
	})
}

func TestAGuardThatWroteTooMuchTakesItBack(t *testing.T) {
	eachEngine(t, func(t *testing.T, r *rig) {
		r.commit(t, live(row(1, "a"), row(2, "a")))
		one := guarded(live(), Guard{sql: `UPDATE sample SET text = 'x' WHERE text = 'a'`, want: 1, fail: errMine})
		errs := r.together(t, one, live(row(3, "b")))
		if !errors.Is(errs[0], errMine) || errs[1] != nil {
			t.Errorf("outcomes %v", errs)
		}
		wantTexts(t, r.texts(t), map[int64]string{1: "a", 2: "a", 3: "b"})
	})
}

func TestGuardsSeeTheRowsOfChangesBefore(t *testing.T) {
	eachEngine(t, func(t *testing.T, r *rig) {
		var claimed int64
		claim := Guard{sql: `DELETE FROM sample WHERE id = $1 RETURNING id`, args: []any{int64(1)}, want: 1, scan: scanInto(&claimed)}
		errs := r.together(t, live(row(1, "key")), guarded(live(), claim), guarded(live(row(2, "again")), Guard{
			sql: `SELECT 1 FROM sample WHERE id = 1`, want: 0}))
		if err := errors.Join(errs...); err != nil || claimed != 1 {
			t.Errorf("outcomes %v, claimed %d", errs, claimed)
		}
		wantTexts(t, r.texts(t), map[int64]string{2: "again"})
	})
}

func TestSelectGuardsCountWhatTheyFind(t *testing.T) {
	eachEngine(t, func(t *testing.T, r *rig) {
		r.commit(t, live(row(1, "a")))
		found := guarded(live(), Guard{sql: `SELECT 1 FROM sample WHERE id = 1`, want: 1})
		missing := guarded(live(), Guard{sql: `SELECT 1 FROM sample WHERE id = 2`, want: someRows})
		errs := r.together(t, found, missing)
		if errs[0] != nil || !errors.Is(errs[1], ErrGuard) {
			t.Errorf("outcomes %v", errs)
		}
	})
}

func TestARowThatCannotBeAddedFailsItsChangeOnly(t *testing.T) {
	eachEngine(t, func(t *testing.T, r *rig) {
		r.commit(t, live(row(1, "there")))
		var collected []int64
		claim := Guard{sql: `SELECT id FROM sample WHERE id = 1`, want: 1, begin: func() { collected = nil },
			scan: func(rows *sql.Rows) error {
				var id int64
				err := rows.Scan(&id)
				collected = append(collected, id)
				return err
			}}
		a, b, c := live(row(2, "a")), live(row(1, "twice")), guarded(live(row(3, "c")), claim)
		wrong := live()
		wrong.Add(&sample{At: At{Live: 5}})
		errs := r.together(t, a, b, c, wrong)
		if errs[0] != nil || !r.isUnique(errs[1]) || errs[2] != nil || errs[3] == nil {
			t.Errorf("outcomes %v", errs)
		}
		wantTexts(t, r.texts(t), map[int64]string{1: "there", 2: "a", 3: "c"})
		if a.LastPos() != 2 || c.LastPos() != 3 || len(r.published()) != 3 {
			t.Errorf("positions %d and %d, %d published", a.LastPos(), c.LastPos(), len(r.published()))
		}
		if len(collected) != 1 {
			t.Errorf("the guard ran twice and kept %v", collected)
		}
	})
}

func TestAChangeFallsWithTheOneItBuildsOn(t *testing.T) {
	eachEngine(t, func(t *testing.T, r *rig) {
		first := guarded(live(row(1, "a")), Guard{sql: `SELECT 1 FROM sample`, want: 1})
		second := live(row(2, "b"))
		second.Rooms = []RoomWrite{{Room: 9, After: first}}
		errs := r.together(t, first, second)
		if !errors.Is(errs[0], ErrGuard) || !errors.Is(errs[1], ErrStale) {
			t.Errorf("outcomes %v", errs)
		}
		if len(r.texts(t)) != 0 || r.Position() != 0 {
			t.Error("something was written")
		}
	})
}
