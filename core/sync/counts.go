package sync

import (
	"strconv"

	"rempart/internal/matrix"
	"rempart/storage"
)

// reading is how far somebody has read, with the room's running counts at that event.
type reading struct{ pos, notify, tnotify int64 }

// mark is how far a user has read a room, as far as it decides on his counts. It is immutable.
//
// All counts are differences: the room's running count of events that notify by default, now and at the mark, corrected
// by the sparse rows of events that count otherwise for this user.
type mark struct {
	all  reading // everything up to here is read
	main reading // everything outside of threads up to here is read; never behind all
	// threads are, by the number of their root, those read further than all; threadsRead is how many events that notify
	// by default are read in them beyond all.
	threads     map[int64]int64
	threadsRead int64
	hits        []storage.PushHit // behind all
	at          int64             // hits are complete up to here
}

// unread is how many events notify and highlight.
type unread struct{ notify, highlight int64 }

// markOf finds how far the user has read a room.
func (b *build) markOf(v *roomView) (*mark, error) {
	h := b.s.hub
	h.mu.Lock()
	m := b.u.marks[v.room]
	h.mu.Unlock()
	if m != nil && v.hits <= m.at && b.knownRooms {
		return m, nil
	}
	m, err := b.readMark(v)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if b.u.unmarked == b.facts.unmarked {
		b.u.marks[v.room] = m
	}
	return m, nil
}

func (b *build) readMark(v *roomView) (*mark, error) {
	rows, err := b.ownReceipts(v.room)
	if err != nil {
		return nil, err
	}
	m := &mark{at: b.head}
	threads := map[int64]int64{}
	var found bool
	m.all, found = readAll(rows)
	for i := range rows {
		r := readingAt(&rows[i])
		switch thread := rows[i].Thread; thread {
		case "":
		case "main":
			m.main = later(m.main, r)
		default:
			root, err := b.threadOf(v, &rows[i])
			if err != nil {
				return nil, err
			}
			threads[root] = max(threads[root], r.pos)
		}
	}
	if !found { // he came in by no event of his own: what was before does not count
		c, err := b.s.db.FindCountsAt(b.ctx, v.room, v.pos)
		if err != nil {
			return nil, err
		}
		m.all = reading{v.pos, c.Notify, c.TNotify}
	}
	m.main = later(m.main, m.all)
	if err := b.readThreads(v, m, threads); err != nil {
		return nil, err
	}
	m.hits, err = b.hitsBehind(v.room, m.all.pos)
	return m, err
}

func readingAt(r *storage.ReceiptRow) reading { return reading{r.EventPos, r.Notify, r.TNotify} }

// readAll is how far the receipts outside of threads say that a room is read; false: there is none.
func readAll(own []storage.ReceiptRow) (all reading, found bool) {
	for i := range own {
		if own[i].Thread == "" {
			all, found = later(all, readingAt(&own[i])), true
		}
	}
	return all, found
}

func later(a, b reading) reading {
	if b.pos > a.pos {
		return b
	}
	return a
}

// threadOf is the number of the root of a receipt's thread; 0 for a thread that does not exist, which holds nothing unread.
func (b *build) threadOf(v *roomView, r *storage.ReceiptRow) (int64, error) {
	if r.Type == storage.OwnReceipt {
		return strconv.ParseInt(r.Thread, 10, 64)
	}
	e, err := b.s.rooms.EventByID(b.ctx, v.r, matrix.EventID(r.Thread))
	if matrix.HasCode(err, matrix.CodeNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return e.Row.NID, nil
}

// readThreads takes in the threads that are read further than the room.
func (b *build) readThreads(v *roomView, m *mark, threads map[int64]int64) error {
	for root, pos := range threads {
		if pos <= m.all.pos || root == 0 {
			continue
		}
		n, err := b.s.db.CountThread(b.ctx, v.room, root, m.all.pos, pos)
		if err != nil {
			return err
		}
		if m.threads == nil {
			m.threads = map[int64]int64{}
		}
		m.threads[root] = pos
		m.threadsRead += n
	}
	return nil
}

// unreadIn sums up the corrections by thread, 0 being the main timeline.
func (m *mark) unreadIn() map[int64]unread {
	type place struct{ pos, thread int64 }
	at := map[place]unread{}
	for _, h := range m.hits {
		read := m.main.pos
		if h.Thread != 0 {
			read = max(m.all.pos, m.threads[h.Thread])
		}
		if h.Pos > read {
			u := at[place{h.Pos, h.Thread}]
			at[place{h.Pos, h.Thread}] = unread{u.notify + h.Notify, u.highlight + h.Highlight}
		}
	}
	out := map[int64]unread{}
	for p, u := range at {
		sum := out[p.thread]
		out[p.thread] = unread{sum.notify + u.notify, sum.highlight + min(max(u.highlight, 0), 1)}
	}
	return out
}

// writeUnread writes the room's unread counts, by thread where the client asked for that.
// Spec: client-server-api/#receiving-notifications
func (b *build) writeUnread(v *roomView) error {
	n, err := b.countsOf(v)
	if err != nil {
		return err
	}
	byThread := b.f.Room.threads()
	b.out = append(b.out, `"unread_notifications":`...)
	if !byThread {
		b.writeCounts(n.all())
		return nil
	}
	b.writeCounts(n.main)
	if n.inThreads <= 0 && len(n.extra) == 0 {
		return nil
	}
	return b.writeThreads(v, n.mark, n.extra)
}

// roomUnread is what a user has not read of a room.
type roomUnread struct {
	mark      *mark
	main      unread           // outside of threads
	inThreads int64            // events in threads that notify by default
	extra     map[int64]unread // corrections by thread, 0 being the main timeline
}

// all sums up the whole room.
func (n *roomUnread) all() unread {
	sum := n.main
	for thread, u := range n.extra {
		if thread != 0 {
			sum = unread{sum.notify + u.notify, sum.highlight + u.highlight}
		}
	}
	sum.notify += n.inThreads
	return sum
}

func (b *build) countsOf(v *roomView) (n roomUnread, err error) {
	if n.mark, err = b.markOf(v); err != nil {
		return n, err
	}
	if !v.counted {
		c, err := b.roomCounts(v.room)
		if err != nil {
			return n, err
		}
		v.notify, v.tnotify = c.Notify, c.TNotify
	}
	m := n.mark
	n.extra = m.unreadIn()
	n.main = n.extra[0]
	n.main.notify += v.notify - v.tnotify - m.main.notify + m.main.tnotify
	n.inThreads = v.tnotify - m.all.tnotify - m.threadsRead
	return n, nil
}

func (b *build) writeCounts(u unread) {
	b.out = strconv.AppendInt(append(b.out, `{"notification_count":`...), max(u.notify, 0), 10)
	b.out = strconv.AppendInt(append(b.out, `,"highlight_count":`...), max(u.highlight, 0), 10)
	b.out = append(b.out, `},`...)
}

// writeThreads writes the counts of the threads that have any.
func (b *build) writeThreads(v *roomView, m *mark, extra map[int64]unread) error {
	counts, err := b.s.db.ListThreadCounts(b.ctx, v.room, m.all.pos)
	if err != nil {
		return err
	}
	for thread, pos := range m.threads {
		n, err := b.s.db.CountThread(b.ctx, v.room, thread, m.all.pos, pos)
		if err != nil {
			return err
		}
		counts[thread] -= n
	}
	for thread, u := range extra {
		if thread != 0 {
			counts[thread] += u.notify
		}
	}
	return b.group("unread_thread_notifications", func() error {
		for thread, n := range counts {
			u := unread{n, extra[thread].highlight}
			if u.notify <= 0 && u.highlight <= 0 {
				continue
			}
			roots, err := b.s.rooms.Events(b.ctx, []int64{thread})
			if err != nil {
				return err
			}
			if len(roots) == 0 { // it was purged
				continue
			}
			b.out = append(matrix.AppendJSONString(b.out, roots[0].ID), ':')
			b.writeCounts(u)
		}
		return nil
	})
}
