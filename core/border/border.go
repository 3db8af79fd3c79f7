// Package border stands between the servers of one installation, which share a database and a process but not their people.
//
// What one of them tells another goes over no network, and yet it is judged as if it did, on the way out of the one and into the other,
// and recorded as an internal transfer: a server that moves out to a process of its own finds nothing changed. Events and messages
// are recorded through the outbox, in the same commit as they are written; answers to questions before they are given.
//
// The core asks; cmd makes the border where an installation has more than one server. A nil [Border] stands for one server alone
// and lets everything pass.
package border

import (
	"context"
	"log/slog"

	"rempart/core/ledger"
	"rempart/internal/matrix"
)

// Events is the kind of [Border.Admit] for events and all that rooms need; other kinds are the types of messages between servers.
const Events = ""

// Options is what a border is made of.
type Options struct {
	// Servers are all of this installation.
	Servers []matrix.ServerName
	// Judge says whether one server may tell another something of a kind; it is asked for every passage and must be quick.
	Judge func(ctx context.Context, from, to matrix.ServerName, kind string) error
	// Ledger records answers.
	Ledger *ledger.Service
	Log    *slog.Logger
}

// Border judges and records what passes. It never changes and may be used concurrently.
type Border struct {
	Options
	ours map[matrix.ServerName]bool
}

// New makes a border; nil when there are not two servers.
func New(o Options) *Border {
	if len(o.Servers) < 2 {
		return nil
	}
	b := &Border{Options: o, ours: make(map[matrix.ServerName]bool, len(o.Servers))}
	for _, name := range o.Servers {
		b.ours[name] = true
	}
	return b
}

// Divides reports whether two servers are different ones of this installation.
func (b *Border) Divides(one, other matrix.ServerName) bool {
	return b != nil && one != other && b.ours[one] && b.ours[other]
}

// Admit says whether one server may tell another something of a kind; the error is a refusal for the one who asks for it.
func (b *Border) Admit(ctx context.Context, from, to matrix.ServerName, kind string) error {
	if !b.Divides(from, to) {
		return nil
	}
	return b.Judge(ctx, from, to, kind)
}

// Hears is Admit where who is not admitted just does not hear of it.
func (b *Border) Hears(ctx context.Context, from, to matrix.ServerName, kind string) bool {
	return b.Admit(ctx, from, to, kind) == nil
}

// The kinds of questions of [Border.Ask], which are also words of the policy.
const (
	Profile   = "profiles"
	Devices   = "devices"
	Media     = "media"
	Directory = "directory"
)

// Ask judges and records a question of one server to another: kind is what it is about, what the operation. It returns nil when the
// answer may be given.
func (b *Border) Ask(ctx context.Context, asker, asked matrix.ServerName, kind, what string, about ...ledger.Name) error {
	if !b.Divides(asker, asked) {
		return nil
	}
	if err := b.Judge(ctx, asked, asker, kind); err != nil {
		return err
	}
	if b.Ledger == nil {
		return nil
	}
	_, err := b.Ledger.Begin(ctx, ledger.Intent{About: about,
		Record: ledger.Record{Kind: ledger.Internal, For: what, Tenant: string(asked), Dest: string(asker)}})
	return err
}
