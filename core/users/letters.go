package users

import (
	"context"
	"encoding/json"
	"time"

	"rempart/internal/mail"
	"rempart/internal/matrix"
	"rempart/storage"
)

const (
	letterJob = "letter"
	// letterTries bounds how often a letter is tried: with growing pauses, over two days.
	letterTries = 30
	letterRetry = 2 * time.Minute
	// letterSeconds is how long a letter is held by the node that sends it.
	letterLease = 5 * time.Minute
)

// addLetter adds a letter to the Change that makes it necessary; it is sent soon after the commit, and again after a
// crash. Call wakeLetters then.
func (s *Service) addLetter(ctx context.Context, c *storage.Change, l mail.Letter) error {
	nid, err := s.db.NewID(ctx, storage.OtherNIDs)
	if err != nil {
		return err
	}
	body, err := json.Marshal(l)
	if err != nil {
		return err
	}
	c.Add(&storage.JobRow{Job: storage.Job{NID: nid, Kind: letterJob, Body: body}})
	return nil
}

// wakeLetters lets the worker look for letters now.
func (s *Service) wakeLetters() {
	select {
	case s.letters <- struct{}{}:
	default:
	}
}

// sendLetters hands letters to the mail server until the service ends.
func (s *Service) sendLetters(ctx context.Context) {
	again := time.NewTicker(30 * time.Second)
	defer again.Stop()
	for {
		if err := s.lettersDue(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("send letters", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.letters:
		case <-again.C:
		}
	}
}

func (s *Service) lettersDue(ctx context.Context) error {
	for {
		jobs, err := s.db.ListDueJobs(ctx, letterJob, s.nowMS(), jobBatch)
		if err != nil || len(jobs) == 0 {
			return err
		}
		for _, j := range jobs {
			if err := s.sendLetter(ctx, j); err != nil {
				return err
			}
		}
		if len(jobs) < jobBatch {
			return nil
		}
	}
}

// sendLetter hands over one letter. Why a lease: two nodes must not send it twice.
func (s *Service) sendLetter(ctx context.Context, j storage.Job) error {
	now := s.nowMS()
	c := &storage.Change{}
	c.Guard(s.db.LeaseJob(j.NID, now, now+letterLease.Milliseconds()))
	if err := s.db.Commit(ctx, c); err != nil {
		return ignoreGuard(err) // another node has it
	}
	var l mail.Letter
	err := matrix.Decode(j.Body, &l)
	if err == nil {
		err = s.people.Mail.Send(ctx, l)
	}
	if ctx.Err() != nil {
		return ctx.Err() // the lease ends by itself; whoever runs then goes on
	}
	c = &storage.Change{}
	switch {
	case err == nil:
		c.Guard(storage.DeleteJob(j.NID))
	case mail.Refused(err) || j.Tries >= letterTries:
		s.log.Warn("a letter cannot be delivered", "kind", string(l.Kind), "domain", l.To.Domain(), "error", err)
		c.Guard(storage.DeleteJob(j.NID))
	default:
		s.log.Warn("a letter waits for the mail server", "kind", string(l.Kind), "error", err, "tries", j.Tries)
		c.Guard(storage.RetryJob(j.NID, now+letterRetry.Milliseconds()*(1+j.Tries), err.Error()))
	}
	return s.db.Commit(ctx, c)
}
