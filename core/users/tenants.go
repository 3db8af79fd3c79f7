package users

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// tenants maps the server names of this installation to the organisations that own them. It is read-only.
type tenants struct {
	first  matrix.ServerName
	byName map[matrix.ServerName]int64
}

// loadTenants makes a tenant for each server name that has none yet.
func loadTenants(ctx context.Context, db *storage.DB, names []matrix.ServerName) (tenants, error) {
	t := tenants{byName: map[matrix.ServerName]int64{}}
	if len(names) == 0 {
		return t, errors.New("users: no server name")
	}
	known, err := db.ListServerNames(ctx)
	if err != nil {
		return t, fmt.Errorf("list server names: %w", err)
	}
	t.first = names[0]
	for _, name := range names {
		nid, ok := known[name]
		if !ok {
			if nid, err = makeTenant(ctx, db, name); err != nil {
				return t, fmt.Errorf("make tenant %s: %w", name, err)
			}
		}
		t.byName[name] = nid
	}
	return t, nil
}

func makeTenant(ctx context.Context, db *storage.DB, name matrix.ServerName) (int64, error) {
	fresh, err := db.NewID(ctx, storage.OtherNIDs)
	if err != nil {
		return 0, err
	}
	var nid int64
	c := &storage.Change{}
	c.Guard(storage.InsertTenant(fresh, string(name), &nid))
	if err := db.Commit(ctx, c); err != nil {
		return 0, err
	}
	c = &storage.Change{}
	c.Guard(storage.InsertServerName(name, nid).OrElse(errors.New("the server name belongs to another tenant")))
	return nid, db.Commit(ctx, c)
}

// of finds the tenant by the host of a request, with its port or without.
func (t *tenants) of(host string) (int64, matrix.ServerName) {
	name := matrix.ServerName(strings.ToLower(host))
	for _, n := range []matrix.ServerName{name, matrix.ServerName(name.Host())} {
		if nid, ok := t.byName[n]; ok {
			return nid, n
		}
	}
	return t.byName[t.first], t.first
}
