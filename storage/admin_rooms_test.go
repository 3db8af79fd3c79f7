package storage

import (
	"fmt"
	"maps"
	"testing"
)

// Each event of a room is met once, in the stream and before it, also where many stand at one depth.
func TestEachEventOfARoomIsMetOnce(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		r := openRig(t, Options{URL: url})
		const live, history = eventsAtOnce + 7, 2*eventsAtOnce + 3
		want := map[string]int{}
		c, early := &Change{}, []Row{}
		for i := range live + history + 2 {
			e := &EventRow{NID: int64(i + 1), Room: 7, Depth: int64(i % 2), IDHash: int64(i)}
			j := &EventJSONRow{NID: e.NID, ID: "$x", JSON: fmt.Append(nil, i)}
			switch {
			case i == 3, i == live+3: // redacted, in both walks
				j.Redacted, j.RedactedBy = []byte("{}"), 1
			case i < live+history:
				want[string(j.JSON)] = 1
			default:
				e.Room = 8
			}
			if i < live {
				e.Live = 1 + c.Live(Live{Kind: KindEvent, Room: 7})
				c.Add(e, j)
			} else {
				early = append(early, e, j)
			}
		}
		if err := r.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := r.Bulk(t.Context(), early); err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		if err := r.EachRoomJSON(t.Context(), 7, func(body []byte) { got[string(body)]++ }); err != nil || !maps.Equal(got, want) {
			t.Errorf("met %d events, want %d; %v", len(got), len(want), err)
		}
	})
}

// Values of keys are those at the versions that are asked for; what was taken away, or never there, is left out.
func TestValuesAtVersions(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		r := openRig(t, Options{URL: url})
		c := &Change{}
		c.Add(&StateRow{Room: 1, StateKey: 5, Seq: 2, Event: 50}, &StateRow{Room: 1, StateKey: 5, Seq: 9, Event: 51}, &StateRow{Room: 1, StateKey: 5, Seq: 11},
			&StateRow{Room: 1, StateKey: 6, Seq: 4, Event: 60}, &StateRow{Room: 1, Branch: 3, StateKey: 6, Seq: 5, Event: 61}, &StateRow{Room: 2, StateKey: 6, Seq: 5, Event: 62})
		if err := r.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		got, err := r.ListValuesAt(t.Context(), 1, []KeyPlace{{5, 1}, {5, 2}, {5, 8}, {5, 9}, {5, 20}, {6, 20}, {7, 20}})
		want := map[KeyPlace]int64{{5, 2}: 50, {5, 8}: 50, {5, 9}: 51, {6, 20}: 60}
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("got %v, %v; want %v", got, err, want)
		}
		rows, err := r.ListKeyRows(t.Context(), 1, 5)
		if err != nil || len(rows) != 3 || rows[0].Event != 50 || rows[1].Seq != 9 || rows[2].Event != 0 {
			t.Errorf("rows %v, %v", rows, err)
		}
	})
}
