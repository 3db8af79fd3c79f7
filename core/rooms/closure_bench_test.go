package rooms_test

import (
	"fmt"
	"testing"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Size of the installation that is judged anew.
const (
	manyRooms    = 10_000
	manyAccounts = 50_000
	manyServers  = 100
)

// BenchmarkRejudge puts another policy in force over 50,000 accounts in 10,000 rooms with members of 100 other servers. The one freezes
// a tenth of the rooms, the other opens them again.
func BenchmarkRejudge(b *testing.B) {
	p := &door{generation: 1}
	key, err := matrix.GenerateSigningKey(home)
	if err != nil {
		b.Fatal(err)
	}
	r := newRig(b, memoryURL(b), func(o *rooms.Options) { o.Keys, o.Policy, o.Federated, o.Server = own{key}, p, true, home })
	b.Cleanup(func() { r.close(b) })
	fill(b, r)
	w, err := rooms.NewWarden(b.Context(), r.rooms)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	refused := map[matrix.ServerName]string{}
	for i := range manyServers / 10 {
		refused[serverName(i)] = "deny.server"
	}
	for i := 0; b.Loop(); i++ {
		want := 0
		if p.change(nil); i%2 == 0 {
			p.change(refused)
			want = manyRooms / 10
		}
		j, err := w.Rejudge(b.Context())
		if err != nil || j.Frozen != want || j.Rooms != manyRooms {
			b.Fatalf("%v %+v", err, j)
		}
	}
}

func serverName(i int) matrix.ServerName { return matrix.ServerName(fmt.Sprintf("s%d.example", i)) }

// fill writes the rows that say who is in which room: one of the hundred servers in each, and five of the accounts.
func fill(b *testing.B, r *rig) {
	b.Helper()
	db := r.db
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	names := make([]matrix.UserID, 0, manyAccounts+manyRooms)
	for i := range manyAccounts {
		names = append(names, matrix.UserID(fmt.Sprintf("@user%d:home.example", i)))
	}
	for i := range manyRooms {
		names = append(names, matrix.UserID(fmt.Sprintf("@user%d:%s", i, serverName(i%manyServers))))
	}
	must(db.InternUsers(b.Context(), names))
	nid := func(i int) int64 {
		n, err := db.FindUserNID(b.Context(), names[i])
		must(err)
		return n
	}
	c := &storage.Change{}
	flush := func(least int) {
		if len(c.Rows)+len(c.Guards) > least {
			must(db.Commit(b.Context(), c))
			c = &storage.Change{}
		}
	}
	for i := range manyAccounts {
		c.Guard(storage.InsertUser(storage.User{NID: nid(i), ID: names[i], Tenant: 1}))
		flush(1000)
	}
	for i := range manyRooms {
		room := r.publicRoom(b, "11").NID()
		member := func(user int64) {
			live := 1 + c.Live(storage.Live{Kind: storage.KindMembership, Room: room, User: user})
			c.Add(&storage.MembershipRow{At: storage.At{Live: live}, User: user, Room: room, Membership: storage.MemberJoin, Event: 1})
		}
		for k := range 5 {
			member(nid((i*5 + k) % manyAccounts))
		}
		member(nid(manyAccounts + i))
		flush(1000)
	}
	flush(0)
}
