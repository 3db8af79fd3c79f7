package rooms

import (
	"context"
	"errors"

	"rempart/internal/matrix"
	"rempart/storage"
)

// asSeen is an event as the user may see it: redacted when its sender has closed his account and asked that what he
// wrote be shown to nobody new, and the user was not in the room when it was said.
// Spec: client-server-api/#post_matrixclientv3accountdeactivate
func (v *viewer) asSeen(ctx context.Context, e *Stored) (*Stored, error) {
	if v.all || e.Sender == v.user || e.RedactedBy != nil || e.Has(storage.FlagOutlier) {
		return e, nil
	}
	// Why this first: whoever was there is asked about most, and costs nothing.
	if st, err := v.before(ctx, e); err != nil || st.membership == "join" {
		return e, err
	}
	gone, err := v.erased(ctx, e.Sender)
	if err != nil || !gone {
		return e, err
	}
	return e.bare()
}

// bare is the event in its redacted form, without a redaction.
func (e *Stored) bare() (*Stored, error) {
	bare, err := e.Redacted()
	if err != nil {
		return nil, err
	}
	shown := *e
	shown.Event = bare
	return &shown, nil
}

// erased reports whether somebody's account was closed with erasure.
func (v *viewer) erased(ctx context.Context, sender matrix.UserID) (bool, error) {
	if gone, known := v.gone[sender]; known {
		return gone, nil
	}
	user, err := v.s.db.FindUser(ctx, sender)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return false, err
	}
	if v.gone == nil {
		v.gone = map[matrix.UserID]bool{}
	}
	v.gone[sender] = user.Is(storage.UserErased)
	return v.gone[sender], nil
}
