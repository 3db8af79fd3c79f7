package admin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// The names of the long work, as administrators' tools know it.
const (
	ActionDelete = "shutdown_and_purge_room"
	ActionPurge  = "purge_history"
	ActionRedact = "redact_all_events"
)

const (
	taskJob   = "admin"
	workers   = 3                   // tasks at once
	taskLease = 20 * time.Second    // after a crash somebody else goes on after so long
	lookAgain = 5 * time.Second     // for tasks of other nodes
	taskKept  = 7 * 24 * time.Hour  // how long its outcome is told
	goneKept  = 30 * 24 * time.Hour // how long clients are told that a removed room was left
)

// jobBody names the task that a job is of.
type jobBody struct {
	Task string `json:"task"`
}

// task is work under way.
type task struct {
	s   *Service
	job int64
	storage.AdminTask
}

// start notes work to be done and returns its id at once. The record of the act goes with it.
func (s *Service) start(ctx context.Context, admin matrix.Caller, action, resource string, body any) (string, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	t := storage.AdminTask{ID: rand.Text(), Tenant: admin.Tenant, Admin: string(admin.User), Action: action, Resource: resource,
		Status: storage.TaskScheduled, TS: s.nowMS(), Body: raw}
	nid, err := s.DB.NewID(ctx, storage.OtherNIDs)
	if err != nil {
		return "", err
	}
	job, err := json.Marshal(jobBody{t.ID})
	if err != nil {
		return "", err
	}
	c := &storage.Change{}
	c.Add(&storage.AdminTaskRow{AdminTask: t}, &storage.JobRow{Job: storage.Job{NID: nid, Kind: taskJob, Body: job}})
	if err := s.act(ctx, c, admin, action, resource, json.RawMessage(raw)); err != nil {
		return "", err
	}
	s.alarm()
	return t.ID, nil
}

func (s *Service) alarm() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Task reads how far work is; M_NOT_FOUND when the administrator's organisation asked for no such thing.
func (s *Service) Task(ctx context.Context, admin matrix.Caller, action, id string) (storage.AdminTask, error) {
	t, err := s.DB.FindAdminTask(ctx, id)
	if errors.Is(err, storage.ErrNotFound) || err == nil && (t.Tenant != admin.Tenant || t.Action != action) {
		err = matrix.NotFound("Nothing of this id is under way or was done lately: " + id)
	}
	return t, err
}

// Tasks lists long work, newest first.
func (s *Service) Tasks(ctx context.Context, admin matrix.Caller, q storage.TaskQuery) ([]storage.AdminTask, error) {
	q.Tenant, q.Limit = admin.Tenant, 1000
	return s.DB.ListAdminTasks(ctx, q)
}

// Await waits until work is done. It ends earlier with the request; the work goes on then.
func (s *Service) Await(ctx context.Context, admin matrix.Caller, action, id string) (storage.AdminTask, error) {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		t, err := s.Task(ctx, admin, action, id)
		if err != nil || t.Status == storage.TaskComplete || t.Status == storage.TaskFailed {
			return t, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return t, ctx.Err()
		}
	}
}

// work does tasks until the service ends.
func (s *Service) work(ctx context.Context) {
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		if err := s.workDue(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error("do what administrators asked for", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-again.C:
		}
	}
}

func (s *Service) workDue(ctx context.Context) error {
	for {
		jobs, err := s.DB.ListDueJobs(ctx, taskJob, s.nowMS(), workers)
		if err != nil || len(jobs) == 0 {
			return err
		}
		done := 0
		for _, j := range jobs {
			switch err := s.doJob(ctx, j); {
			case errors.Is(err, storage.ErrGuard): // another worker has it
			case err != nil:
				return err
			default:
				done++
			}
		}
		if done == 0 {
			return nil
		}
	}
}

// doJob does one task, unless another node does. Work that the end of the service cuts short is given back.
func (s *Service) doJob(ctx context.Context, j storage.Job) error {
	now := s.nowMS()
	c := &storage.Change{}
	c.Guard(s.DB.LeaseJob(j.NID, now, now+taskLease.Milliseconds()))
	if err := s.DB.Commit(ctx, c); err != nil {
		return err
	}
	var body jobBody
	if err := matrix.Decode(j.Body, &body); err != nil {
		return err
	}
	found, err := s.DB.FindAdminTask(ctx, body.Task)
	if err != nil {
		return err
	}
	t := &task{s, j.NID, found}
	t.Status = storage.TaskActive
	if err := t.keep(ctx, nil); err != nil {
		return err
	}
	err = t.run(ctx)
	c = &storage.Change{}
	if ctx.Err() != nil || errors.Is(err, storage.ErrLeaseLost) {
		c.Guard(storage.RetryJob(j.NID, 0, "interrupted"))
		return s.DB.Commit(context.WithoutCancel(ctx), c)
	}
	t.Status, t.TS = storage.TaskComplete, s.nowMS()
	if err != nil {
		t.Status, t.Error = storage.TaskFailed, matrix.AsError(err).Message
		s.Log.Warn("a task of an administrator failed", "action", t.Action, "resource", t.Resource, "error", err)
	}
	c.Add(&storage.AdminTaskRow{AdminTask: t.AdminTask})
	c.Guard(storage.DeleteJob(j.NID), storage.DeleteAdminTasks(s.Clock().Add(-taskKept).UnixMilli()))
	if err := s.DB.Commit(ctx, c); err != nil {
		return err
	}
	return s.DB.PruneGoneRooms(ctx, s.Clock().Add(-goneKept).UnixMilli())
}

func (t *task) run(ctx context.Context) error {
	switch t.Action {
	case ActionDelete:
		return t.deleteRoom(ctx)
	case ActionPurge:
		return t.purge(ctx)
	case ActionRedact:
		return t.redact(ctx)
	}
	return matrix.InvalidParam("There is no such work.")
}

// keep stores what came out so far, if it is given, and renews the lease; it fails when another node has taken over.
func (t *task) keep(ctx context.Context, result any) error {
	if result != nil {
		raw, err := json.Marshal(result)
		if err != nil {
			return err
		}
		t.Result = raw
	}
	c := &storage.Change{}
	c.Guard(t.s.DB.KeepJob(t.job, t.s.nowMS()+taskLease.Milliseconds()))
	c.Add(&storage.AdminTaskRow{AdminTask: t.AdminTask})
	return t.s.DB.Commit(ctx, c)
}

// under reports whether work of this kind on this resource is not done yet.
func (s *Service) under(ctx context.Context, admin matrix.Caller, action, resource string) (bool, error) {
	for _, status := range []string{storage.TaskScheduled, storage.TaskActive} {
		list, err := s.DB.ListAdminTasks(ctx, storage.TaskQuery{Tenant: admin.Tenant, Action: action, Resource: resource, Status: status, Limit: 1})
		if err != nil || len(list) > 0 {
			return len(list) > 0, err
		}
	}
	return false, nil
}
