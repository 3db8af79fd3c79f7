package users

import (
	"context"
	"crypto/rand"
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
	// User must be the one who authenticates; "" for a registration. Sent: a letter is on its way to the address that he entered.
	User matrix.UserID
	Sent bool
}

// FindPageStage finds a stage that is next in an authentication, or done.
// Spec: client-server-api/#fallback
func (s *Service) FindPageStage(ctx context.Context, session, stage string) (PageStage, error) {
	state, err := s.pageState(ctx, session, stage)
	if err != nil {
		return PageStage{}, err
	}
	out := PageStage{Done: slices.Contains(state.Completed, stage), User: state.User, Sent: state.Letter != nil}
	if stage == StageTerms {
		out.Terms = s.people.Terms
	}
	return out, nil
}

// PageAnswer is what somebody entered on the page of a stage: what that stage asks for.
type PageAnswer struct {
	Token, Password, Email string
	// Host is the one that the page was asked of, Language the Accept-Language.
	Host, Language string
}

// CompletePageStage does a stage, or the first half of it, as its page says. The client then goes on with its session alone.
func (s *Service) CompletePageStage(ctx context.Context, session, stage string, in PageAnswer) error {
	state, err := s.pageState(ctx, session, stage)
	if err != nil || slices.Contains(state.Completed, stage) {
		return err
	}
	if stage == StageEmail && in.Email != "" {
		if err := s.letterStage(ctx, in, state); err != nil {
			return err
		}
		return s.keepUIA(ctx, state)
	}
	refusal, err := s.pageStage(ctx, stage, in, state)
	if err != nil {
		return err
	}
	if refusal != nil {
		return refusal
	}
	state.Completed = append(state.Completed, stage)
	return s.keepUIA(ctx, state)
}

// pageStage checks what was entered.
func (s *Service) pageStage(ctx context.Context, stage string, in PageAnswer, state *uiaState) (*matrix.Error, error) {
	switch stage {
	case StageToken:
		return s.tokenStage(ctx, authData{Token: in.Token}, state)
	case StagePassword:
		if err := s.failed.check(string(state.User), s.now()); err != nil && !s.people.ManyFailures {
			return nil, err
		}
		user, err := s.db.FindUser(ctx, state.User)
		if err != nil {
			return nil, err
		}
		return s.ownPassword(ctx, state.User, user.Password, in.Password)
	case StageEmail:
		if state.Letter == nil {
			return matrix.MissingParam("Enter your e-mail address.").French("Saisissez votre adresse électronique."), nil
		}
		return s.emailStage(ctx, Interaction{EmailFor: state.EmailFor, Tenant: state.Tenant}, *state.Letter, state)
	}
	return nil, nil
}

// letterStage sends the letter of the e-mail stage. The secret of the proof stays here: the browser need not know it.
func (s *Service) letterStage(ctx context.Context, in PageAnswer, state *uiaState) error {
	if state.Letter == nil {
		state.Letter = &EmailCreds{ClientSecret: rand.Text()}
	}
	state.Letters++
	sid, err := s.RequestEmail(ctx, matrix.Caller{}, EmailRequest{Purpose: state.EmailFor, Email: in.Email, ClientSecret: state.Letter.ClientSecret,
		SendAttempt: state.Letters, Host: in.Host, Language: in.Language})
	state.Letter.SID = sid
	return err
}

// pageState finds an authentication of which a stage can be done on a page.
// Why whoever holds the session may do them: they ask for what he knows, or for nothing of which one user must be sure.
func (s *Service) pageState(ctx context.Context, session, stage string) (*uiaState, error) {
	if !slices.Contains([]string{StageTerms, StageToken, StageDummy, StagePassword, StageEmail}, stage) {
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
	if err := matrix.Decode(body, state); err != nil {
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
