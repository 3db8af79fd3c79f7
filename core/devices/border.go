package devices

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"rempart/core/border"
	"rempart/core/ledger"
	"rempart/internal/matrix"
	"rempart/storage"
)

// askBorder asks the other servers of this installation about the keys of their users. Those that policy lets not answer are named with
// what they would have said; an error is none of theirs.
func askBorder[T any](ctx context.Context, s *Service, from matrix.ServerName, what string, asked map[matrix.UserID]T,
) (map[matrix.ServerName]Failure, error) {
	if s.border == nil {
		return nil, nil
	}
	about := map[matrix.ServerName][]ledger.Name{}
	for user := range asked {
		if s.border.Divides(from, user.Server()) {
			about[user.Server()] = append(about[user.Server()], ledger.User(user))
		}
	}
	closed := map[matrix.ServerName]Failure{}
	for server, names := range about {
		slices.Sort(names)
		err := s.border.Ask(ctx, from, server, border.Devices, what, names...)
		var refused *matrix.Error
		switch {
		case errors.As(err, &refused):
			closed[server] = Failure{refused.Code, refused.Message}
		case err != nil:
			return nil, err
		}
	}
	return closed, nil
}

// addressWithin lets the record have what goes to users of other servers of this installation, and takes out what policy does not let
// pass: who sends it is not told, as he would not be by another server.
func (s *Service) addressWithin(ctx context.Context, change *storage.Change, sender matrix.UserID, typ string, messages Messages) Messages {
	if s.border == nil {
		return messages
	}
	parts := byServer[map[matrix.DeviceID]json.RawMessage]{}
	out := make(Messages, len(messages))
	for user, byDevice := range messages {
		if !s.border.Hears(ctx, sender.Server(), user.Server(), eduToDevice) {
			continue
		}
		out[user] = byDevice
		if s.border.Divides(sender.Server(), user.Server()) {
			parts.add(user.Server(), user, byDevice)
		}
	}
	if len(parts) == 0 {
		return out
	}
	live := change.Live(storage.Live{Kind: storage.KindOutbox}) + 1
	part := int64(0)
	for server, byUser := range parts {
		body, err := json.Marshal(directMessage{Sender: sender, Type: typ, Messages: Messages(byUser)})
		if err != nil {
			continue // Why: what is not JSON is refused by who takes the messages
		}
		part++
		change.Post(&storage.OutboxRow{At: storage.At{Live: live}, Part: part, Origin: sender.Server(), Extra: server, EDU: eduToDevice, Body: body})
	}
	return out
}
