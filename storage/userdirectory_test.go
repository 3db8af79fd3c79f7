package storage

import (
	"testing"

	"rempart/internal/matrix"
)

// Whoever is found by his id and by several of his names' words is listed once; a name that was given up finds nobody. It is so
// with those of other servers as with ours.
func TestPeopleAreListedOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, r *rig) {
		r.sql(t, `INSERT INTO user_ids (nid, user_id) VALUES (71, '@anna:hs1'), (72, '@anna:far.example'), (73, '@ben:hs1')`)
		r.sql(t, `INSERT INTO users (nid, tenant, password, flags, created, display_name, avatar_url, appservice, id_words, name_words)
			VALUES (71, 1, '', 0, 0, 'Anna Annason', '', '', ' anna', ' anna annason'), (73, 1, '', 0, 0, '', '', '', ' ben', '')`)
		r.commit(t, newRoom(1))
		r.sql(t, `UPDATE rooms SET public = 1 WHERE nid = 1`)
		r.sql(t, `INSERT INTO memberships (usr, room, membership, event, pos, forgotten) VALUES (71, 1, 1, 1, 1, 0), (72, 1, 1, 1, 1, 0)`)
		name := func(name string) {
			c := &Change{}
			c.Add(&RemoteNameRow{User: 72, DisplayName: name})
			r.commit(t, c)
		}
		find := func(term string, want ...matrix.UserID) {
			t.Helper()
			found, err := r.SearchPeople(t.Context(), 73, -1, term, 10)
			if err != nil || len(found) != len(want) {
				t.Fatalf("%q: %v, %v", term, found, err)
			}
			for i, p := range found {
				if p.ID != want[i] {
					t.Errorf("%q: %v", term, found)
				}
			}
		}
		name("Anna Afar")
		find("anna", "@anna:far.example", "@anna:hs1")
		find("ann afa", "@anna:far.example")
		find("annas", "@anna:hs1")
		name("Clara")
		find("afar")
		find("cla", "@anna:far.example")
		find("ben")
	})
}
