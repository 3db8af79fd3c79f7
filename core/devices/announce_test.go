package devices_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"rempart/internal/matrix"
	"rempart/storage"
)

// account makes an account with a device.
func (r *rig) account(user matrix.UserID, device matrix.DeviceID) matrix.Caller {
	r.t.Helper()
	owner := r.device(user, device)
	c := &storage.Change{}
	c.Guard(storage.InsertUser(storage.User{NID: owner.UserNID, ID: owner.User, Tenant: 1}))
	if err := r.db.Commit(r.t.Context(), c); err != nil {
		r.t.Fatal(err)
	}
	return owner
}

// A change is announced when this process has heard of all that was before it, such as of who came into a room, and not sooner.
func TestChangesAreAnnouncedInTheirTurn(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice := r.account("@alice:hs1", "A")
		r.upload(alice, `{"device_keys":{"user_id":"@alice:hs1","device_id":"A","algorithms":[],"keys":{"ed25519:A":"k"}}}`)
		for _, want := range []int{0, 1, 1} {
			upto := r.db.Position()
			if want == 0 {
				upto--
			}
			err := r.Announce(t.Context(), upto, func(context.Context, int64) ([]matrix.ServerName, error) { return []matrix.ServerName{"far"}, nil })
			if err != nil {
				t.Fatal(err)
			}
			rows, err := r.db.ListOutbox(t.Context(), 0, 0, r.db.Position(), 100)
			if err != nil || len(rows) != want {
				t.Errorf("announced %d times, want %d (%v)", len(rows), want, err)
			}
		}
	})
}

// A change that nobody was told, since its user shared rooms with nobody, shows in the next one that somebody is: its number does not follow
// the last that was told.
func TestChangesThatNobodyWasToldAreNumbered(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		alice := r.account("@alice:hs1", "A")
		told := func(id string, to ...matrix.ServerName) (last struct {
			Stream int64   `json:"stream_id"`
			Prev   []int64 `json:"prev_id"`
		}) {
			t.Helper()
			d := alice
			if id != "A" {
				d = r.device(alice.User, matrix.DeviceID(id))
			}
			r.upload(d, fmt.Sprintf(`{"device_keys":{"user_id":"@alice:hs1","device_id":%q,"algorithms":[],"keys":{"ed25519:%[1]s":"k"}}}`, id))
			if err := r.Announce(t.Context(), r.db.Position(), func(context.Context, int64) ([]matrix.ServerName, error) { return to, nil }); err != nil {
				t.Fatal(err)
			}
			rows, err := r.db.ListOutbox(t.Context(), 0, 0, r.db.Position(), 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range rows {
				edus, err := r.ComposeEDU(t.Context(), row)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range edus {
					if err := json.Unmarshal(e.Content, &last); err != nil {
						t.Fatal(err)
					}
				}
			}
			return last
		}
		first := told("A", "far")
		second := told("B", "far")
		if len(second.Prev) != 1 || second.Prev[0] != first.Stream {
			t.Errorf("a change that follows: %+v, %+v", first, second)
		}
		told("C")
		third := told("D", "far")
		if len(third.Prev) != 1 || third.Prev[0] <= second.Stream {
			t.Errorf("a change that follows one that nobody was told: %+v, %+v", second, third)
		}
		list, err := r.ServeDevices(t.Context(), alice.User)
		if err != nil || list.StreamID != third.Stream {
			t.Errorf("the list is that of %+v (%v), the last change %+v", list, err, third)
		}
	})
}
