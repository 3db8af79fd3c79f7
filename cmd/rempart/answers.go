package main

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"rempart/core/ledger"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// answers records what other servers are about to be told when they ask. It stands before whoever answers.
type answers struct {
	httpx.ServerAuthenticator
	ledger    *ledger.Service
	countryOf func(netip.Addr) string
}

// AuthenticateServer implements [httpx.ServerAuthenticator].
func (a answers) AuthenticateServer(ctx context.Context, r *http.Request, body []byte) (matrix.Caller, error) {
	caller, err := a.ServerAuthenticator.AuthenticateServer(ctx, r, body)
	if err != nil {
		return caller, err
	}
	what, about := question(r.URL, caller.Destination)
	if what == "send" { // it tells us something, and is told nothing
		return caller, nil
	}
	rec := ledger.Record{Kind: ledger.Answer, For: what, Tenant: string(caller.Destination), Dest: string(caller.Server)}
	if addr := httpx.ClientAddr(ctx); addr.IsValid() {
		rec.Addr, rec.CC = addr.String(), a.countryOf(addr)
	}
	_, err = a.ledger.Begin(ctx, ledger.Intent{Record: rec, About: about})
	return caller, err
}

// question reads from an address what is asked, and about whom.
func question(u *url.URL, ours matrix.ServerName) (what string, about []ledger.Name) {
	parts := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/_matrix/federation/"), "/")
	if len(parts) < 2 {
		return "other", nil
	}
	what = parts[1] // behind the version
	for i, part := range parts[2:] {
		text, err := url.PathUnescape(part)
		switch {
		case err != nil || text == "":
		case text[0] == '!':
			about = append(about, ledger.Room(matrix.RoomID(text)))
		case text[0] == '@':
			about = append(about, ledger.User(matrix.UserID(text)))
		case what == "media" && i == 1: // v1/media/download/{id}
			about = append(about, ledger.File("mxc://"+string(ours)+"/"+text))
		case what == "query" && i == 0:
			what += " " + text
		}
	}
	if user := u.Query().Get("user_id"); user != "" && strings.HasPrefix(user, "@") {
		about = append(about, ledger.User(matrix.UserID(user)))
	}
	return what, about
}
