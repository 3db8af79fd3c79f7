package users

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

// PageStage is a stage of an authentication that can be done on a page of this server, for clients that do not know it.
type PageStage struct {
	Done  bool
	Terms []Document // to be accepted, when it is that stage
}

// FindPageStage finds a stage that is next in an authentication, or done.
// Spec: client-server-api/#fallback
func (s *Service) FindPageStage(ctx context.Context, session, stage string) (PageStage, error) {
	state, err := s.pageState(ctx, session, stage)
	if err != nil {
		return PageStage{}, err
	}
	out := PageStage{Done: slices.Contains(state.Completed, stage)}
	if stage == StageTerms {
		out.Terms = s.people.Terms
	}
	return out, nil
}

// CompletePageStage does a stage as its page says; token is the registration token, where that is the stage. The client then goes
// on with its session alone.
func (s *Service) CompletePageStage(ctx context.Context, session, stage, token string) error {
	state, err := s.pageState(ctx, session, stage)
	if err != nil || slices.Contains(state.Completed, stage) {
		return err
	}
	if stage == StageToken {
		refusal, err := s.tokenStage(ctx, authData{Token: token}, state)
		if err != nil {
			return err
		}
		if refusal != nil {
			return refusal
		}
	}
	state.Completed = append(state.Completed, stage)
	return s.keepUIA(ctx, state)
}

// pageState finds an authentication of which a stage can be done on a page.
// Why these alone: they ask nothing of which one user must be sure, so that whoever holds the session may do them.
func (s *Service) pageState(ctx context.Context, session, stage string) (*uiaState, error) {
	if stage != StageTerms && stage != StageToken && stage != StageDummy {
		return nil, matrix.NotFound("There is no page for this stage: your application does it itself.").
			French("Il n'y a pas de page pour cette étape : votre application la fait elle-même.")
	}
	body, err := s.db.FindUIASession(ctx, session)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, matrix.NotFound("This authentication has ended. Begin a new one in your application.").
			French("Cette authentification est terminée. Recommencez dans votre application.")
	}
	if err != nil {
		return nil, err
	}
	state := &uiaState{id: session}
	if err := json.Unmarshal(body, state); err != nil {
		return nil, err
	}
	if !slices.Contains(state.Completed, stage) && !mayFollow(state.Flows, state.Completed, stage) {
		return nil, matrix.NotFound("Another stage comes first.").French("Une autre étape vient d'abord.")
	}
	return state, nil
}

// keepUIA stores how far an authentication has come.
func (s *Service) keepUIA(ctx context.Context, state *uiaState) error {
	body, err := json.Marshal(state)
	if err != nil {
		return err
	}
	c := &storage.Change{}
	c.Add(&storage.UIASessionRow{ID: state.id, Body: body, Created: s.nowMS()})
	return s.db.Commit(ctx, c)
}
