package users

import (
	"context"
	"encoding/json"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Mission is a permission of one of our people to use his account from a country abroad for some time. It opens and closes nothing by itself: the
// record of who read from abroad names it.
type Mission struct {
	ID      int64         `json:"id"`
	User    matrix.UserID `json:"user_id"`
	Country string        `json:"country"`
	// From and Until bound it, in milliseconds; Until is the first instant at which it is over.
	From  int64  `json:"from_ts"`
	Until int64  `json:"until_ts"`
	By    string `json:"approver"`
	Note  string `json:"note,omitempty"`
}

// maxMission is the longest mission.
const maxMission = 366 * 24 * 3600 * 1000 // milliseconds

// GrantMission gives a user of the administrator's organisation a mission.
func (s *Service) GrantMission(ctx context.Context, admin matrix.Caller, m Mission) (Mission, error) {
	if _, err := s.Managed(ctx, admin, m.User); err != nil {
		return m, err
	}
	return s.grant(ctx, string(admin.User), m)
}

// GrantMissionByOperator is GrantMission for whoever has the machine.
func (s *Service) GrantMissionByOperator(ctx context.Context, operator string, m Mission) (Mission, error) {
	return s.grant(ctx, operator, m)
}

func (s *Service) grant(ctx context.Context, by string, m Mission) (Mission, error) {
	user, err := s.open(ctx, m.User)
	switch {
	case err != nil:
		return m, err
	case len(m.Country) != 2 || m.Country[0] < 'A' || m.Country[0] > 'Z' || m.Country[1] < 'A' || m.Country[1] > 'Z':
		return m, matrix.InvalidParam("A country is two capital letters, such as BE.")
	case m.Until <= m.From || m.Until-m.From > maxMission:
		return m, matrix.InvalidParam("A mission ends after it begins, and within a year.")
	case len(m.Note) > 500:
		return m, matrix.InvalidParam("A note has at most 500 bytes.")
	}
	if m.ID, err = s.db.NewID(ctx, storage.OtherNIDs); err != nil {
		return m, err
	}
	m.By = by
	return m, s.keepMission(ctx, by, "mission.grant", user.Tenant, m)
}

// EndMission ends a mission now, if it has not ended; what was read under it keeps its number.
func (s *Service) EndMission(ctx context.Context, admin matrix.Caller, id int64) (Mission, error) {
	return s.endMission(ctx, string(admin.User), admin.Tenant, id)
}

// EndMissionByOperator is EndMission for whoever has the machine; server says whose people.
func (s *Service) EndMissionByOperator(ctx context.Context, operator string, server matrix.ServerName, id int64) (Mission, error) {
	return s.endMission(ctx, operator, s.tenants.byName[server], id)
}

func (s *Service) endMission(ctx context.Context, by string, tenant, id int64) (Mission, error) {
	row, err := s.db.FindMission(ctx, tenant, id)
	if errors.Is(err, storage.ErrNotFound) {
		return Mission{}, matrix.NotFound("There is no such mission.")
	}
	if err != nil {
		return Mission{}, err
	}
	m := missionOf(&row)
	m.Until = min(m.Until, max(m.From, s.nowMS()))
	return m, s.keepMission(ctx, by, "mission.end", tenant, m)
}

func (s *Service) keepMission(ctx context.Context, by, act string, tenant int64, m Mission) error {
	c := &storage.Change{}
	c.Add(&storage.MissionRow{Mission: storage.Mission{NID: m.ID, Tenant: tenant, User: m.User, Country: m.Country, Since: m.From, Until: m.Until,
		Approver: m.By, Note: m.Note}})
	detail, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := s.audit(ctx, c, storage.Audit{Admin: by, Act: act, Target: string(m.User), Tenant: tenant, Detail: detail}); err != nil {
		return err
	}
	return s.db.Commit(ctx, c)
}

// Missions lists the missions of an organisation's people, or of one of them unless user is "", the newest first.
func (s *Service) Missions(ctx context.Context, server matrix.ServerName, user matrix.UserID) ([]Mission, error) {
	rows, err := s.db.ListMissions(ctx, s.tenants.byName[server], user)
	out := make([]Mission, len(rows))
	for i := range rows {
		out[i] = missionOf(&rows[i])
	}
	return out, err
}

func missionOf(r *storage.Mission) Mission {
	return Mission{ID: r.NID, User: r.User, Country: r.Country, From: r.Since, Until: r.Until, By: r.Approver, Note: r.Note}
}
