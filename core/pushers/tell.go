package pushers

import (
	"context"
	"errors"
	"slices"
	"time"

	"rempart/core/push"
	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
	"rempart/storage"
)

// tell makes one request, if it still makes sense.
func (d *dispatch) tell(ctx context.Context, t task) result {
	r := result{task: t}
	row, err := d.DB.FindPusher(ctx, t.nid)
	if errors.Is(err, storage.ErrNotFound) {
		r.gone = true
		return r
	}
	if err != nil {
		r.fatal = err
		return r
	}
	r.setAt = row.SetAt
	n, err := d.notification(ctx, &row, t.about)
	if err != nil || n == nil {
		r.fatal = err
		return r
	}
	if r.count, err = d.badges.unread(ctx, t.user); err != nil {
		r.fatal = err
		return r
	}
	if t.about == nil && r.count == t.told {
		return r
	}
	n.unread = r.count
	rejected, err := d.Gateway.Notify(ctx, t.url, n.json(&row))
	if err != nil {
		r.err = err
		return r
	}
	r.sent, r.rejected = true, slices.Contains(rejected, row.PushKey)
	return r
}

// timeOf is an instant that is kept in milliseconds.
func timeOf(ms int64) time.Time { return time.UnixMilli(ms) }

// notification says what there is to tell of an event; nil when there is nothing. Without an event it is about the count.
func (d *dispatch) notification(ctx context.Context, row *storage.Pusher, about *item) (*notification, error) {
	if about == nil {
		return &notification{}, nil
	}
	room, err := d.badges.room(ctx, about.room)
	if room == nil || err != nil {
		return nil, err
	}
	found, err := d.Rooms.Events(ctx, []int64{about.event})
	if err != nil || len(found) == 0 || found[0].Has(storage.FlagRedacted) {
		return nil, err
	}
	e := found[0]
	if since := max(about.at, e.OriginServerTS); d.Clock().Sub(timeOf(since)) > tooOld {
		return nil, nil
	}
	user, err := d.DB.GetUserID(ctx, row.User)
	if err != nil {
		return nil, err
	}
	n := &notification{event: e.Event, room: room.ID(), user: user, full: d.Content}
	if about.invite {
		return d.invitation(ctx, n, row, about)
	}
	if ok, err := d.concerns(ctx, room, e, row.User, user, about); !ok || err != nil {
		return nil, err
	}
	if err := d.describe(ctx, n, room, row.User, about); err != nil {
		return nil, err
	}
	return n, nil
}

// concerns reports whether an event is still news to a user who may see it.
func (d *dispatch) concerns(ctx context.Context, room *rooms.Room, e *rooms.Stored, nid int64, user matrix.UserID, about *item) (bool, error) {
	m, err := d.DB.FindMembership(ctx, nid, room.NID())
	if errors.Is(err, storage.ErrNotFound) || err == nil && m.Membership != storage.MemberJoin {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if m.Pos > about.pos { // he came in later, or changed his name
		seen, err := d.Rooms.Visible(ctx, room, user, []*rooms.Stored{e})
		if err != nil || len(seen) == 0 {
			return false, err
		}
	}
	r, err := d.Sync.ReadingOf(ctx, nid, room)
	return err == nil && !r.Covers(about.pos, about.thread), err
}

// describe adds how the user's rules present the event, and names to show.
func (d *dispatch) describe(ctx context.Context, n *notification, room *rooms.Room, nid int64, about *item) error {
	view, err := d.Rooms.Current(ctx, room)
	if err != nil {
		return err
	}
	state := present{ctx, view}
	notice, err := d.Rules.Notice(ctx, nid, n.user, n.event, push.Occasion{
		Members: view.Joined(), Thread: about.thread,
		MayNotify:   state.mayNotify(n.event.Sender),
		DisplayName: func() string { return state.name(n.user) },
	})
	if err != nil {
		return err
	}
	n.take(notice)
	if about.highlight && !notice.Highlight {
		n.mention()
	}
	n.sender, n.roomName, n.alias = state.name(n.event.Sender), state.text("m.room.name"), state.text("m.room.canonical_alias")
	return nil
}

// invitation is a notification of an invitation that the user has not answered yet; his rules and those he ignores apply.
func (d *dispatch) invitation(ctx context.Context, n *notification, row *storage.Pusher, about *item) (*notification, error) {
	m, err := d.DB.FindMembership(ctx, row.User, about.room)
	if err != nil || m.Membership != storage.MemberInvite || m.Event != about.event {
		if errors.Is(err, storage.ErrNotFound) {
			err = nil
		}
		return nil, err
	}
	if hidden, err := d.Rooms.HidesInvite(ctx, n.user, n.event.Sender); hidden || err != nil {
		return nil, err // Spec: client-server-api/#invite-permission
	}
	notice, err := d.Rules.Notice(ctx, row.User, n.user, n.event, push.Occasion{
		MayNotify:   func(string) bool { return false },
		DisplayName: func() string { return "" },
	})
	if err != nil || !notice.Notify {
		return nil, err
	}
	n.take(notice)
	return n, nil
}

// present reads a room's current state for one notification; a read that fails finds nothing.
type present struct {
	ctx  context.Context //nolint:containedctx // Why: authrules.State has no context; this value lives for one call
	view *rooms.View
}

// Event implements authrules.State.
func (p present) Event(t matrix.StateTuple) *matrix.Event {
	e, err := p.view.Get(p.ctx, t)
	if err != nil {
		return nil
	}
	return e
}

func (p present) mayNotify(sender matrix.UserID) func(string) bool {
	return func(key string) bool {
		return authrules.PowerLevelOf(p, sender) >= authrules.NotificationPower(p, key)
	}
}

// name is what somebody is called in the room.
func (p present) name(id matrix.UserID) string {
	e := p.Event(matrix.StateTuple{Type: "m.room.member", Key: string(id)})
	if e == nil {
		return ""
	}
	content, _ := e.MembershipContent() // a broken name is no name
	return content.DisplayName
}
