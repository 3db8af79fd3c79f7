package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"rempart/core"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Bounds of finishing joins whose answer was lost.
const (
	joinJob        = "rooms.join"
	maxUnanswered  = 100 // that wait at once; of more nothing is remembered
	finishAtOnce   = 4
	finishLook     = 15 * time.Second // between two looks for what is to be finished, where nothing is known of,
	finishTick     = time.Second      // and where something is
	finishLease    = 2 * time.Minute
	finishPause    = time.Minute      // between two attempts at most; the first come quicker
	finishTime     = 15 * time.Minute // after that the user leaves again
	finishPatience = time.Hour        // after that nothing more is tried
	quickFailure   = 5 * time.Second  // a join that fails sooner is handed in again while the user waits,
	joinRepeats    = 2                // so often
)

// errUnanswered says that a join was handed in and that no answer came, or not all of it: whether the room counts the user in is not known.
type errUnanswered struct{ cause error }

func (e errUnanswered) Error() string { return "the answer to the join was lost: " + e.cause.Error() }
func (e errUnanswered) Unwrap() error { return e.cause }

// unanswered turns an error of handing a join in into errUnanswered where it is that.
func unanswered(err error) error {
	if !core.Unreached(err) || core.AnswerStatus(err) == http.StatusTooManyRequests {
		return err
	}
	return errUnanswered{err}
}

// unfinished is a join whose answer was lost, as a job keeps it.
type unfinished struct {
	Room    matrix.RoomID     `json:"room"`
	User    matrix.UserID     `json:"user"`
	To      matrix.ServerName `json:"to"`
	Version string            `json:"version"`
	Event   json.RawMessage   `json:"event"`
	Bare    bool              `json:"bare,omitempty"`
	// Leave says that the user does not want to be in the room any more.
	Leave bool `json:"leave,omitempty"`
}

func (u *unfinished) entry() Entry { return Entry{Room: u.Room, User: u.User, bare: u.Bare} }

// handInAgain hands in a join, and the same once more where the answer is lost: who has it already answers the same again.
// Spec: server-server-api/#put_matrixfederationv2send_joinroomideventid
func (s *Service) handInAgain(ctx context.Context, e Entry, to matrix.ServerName, join *matrix.Event, here bool) error {
	for n := 0; ; n++ {
		began := s.opts.Clock()
		err := s.handIn(ctx, e, to, join, here)
		if err == nil && n > 0 {
			s.catchUp(ctx, e.Room, to)
		}
		if !errors.As(err, new(errUnanswered)) || n == joinRepeats || s.opts.Clock().Sub(began) > quickFailure {
			return err
		}
		s.log.Info("the answer to a join was lost; it is handed in again", "room", e.Room, "server", to, "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(joinAgain << (2 * n)):
		}
	}
}

// catchUp asks the server through which a room was entered late for what was said there since: it told us, while we did not know the room.
func (s *Service) catchUp(ctx context.Context, room matrix.RoomID, to matrix.ServerName) {
	r, err := s.Room(ctx, room)
	if err == nil {
		_, err = s.askNewest(ctx, r, to)
	}
	if err != nil {
		s.log.Info("what was said since a join is not told", "room", room, "server", to, "error", err)
	}
}

// finishLater has a join finished whose answer was lost.
func (s *Service) finishLater(ctx context.Context, u *unfinished) error {
	ctx = context.WithoutCancel(ctx)
	jobs, err := s.unfinishedJoins(ctx)
	if err != nil {
		return err
	}
	if len(jobs) >= maxUnanswered {
		return fmt.Errorf("the answers to %d joins were lost already", len(jobs))
	}
	c := &storage.Change{}
	if err := s.addUnfinished(ctx, c, u); err != nil {
		return err
	}
	return s.commitUnfinished(ctx, c)
}

func (s *Service) addUnfinished(ctx context.Context, c *storage.Change, u *unfinished) error {
	nid, err := s.db.NewID(ctx, storage.OtherNIDs)
	if err != nil {
		return err
	}
	body, err := json.Marshal(u)
	if err == nil {
		c.Add(&storage.JobRow{Job: storage.Job{NID: nid, Kind: joinJob, Body: body, Due: s.nowMS() + finishTick.Milliseconds()}})
	}
	return err
}

// commitUnfinished writes and wakes the finisher.
func (s *Service) commitUnfinished(ctx context.Context, c *storage.Change) error {
	err := s.db.Commit(ctx, c)
	select {
	case s.late <- struct{}{}:
	default:
	}
	return err
}

// unfinishedJoins are all joins whose answer was lost and that are not over, those that somebody tries just now among them.
func (s *Service) unfinishedJoins(ctx context.Context) ([]storage.Job, error) {
	return s.db.ListDueJobs(ctx, joinJob, s.nowMS()+finishPatience.Milliseconds(), maxUnanswered)
}

// leaveUnfinished has a user leave a room of which it is not known whether it counts him in. It reports false where there is none such.
func (s *Service) leaveUnfinished(ctx context.Context, e Entry) (bool, error) {
	unlock, err := s.entering.lock(ctx, e.Room)
	if err != nil {
		return false, err
	}
	defer unlock()
	jobs, err := s.unfinishedJoins(ctx)
	if err != nil {
		return false, err
	}
	c := &storage.Change{}
	for _, j := range jobs {
		var u unfinished
		if matrix.Decode(j.Body, &u) != nil || u.Room != e.Room || u.User != e.User {
			continue
		}
		c.Guard(storage.DeleteJob(j.NID))
		u.Leave = true
		if err := s.addUnfinished(ctx, c, &u); err != nil {
			return false, err
		}
	}
	if len(c.Guards) == 0 {
		return false, nil
	}
	return true, s.commitUnfinished(ctx, c)
}

// finish does what is left of a join whose answer was lost: the same event is handed in again or, once the user has waited too long or does
// not want it any more, a leave. It is over when the error is none of a server that was not reached.
func (s *Service) finish(ctx context.Context, u *unfinished) error {
	v, ok := matrix.Version(u.Version)
	if !ok {
		return matrix.UnsupportedRoomVersion()
	}
	join, err := v.ParseUntrusted(u.Event)
	if err != nil {
		return err
	}
	unlock, err := s.entering.lock(ctx, u.Room)
	if err != nil {
		return err
	}
	defer unlock()
	r, here, err := s.standsIn(ctx, u.Room)
	if err != nil {
		return err
	}
	if r != nil {
		if over, err := s.stoodSince(ctx, r, u.User, join.OriginServerTS); over || err != nil {
			return err
		}
	}
	if u.Leave || s.nowMS()-join.OriginServerTS > finishTime.Milliseconds() {
		_, err := s.leaveThrough(ctx, Entry{Room: u.Room, User: u.User}, []matrix.ServerName{u.To})
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, takeInTime)
	defer cancel()
	if err := s.handIn(ctx, u.entry(), u.To, join, here); err != nil {
		return err
	}
	s.catchUp(ctx, u.Room, u.To)
	return nil
}

// stoodSince reports whether a user is in a room, or whether something became of him there after an instant.
func (s *Service) stoodSince(ctx context.Context, r *Room, user matrix.UserID, since int64) (bool, error) {
	m, err := s.standingOf(ctx, r, user)
	if err != nil || m.Event == 0 {
		return false, err
	}
	e, err := s.event(ctx, m.Event)
	return m.Membership == storage.MemberJoin || err == nil && e.OriginServerTS > since, err
}

// Finisher finishes joins whose answer was lost: until then the others count the user in and he does not know it. Of several nodes one does
// it for each join; what is to be done outlives a restart.
type Finisher struct {
	s    *Service
	stop context.CancelFunc
	wg   sync.WaitGroup
}

// NewFinisher starts the work; it goes on until Close.
func NewFinisher(ctx context.Context, s *Service) *Finisher {
	f := &Finisher{s: s}
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.wg.Go(func() { f.run(ctx) })
	return f
}

// Close ends the work and waits for it.
func (f *Finisher) Close() {
	f.stop()
	f.wg.Wait()
}

func (f *Finisher) run(ctx context.Context) {
	for {
		left, err := f.due(ctx)
		if err != nil && ctx.Err() == nil {
			f.s.log.Error("finish joins", "error", err)
		}
		pause := finishLook
		if left {
			pause = finishTick
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-f.s.late:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// due does what is due now, and reports whether anything is left for later.
func (f *Finisher) due(ctx context.Context) (left bool, err error) {
	jobs, err := f.s.db.ListDueJobs(ctx, joinJob, f.s.nowMS(), finishAtOnce)
	if err != nil {
		return false, err
	}
	errs := make([]error, len(jobs))
	var wg sync.WaitGroup
	for i, j := range jobs {
		wg.Go(func() { errs[i] = f.one(ctx, j) })
	}
	wg.Wait()
	later, err := f.s.unfinishedJoins(ctx)
	return len(later) > 0, errors.Join(append(errs, err)...)
}

// one makes one attempt.
func (f *Finisher) one(ctx context.Context, j storage.Job) error {
	s, c := f.s, &storage.Change{}
	c.Guard(s.db.LeaseJob(j.NID, s.nowMS(), s.nowMS()+finishLease.Milliseconds()))
	if err := s.db.Commit(ctx, c); err != nil {
		if errors.Is(err, storage.ErrGuard) {
			return nil // another node has it
		}
		return err
	}
	var u unfinished
	err := matrix.Decode(j.Body, &u)
	if err == nil {
		err = s.finish(ctx, &u)
	}
	c = &storage.Change{}
	switch old := j.Tries >= int64(finishPatience/finishPause); {
	case ctx.Err() != nil:
		c.Guard(storage.RetryJob(j.NID, s.nowMS(), "stopped")) // whoever runs next goes on
	case core.Unreached(err) && !old:
		pause := min(finishTick<<min(j.Tries, 10), finishPause)
		c.Guard(storage.RetryJob(j.NID, s.nowMS()+pause.Milliseconds(), err.Error()))
	default:
		c.Guard(storage.DeleteJob(j.NID))
		s.log.Info("a join whose answer was lost is over", "room", u.Room, "user", u.User, "server", u.To, "tries", j.Tries, "error", err)
	}
	return s.db.Commit(context.WithoutCancel(ctx), c)
}
