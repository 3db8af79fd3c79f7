package users

import (
	"context"
	"encoding/json"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Members is how this package reaches into rooms.
type Members interface {
	// SetProfile brings the user's member events in all rooms that he is joined to up to his profile. It may be
	// repeated: where nothing differs nothing is sent.
	SetProfile(ctx context.Context, user matrix.UserID, nid int64, p storage.Profile) error
	// LeaveAll makes the user leave all rooms and refuse all invitations.
	LeaveAll(ctx context.Context, user matrix.UserID, nid int64) error
}

const (
	profileJob = "profile"
	jobLease   = 2 * time.Minute
	jobRetry   = time.Minute
	jobBatch   = 100
)

// profileWork is the body of a job that writes a profile into rooms.
type profileWork struct {
	User matrix.UserID `json:"user"`
	NID  int64         `json:"nid"`
}

// addProfileJob adds to a Change of a profile the work that follows from it, so that a crash does not lose it.
func (s *Service) addProfileJob(ctx context.Context, change *storage.Change, c matrix.Caller) error {
	if s.members == nil {
		return nil
	}
	nid, err := s.db.NewID(ctx, storage.OtherNIDs)
	if err != nil {
		return err
	}
	body, err := json.Marshal(profileWork{c.User, c.UserNID})
	if err != nil {
		return err
	}
	change.Add(&storage.JobRow{Job: storage.Job{NID: nid, Kind: profileJob, Body: body}})
	return nil
}

// wakePropagation lets the worker look for jobs now.
func (s *Service) wakePropagation() {
	select {
	case s.profile <- struct{}{}:
	default:
	}
}

// propagate writes changed profiles into rooms until the service ends.
func (s *Service) propagate(ctx context.Context) {
	again := time.NewTicker(30 * time.Second)
	defer again.Stop()
	for {
		if err := s.propagateDue(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("write profiles into rooms", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.profile:
		case <-again.C:
		}
	}
}

// propagateDue does all jobs that are due.
func (s *Service) propagateDue(ctx context.Context) error {
	for {
		jobs, err := s.db.ListDueJobs(ctx, profileJob, s.nowMS(), jobBatch)
		if err != nil || len(jobs) == 0 {
			return err
		}
		for _, j := range jobs {
			if err := s.doProfileJob(ctx, j); err != nil {
				return err
			}
		}
		if len(jobs) < jobBatch {
			return nil
		}
	}
}

func (s *Service) doProfileJob(ctx context.Context, j storage.Job) error {
	now := s.nowMS()
	c := &storage.Change{}
	c.Guard(s.db.LeaseJob(j.NID, now, now+jobLease.Milliseconds()))
	if err := s.db.Commit(ctx, c); err != nil {
		return ignoreGuard(err) // another node has it
	}
	c = &storage.Change{}
	if err := s.writeProfile(ctx, j); err != nil {
		if ctx.Err() != nil {
			return ctx.Err() // the lease ends by itself; whoever runs then goes on
		}
		s.log.Warn("write a profile into rooms", "error", err, "tries", j.Tries)
		c.Guard(storage.RetryJob(j.NID, now+jobRetry.Milliseconds()*(1+min(j.Tries, 60)), err.Error()))
	} else {
		c.Guard(storage.DeleteJob(j.NID))
	}
	return s.db.Commit(ctx, c)
}

func (s *Service) writeProfile(ctx context.Context, j storage.Job) error {
	var w profileWork
	if err := matrix.Decode(j.Body, &w); err != nil {
		return err
	}
	p, err := s.db.GetProfile(ctx, w.NID)
	if err != nil {
		return err
	}
	return s.members.SetProfile(ctx, w.User, w.NID, p)
}
