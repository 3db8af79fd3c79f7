package main

import (
	"log/slog"
	"strings"
	"testing"

	"rempart/internal/testkit/pgtest"
	"rempart/storage"
)

// What is filled in is as large as was asked for, and of what is measured there is something to find.
func TestFilled(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		open := func() *storage.DB {
			db, err := storage.Open(ctx, storage.Options{URL: url})
			if err != nil {
				t.Fatal(err)
			}
			return db
		}
		db := open()
		var tenant int64
		c := &storage.Change{}
		c.Guard(storage.InsertTenant(1, "one", &tenant), storage.InsertServerName(server, 1))
		if err := db.Commit(ctx, c); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		s := sizes{Accounts: 120, Devices: 2, Others: 60, Servers: 7, Rooms: 24, Events: 1000, Hall: 150, Busy: 10, Space: 5, Media: 40}
		in, err := fill(ctx, slog.New(slog.DiscardHandler), url, s)
		if err != nil {
			t.Fatal(err)
		}
		db = open()
		defer func() { _ = db.Close() }()
		list, err := db.ListAllRooms(ctx)
		if err != nil || len(list) != s.Rooms+2 {
			t.Fatalf("%d rooms, %v; want %d", len(list), err, s.Rooms+2)
		}
		for _, r := range list {
			if r.ID != in.Hall {
				continue
			}
			people, err := db.CountPeople(ctx, []int64{r.NID})
			if p := people[r.NID]; err != nil || p.Joined != int64(s.Hall) || p.Local != int64(s.Accounts-1) {
				t.Errorf("in the large room are %+v, %v", p, err)
			}
		}
		busy, err := db.FindUserNID(ctx, local(1))
		if err != nil {
			t.Fatal(err)
		}
		rooms, err := db.ListJoinedRooms(ctx, busy)
		if err != nil || len(rooms) != s.Busy+2 {
			t.Errorf("the busy account is in %d rooms, %v; want %d", len(rooms), err, s.Busy+2)
		}
		for _, r := range requests(in) {
			if strings.Contains(r.path, "//") { // a name is missing
				t.Errorf("%s asks %s", r.name, r.path)
			}
		}
	})
}
