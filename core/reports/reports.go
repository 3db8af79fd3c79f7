// Package reports takes what users bring to the moderators' notice, and keeps it in a queue until somebody is done with
// it. The client-server API fills the queue; whoever administers a tenant reads it. It decides nothing.
package reports

import (
	"context"
	"errors"
	"time"

	"rempart/core/rooms"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Limits of what one user may report: bytes of a reason, and reports in a day.
const (
	maxReason = 4096
	maxADay   = 200
)

// Service keeps reports. Its methods may be called concurrently.
type Service struct {
	db    *storage.DB
	rooms *rooms.Service
	now   func() time.Time
}

// New makes the service; clock may be nil for the wall clock.
func New(db *storage.DB, r *rooms.Service, clock func() time.Time) *Service {
	if clock == nil {
		clock = time.Now
	}
	return &Service{db: db, rooms: r, now: clock}
}

// Event reports an event of a room that the caller is joined to; M_NOT_FOUND when he is not, or cannot see it.
// Spec: client-server-api/#post_matrixclientv3roomsroomidreporteventid
func (s *Service) Event(ctx context.Context, c matrix.Caller, roomID matrix.RoomID, id matrix.EventID, reason string, score int64) error {
	none := matrix.NotFound("There is no such event, or you are not in its room.")
	room, err := s.rooms.Room(ctx, roomID)
	if matrix.HasCode(err, matrix.CodeNotFound) {
		return none
	}
	if err != nil {
		return err
	}
	m, err := s.rooms.Standing(ctx, room, c.User)
	if err != nil {
		return err
	}
	if m.Membership != storage.MemberJoin {
		return none
	}
	e, err := s.rooms.Event(ctx, room, c.User, id)
	if matrix.HasCode(err, matrix.CodeNotFound) {
		return none
	}
	if err != nil {
		return err
	}
	return s.add(ctx, c, storage.Report{Room: room.NID(), Event: id, Target: e.Row.Sender, Reason: reason, Score: score})
}

// Room reports a room. Of a room that is not known here nothing is kept, and the caller does not hear that.
// Spec: client-server-api/#post_matrixclientv3roomsroomidreport
func (s *Service) Room(ctx context.Context, c matrix.Caller, id matrix.RoomID, reason string) error {
	room, err := s.rooms.Room(ctx, id)
	if matrix.HasCode(err, matrix.CodeNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.add(ctx, c, storage.Report{Room: room.NID(), Reason: reason})
}

// User reports a user. Of one who is not known here nothing is kept, and the caller does not hear that.
// Spec: client-server-api/#post_matrixclientv3usersuseridreport
func (s *Service) User(ctx context.Context, c matrix.Caller, id matrix.UserID, reason string) error {
	nid, err := s.db.FindUserNID(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.add(ctx, c, storage.Report{Target: nid, Reason: reason})
}

func (s *Service) add(ctx context.Context, c matrix.Caller, r storage.Report) (err error) {
	if len(r.Reason) > maxReason {
		return matrix.InvalidParam("The reason is too long.")
	}
	now := s.now()
	n, err := s.db.CountReports(ctx, c.UserNID, now.Add(-24*time.Hour).UnixMilli())
	if err != nil {
		return err
	}
	if n >= maxADay {
		return matrix.LimitExceeded(time.Hour)
	}
	r.TS, r.Tenant, r.Reporter = now.UnixMilli(), c.Tenant, c.UserNID
	if r.NID, err = s.db.NewID(ctx, storage.OtherNIDs); err != nil {
		return err
	}
	change := &storage.Change{}
	change.Add(&storage.ReportRow{Report: r})
	return s.db.Commit(ctx, change)
}

// List lists the reports of a tenant that wait, oldest first, after a number.
func (s *Service) List(ctx context.Context, tenant, after int64, limit int) ([]storage.Report, error) {
	return s.db.ListReports(ctx, tenant, after, limit)
}

// Close takes a report out of the queue; M_NOT_FOUND when it does not wait there.
func (s *Service) Close(ctx context.Context, tenant, nid int64) error {
	change := &storage.Change{}
	change.Guard(storage.CloseReport(tenant, nid, s.now().UnixMilli()).OrElse(matrix.NotFound("No such report waits.")))
	return s.db.Commit(ctx, change)
}
