package storage

import (
	"slices"
	"testing"
)

// The state of many rooms at once is that of the versions that were asked for; of a room whose state is folded nothing is told.
func TestListStatesAtVersions(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		r := openRig(t, Options{URL: url})
		c := &Change{}
		for key, typ := range []string{"m.room.name", "m.room.topic", "m.room.member"} {
			c.Guard(Guard{sql: `INSERT INTO state_keys (nid, type, skey) VALUES ($1, $2, '')`, args: []any{int64(9001 + key), typ}, want: 1})
		}
		for room := int64(1); room <= 3; room++ {
			for seq, row := range [][2]int64{{9001, 10}, {9002, 11}, {9001, 12}, {9002, 0}, {9003, 13}} {
				c.Guard(Guard{sql: `INSERT INTO state_rows (room, branch, skey, seq, event, old, pos) VALUES ($1, 0, $2, $3, $4, 0, $3)`,
					args: []any{room, row[0], int64(seq + 1), row[1]}, want: 1})
			}
		}
		c.Add(&CheckpointRow{Room: 3, Seq: 2, Pairs: []int64{9001, 10, 9002, 11}})
		r.commit(t, c)
		got, err := r.ListStates(t.Context(), []RoomFrom{{1, 3}, {2, 5}, {3, 5}, {4, 5}})
		if err != nil {
			t.Fatal(err)
		}
		want := map[int64][]HeldKey{
			1: {{9001, 12, "m.room.name"}, {9002, 11, "m.room.topic"}},
			2: {{9001, 12, "m.room.name"}, {9002, 0, "m.room.topic"}, {9003, 13, "m.room.member"}},
		}
		for room := int64(1); room <= 4; room++ {
			if !slices.Equal(got[room], want[room]) {
				t.Errorf("room %d: %v, want %v", room, got[room], want[room])
			}
		}
	})
}
