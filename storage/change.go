package storage

import (
	"database/sql"
	"errors"
)

// Kind says what a live entry is about; it is stored in the changes table and must never be renumbered.
type Kind int16

// The kinds of live entries. Room and User of a [Live] are set as the comment says.
const (
	KindEvent       Kind = 1  // an event entered a room's timeline (room; user: target of a local membership change)
	KindState       Kind = 2  // resolution changed current state without an event of its own (room)
	KindMembership  Kind = 3  // a user's membership in a room changed (room, user)
	KindReceipt     Kind = 4  // a receipt moved (room, user)
	KindAccountData Kind = 5  // account data of a user (user; room or 0)
	KindToDevice    Kind = 6  // messages for a device arrived (user)
	KindDeviceList  Kind = 7  // a user's devices or identity keys changed (user)
	KindKeyCount    Kind = 8  // a device's one-time or fallback keys changed (user)
	KindProfile     Kind = 9  // a profile changed (user)
	KindRoom        Kind = 10 // a room's row changed outside its graph: purge, directory, closure (room)
	KindSession     Kind = 11 // a user's sessions changed: caches of tokens are stale (user)
	KindForget      Kind = 12 // a user forgot a room (room, user)
	KindRedaction   Kind = 13 // a redaction changed an event that was there before (room)
	KindOutbox      Kind = 14 // a message for other servers that must arrive
	KindSticky      Kind = 22 // an event that sticks entered a room's timeline (room)
	KindThreads     Kind = 23 // a user said something else of a thread (user)
	KindPusher      Kind = 15 // a user's pushers changed (user)
	KindShadow      Kind = 21 // which accounts are shadow-banned changed (user)
)

// Live is an entry of the live stream. Pos is filled in at commit.
type Live struct {
	Kind Kind
	Room int64
	User int64
	Pos  int64
	// Value is what the entry is about, for readers in this process; nil when the entry came from another node.
	Value any
}

// Row is one row to add. Rows of one table are written together in multi-row statements.
type Row interface {
	table() *table
	// args appends the row's columns in the table's order. It is called after positions are known.
	args(dst []any) []any
}

// Guard is a statement that must hold for its Change to be written: an insert-if-absent, an update of a version,
// a claim. Guards run one by one, in order, before any row of their Change is added; they see the rows of the Changes
// before. They are made by functions of this package.
type Guard struct {
	sql  string
	args []any
	// want is the number of rows that must be affected; anyRows accepts any number, someRows at least one.
	want int
	// scan, when set, is called for each returned row: that is how a claim hands out what it took.
	scan func(*sql.Rows) error
	// begin, when set, is called before each run of the guard. A guard runs again when its transaction had to be
	// repeated: begin forgets what scan collected the time before.
	begin func()
	// fail is what the writer is told when the guard does not hold; default ErrGuard.
	fail error
}

const (
	anyRows  = -1
	someRows = -2
)

// OrElse returns the guard with the error that its writer is told when it does not hold.
func (g Guard) OrElse(err error) Guard {
	g.fail = err
	return g
}

// Errors that a Change can end with, beside those of its guards and of the database.
var (
	// ErrGuard says that a guard did not hold; nothing of the Change was written.
	ErrGuard = errors.New("storage: a guard did not hold")
	// ErrStale says that the room moved on since the Change was built; load it again and rebuild.
	ErrStale = errors.New("storage: the room has moved on")
	// ErrRestored says that the database was put back from a copy while this process ran, or that this process slept for
	// longer than the entries of the stream are kept: it must be restarted.
	ErrRestored = errors.New("storage: the database was restored while this process ran, or this process slept for too long: it must be started anew")
	// ErrClosed says that the database is closing.
	ErrClosed = errors.New("storage: closed")
	// ErrNotFound says that a row which must exist does not.
	ErrNotFound = errors.New("storage: not found")
)

// Change is a write as a value. Fill it, hand it to [DB.Commit] (or to a [Slot]), and do not touch it afterwards.
// It is written as a whole or not at all; other Changes of the same transaction do not depend on it.
type Change struct {
	Guards []Guard
	Rows   []Row
	Rooms  []RoomWrite
	Lives  []Live

	done chan error
	err  error
}

// Add appends rows.
func (c *Change) Add(rows ...Row) { c.Rows = append(c.Rows, rows...) }

// Guard appends guards.
func (c *Change) Guard(guards ...Guard) { c.Guards = append(c.Guards, guards...) }

// Live appends an entry to the live stream and returns its index in Lives.
func (c *Change) Live(l Live) int {
	c.Lives = append(c.Lives, l)
	return len(c.Lives) - 1
}

// LastPos is the position of the last live entry; 0 if there is none. Valid after the commit.
func (c *Change) LastPos() int64 {
	if len(c.Lives) == 0 {
		return 0
	}
	return c.Lives[len(c.Lives)-1].Pos
}

// Wait blocks until the Change is committed or dropped. It does not end with a context: the outcome of a write
// that is under way must be known.
func (c *Change) Wait() error { return <-c.done }

// RoomWrite says how a Change moves a room's row. The committer applies it to the row as it is at commit.
type RoomWrite struct {
	Room int64
	// BaseVersion is the room's version that the Change was built on, counting Changes still under way.
	BaseVersion int64
	// BaseStateSeq is the head of the main branch that the Change was built on.
	BaseStateSeq int64
	// Exact asks that the room has not moved at all since BaseVersion (a state event, a resolution). Without it
	// the Change is kept as a fork when only the heads moved.
	Exact bool
	// After is the Change still under way that this one builds on; when it fails, so does this one.
	After *Change
	// Remove and Add change the set of heads (forward extremities), by event number.
	Remove, Add []int64
	// StateSeq is the new head of the main branch; 0 leaves it.
	StateSeq int64
	// Depth raises the room's depth.
	Depth int64
	// Events get their running counts from the room's row: number of events so far that notify by default.
	Events []*EventRow
	// NewRoom says that the room's row is added by this very Change (a RoomRow among Rows): nothing to compare.
	NewRoom *RoomRow
}

// Batch is what one commit wrote, in order; it is handed to subscribers before the writers are answered.
// Lives of a remote batch (written by another node) carry no values.
type Batch struct {
	// After is the position before the batch's first live entry, To that of its last.
	After, To int64
	Lives     []Live
	Remote    bool
}
