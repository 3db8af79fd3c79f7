package pushers

import (
	"context"
	"fmt"

	"rempart/storage"
)

// save stores how far everybody was told, if that has changed enough.
func (d *dispatch) save(ctx context.Context) error {
	c, written := d.progress()
	if !d.active && len(written) == 0 && len(d.rejected) == 0 && d.pos < d.saved+savesAfter {
		return nil
	}
	for _, r := range d.rejected {
		c.Guard(storage.DeletePusherSet(r.p.nid, r.setAt))
		c.Live(storage.Live{Kind: storage.KindPusher, User: r.p.user})
	}
	if err := d.DB.Commit(ctx, c); err != nil {
		return fmt.Errorf("store how far pushers were told: %w", err)
	}
	d.saved, d.rejected, d.active = d.pos, nil, false
	for _, p := range written {
		p.behind, p.stored = p.place(), p.since
	}
	return nil
}

// progress is the Change that stores the cursor, and the pushers whose place differs from what is stored. One that keeps up
// with the cursor is not written.
func (d *dispatch) progress() (c *storage.Change, written []*pusher) {
	c = &storage.Change{}
	c.Guard(d.lease.Held())
	c.Add(&storage.PushCursorRow{Pos: d.pos})
	for p := range d.unsaved {
		switch {
		case p.gone:
			delete(d.unsaved, p)
		case p.place() != p.behind || p.since != p.stored:
			c.Add(p.progress())
			written = append(written, p)
		case p.since == 0 && p.behind == 0:
			delete(d.unsaved, p)
		}
	}
	return c, written
}

// lastWords saves what has arrived and gives the lease back.
func (d *dispatch) lastWords(ctx context.Context) {
	c, _ := d.progress()
	c.Guard(d.lease.Release())
	if err := d.DB.Commit(ctx, c); err != nil {
		d.Log.Warn("store how far pushers were told", "error", err)
	}
}
