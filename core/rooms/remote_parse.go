package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"rempart/core"
	"rempart/internal/matrix"
	"rempart/storage"
)

// errAlone says that there is no way to other servers.
var errAlone = matrix.NotFound("This room is not known here, and this server talks to no others.")

// parse reads events that a peer sent: format, hashes, size, room. Those that are no proper events of the room are left out.
// Spec: server-server-api/#checks-performed-on-receipt-of-a-pdu, points 1 and 3
func parse(v *matrix.RoomVersion, room matrix.RoomID, raws []json.RawMessage) []*matrix.Event {
	out := make([]*matrix.Event, 0, len(raws))
	seen := make(map[matrix.EventID]struct{}, len(raws))
	for _, raw := range raws {
		e, err := v.ParseUntrusted(raw)
		if err != nil || e.RoomID != room {
			continue
		}
		if _, twice := seen[e.ID]; !twice {
			seen[e.ID] = struct{}{}
			out = append(out, e)
		}
	}
	return out
}

// verified leaves out events whose signatures do not hold, and reports whether any is among them that could not be checked now.
// Spec: the same, point 2
func (s *Service) verified(ctx context.Context, events []*matrix.Event) (kept []*matrix.Event, unchecked bool) {
	if len(events) == 0 {
		return nil, false
	}
	errs := s.opts.Peers.VerifyEvents(ctx, events)
	kept = make([]*matrix.Event, 0, len(events))
	for i, e := range events {
		if errs[i] != nil {
			s.log.Debug("event of another server is not signed as it must be", "room", e.RoomID, "event", e.ID, "error", errs[i])
			s.claim(ctx, e)
			unchecked = unchecked || errors.Is(errs[i], core.ErrUnreached)
			continue
		}
		kept = append(kept, e)
	}
	return kept, unchecked
}

// unknown are those events that a room does not have yet, and what is known of any. Why: a signature costs more to check than a look-up.
func (s *Service) unknown(ctx context.Context, r *Room, events []*matrix.Event) ([]*matrix.Event, map[matrix.EventID]storage.KnownEvent, error) {
	known, err := s.db.KnownEvents(ctx, r.nid, idsOf(events))
	if err != nil {
		return nil, nil, err
	}
	seen := make(map[matrix.EventID]bool, len(events))
	out := make([]*matrix.Event, 0, len(events))
	for _, e := range events {
		if k, ok := known[e.ID]; !seen[e.ID] && (!ok || k.Flags&outOfBand == outOfBand) {
			seen[e.ID] = true
			out = append(out, e)
		}
	}
	return out, known, nil
}

func idsOf(events []*matrix.Event) []matrix.EventID {
	ids := make([]matrix.EventID, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids
}

// missingOf are those events that a room does not have yet. One that came without the room does not count.
func (s *Service) missingOf(ctx context.Context, r *Room, ids []matrix.EventID) ([]matrix.EventID, error) {
	known, err := s.db.KnownEvents(ctx, r.nid, ids)
	if err != nil {
		return nil, err
	}
	out := make([]matrix.EventID, 0, len(ids)-len(known))
	for _, id := range ids {
		if k, ok := known[id]; !ok || k.Flags&outOfBand == outOfBand {
			out = append(out, id)
		}
	}
	return out, nil
}

// isOurs reports whether a server name is one of this installation.
func (s *Service) isOurs(server matrix.ServerName) bool {
	_, ours := s.opts.Keys.SigningKey(server)
	return ours
}

// resident reports whether this installation is in a room: one of its users is a member.
func (s *Service) resident(ctx context.Context, r *Room) (bool, error) {
	return s.db.HasLocalMember(ctx, r.nid)
}

// others are the servers of a list that are not ours, each once, at most that many.
func (s *Service) others(most int, lists ...[]matrix.ServerName) []matrix.ServerName {
	var out []matrix.ServerName
	for _, list := range lists {
		for _, name := range list {
			if name == "" || s.isOurs(name) || slices.Contains(out, name) {
				continue
			}
			if _, err := matrix.ParseServerName(string(name)); err == nil {
				out = append(out, name)
			}
			if len(out) == most {
				return out
			}
		}
	}
	return out
}

// remoteRefusal is what a client is told when other servers did not help: their own words where they refused.
func remoteRefusal(err error) error {
	var e *matrix.Error
	if errors.As(err, &e) && e.Code != "" && e.Status >= 400 && e.Status < 500 {
		return err
	}
	return matrix.NewError(502, matrix.CodeUnknown, "No server in the room could be reached. Try again later.").
		French("Aucun serveur du salon n'a pu être joint. Réessayez plus tard.").Wrap(err)
}
