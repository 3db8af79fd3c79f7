package admin

import (
	"context"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Report is what a user brought to the moderators' notice, with names in the place of numbers.
type Report struct {
	storage.Report
	Reporter, Target matrix.UserID // Target: who is reported, or whose event
	Room             *Room         // nil for a report of a user, and when the room is gone
	RoomID           matrix.RoomID
	JSON             []byte // of the event, in the form of servers; nil unless one report is asked for, or when it is gone
}

// ReportFilter chooses reports; empty fields do not choose.
type ReportFilter struct {
	Users            bool // reports of users, in the place of those of events
	Reporter, Target matrix.UserID
	Room             matrix.RoomID
}

// nobody is the number of no user and no room.
const nobody = -1

// Reports lists the reports that wait.
func (s *Service) Reports(ctx context.Context, admin matrix.Caller, f ReportFilter, p Page) ([]Report, int64, error) {
	q := storage.ReportQuery{Tenant: admin.Tenant, Users: f.Users, Backward: p.Backward, Offset: p.From, Limit: p.Limit}
	for id, to := range map[matrix.UserID]*int64{f.Reporter: &q.Reporter, f.Target: &q.Target} {
		if id == "" {
			continue
		}
		nid, err := s.DB.FindUserNID(ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			nid, err = nobody, nil
		}
		if err != nil {
			return nil, 0, err
		}
		*to = nid
	}
	if f.Room != "" {
		r, err := s.Graph.Room(ctx, f.Room)
		switch {
		case matrix.HasCode(err, matrix.CodeNotFound):
			q.Room = nobody
		case err != nil:
			return nil, 0, err
		default:
			q.Room = r.NID()
		}
	}
	list, total, err := s.DB.QueryReports(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	out := make([]Report, len(list))
	for i, p := range list {
		if out[i], err = s.report(ctx, p); err != nil {
			return nil, 0, err
		}
	}
	return out, total, nil
}

// report adds the names to a report.
func (s *Service) report(ctx context.Context, p storage.Report) (r Report, err error) {
	r.Report = p
	if r.Reporter, err = s.DB.GetUserID(ctx, p.Reporter); err != nil {
		return r, err
	}
	if p.Target != 0 {
		if r.Target, err = s.DB.GetUserID(ctx, p.Target); err != nil {
			return r, err
		}
	}
	if p.Room == 0 {
		return r, nil
	}
	room, err := s.describe(ctx, storage.ListedRoom{NID: p.Room})
	if matrix.HasCode(err, matrix.CodeNotFound) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	in, err := s.Graph.RoomByNID(ctx, p.Room)
	if err == nil {
		r.Room, r.RoomID = room, in.ID()
	}
	return r, err
}

// find reads a report of the right kind that waits.
func (s *Service) find(ctx context.Context, admin matrix.Caller, users bool, id int64) (storage.Report, error) {
	p, err := s.DB.FindReport(ctx, admin.Tenant, id)
	if errors.Is(err, storage.ErrNotFound) || err == nil && (p.Event == "") != users {
		err = matrix.NotFound("Report not found")
	}
	return p, err
}

// ReportByID reads one report, with the event that it is about.
func (s *Service) ReportByID(ctx context.Context, admin matrix.Caller, users bool, id int64) (r Report, err error) {
	p, err := s.find(ctx, admin, users, id)
	if err != nil {
		return r, err
	}
	if r, err = s.report(ctx, p); err != nil || r.Room == nil || p.Event == "" {
		return r, err
	}
	in, err := s.Graph.RoomByNID(ctx, p.Room)
	if err != nil {
		return r, err
	}
	if err := s.Note(ctx, admin, "report.read", string(p.Event), nil); err != nil {
		return r, err
	}
	e, err := s.Graph.EventByID(ctx, in, p.Event)
	if matrix.HasCode(err, matrix.CodeNotFound) {
		return r, nil // purged since
	}
	if err == nil {
		r.JSON = e.JSON
	}
	return r, err
}

// CloseReport takes a report out of the queue.
func (s *Service) CloseReport(ctx context.Context, admin matrix.Caller, users bool, id int64) error {
	p, err := s.find(ctx, admin, users, id)
	if err != nil {
		return err
	}
	c := &storage.Change{}
	c.Guard(storage.CloseReport(admin.Tenant, p.NID, s.nowMS()).OrElse(matrix.NotFound("Report not found")))
	return s.act(ctx, c, admin, "report.close", string(p.Event), map[string]int64{"report": p.NID})
}
