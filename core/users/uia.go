package users

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// The stages of user-interactive authentication that this server offers.
// Spec: client-server-api/#authentication-types
const (
	StageDummy    = "m.login.dummy"
	StagePassword = "m.login.password"
	StageToken    = "m.login.registration_token"
)

// uiaLife is how long an authentication may take.
const uiaLife = time.Hour

// Interaction is a request that needs user-interactive authentication.
type Interaction struct {
	// Operation names the request, path included: an authentication for one serves no other.
	Operation string
	// User must be the one who authenticates; the zero value for registrations.
	User matrix.Caller
	// Flows are the sets of stages of which one must be completed.
	Flows [][]string
	// Auth is the request's "auth" object; nil when it has none.
	Auth json.RawMessage
	// EmailFor and Tenant say which proofs of an address the e-mail stage takes.
	EmailFor EmailPurpose
	Tenant   int64
}

// uiaState is what is stored of an authentication in progress.
type uiaState struct {
	id        string
	Operation string        `json:"operation"`
	User      matrix.UserID `json:"user,omitempty"`
	Flows     [][]string    `json:"flows,omitempty"`
	Completed []string      `json:"completed,omitempty"`
	Token     string        `json:"token,omitempty"` // the registration token that was shown
	Email     *EmailCreds   `json:"email,omitempty"` // the proof of an address that was shown
	EmailUser int64         `json:"email_user,omitempty"`
	// Letter is the proof of an address that was begun on a page, Letters how often; EmailFor and Tenant are the interaction's.
	Letter   *EmailCreds  `json:"letter,omitempty"`
	Letters  int64        `json:"letters,omitempty"`
	EmailFor EmailPurpose `json:"email_for,omitempty"`
	Tenant   int64        `json:"tenant,omitempty"`
}

// authData is the "auth" object. Spec: client-server-api/#user-interactive-api-in-the-rest-api
type authData struct {
	Type       string     `json:"type"`
	Session    string     `json:"session"`
	Identifier Identifier `json:"identifier"`
	User       string     `json:"user"` // before "identifier" existed
	Password   string     `json:"password"`
	Token      string     `json:"token"`
	Email      EmailCreds `json:"threepid_creds"`
}

// Interact lets a request pass once a flow is completed; until then it answers 401 with what is missing. token is the
// registration token that was shown, if one was. Spec: client-server-api/#user-interactive-authentication-api
func (s *Service) Interact(ctx context.Context, in Interaction) (token string, err error) {
	got, err := s.interact(ctx, in)
	return got.token, err
}

// interact is Interact with all that was shown.
func (s *Service) interact(ctx context.Context, in Interaction) (got shown, err error) {
	var auth authData
	if len(in.Auth) == 0 || string(in.Auth) == "null" {
		return got, s.challenge(ctx, in, &uiaState{}, nil)
	}
	if err := matrix.Decode(in.Auth, &auth); err != nil {
		return got, matrix.BadJSON("The \"auth\" object has the wrong form.")
	}
	state, err := s.uiaState(ctx, in, auth.Session)
	if err != nil {
		return got, err
	}
	if auth.Type != "" {
		refusal, err := s.stage(ctx, in, auth, state)
		if err != nil {
			return got, err
		}
		if refusal != nil {
			return got, s.challenge(ctx, in, state, refusal)
		}
	}
	if !slices.ContainsFunc(in.Flows, func(flow []string) bool { return slices.Equal(state.Completed, flow) }) {
		return got, s.challenge(ctx, in, state, nil)
	}
	return shown{state.Token, state.Email, state.EmailUser}, s.endUIA(ctx, state)
}

// stage tries one stage: a refusal lets the client try again, an error ends the request.
func (s *Service) stage(ctx context.Context, in Interaction, auth authData, state *uiaState) (refusal *matrix.Error, err error) {
	if !slices.ContainsFunc(in.Flows, func(flow []string) bool { return slices.Contains(flow, auth.Type) }) {
		return matrix.NewError(http.StatusUnauthorized, matrix.CodeUnrecognized, "This request cannot be authenticated that way."), nil
	}
	if slices.Contains(state.Completed, auth.Type) {
		return nil, nil
	}
	if !mayFollow(in.Flows, state.Completed, auth.Type) {
		return matrix.NewError(http.StatusUnauthorized, matrix.CodeForbidden, "Another stage comes first."), nil
	}
	switch auth.Type {
	case StageEmail:
		refusal, err = s.emailStage(ctx, in, auth.Email, state)
	case StagePassword:
		refusal, err = s.passwordStage(ctx, in, auth)
	case StageToken:
		refusal, err = s.tokenStage(ctx, auth, state)
	}
	if refusal == nil && err == nil {
		state.Completed = append(state.Completed, auth.Type)
	}
	return refusal, err
}

// passwordStage checks the password of the very user who makes the request.
func (s *Service) passwordStage(ctx context.Context, in Interaction, auth authData) (*matrix.Error, error) {
	id := auth.Identifier
	if id.Type == "" && auth.User != "" {
		id = Identifier{Type: "m.id.user", User: auth.User}
	}
	if err := s.failed.check(string(in.User.User), s.now()); err != nil && !s.people.ManyFailures {
		return nil, err
	}
	who, err := s.name(ctx, id, in.User.Tenant, in.User.Server)
	if err != nil {
		return nil, err
	}
	if who != in.User.User && lower(who) != in.User.User {
		return nil, matrix.Forbidden("Authenticate as the user who makes the request.")
	}
	user, err := s.db.GetUser(ctx, in.User.UserNID)
	if err != nil {
		return nil, err
	}
	return s.ownPassword(ctx, in.User.User, user.Password, auth.Password)
}

// ownPassword compares a password with that of an account; a wrong one counts against the account.
func (s *Service) ownPassword(ctx context.Context, user matrix.UserID, kept, shown string) (*matrix.Error, error) {
	ok, _, err := s.hasher.check(ctx, kept, shown)
	if err != nil || ok {
		return nil, err
	}
	s.failed.fail(string(user), s.now())
	return matrix.Forbidden("Wrong password.").French("Mot de passe incorrect."), nil
}

func (s *Service) tokenStage(ctx context.Context, auth authData, state *uiaState) (*matrix.Error, error) {
	ok, err := s.TokenValid(ctx, auth.Token)
	if err != nil {
		return nil, err
	}
	if !ok {
		return matrix.Unauthorized("This registration token is unknown or used up."), nil
	}
	state.Token = auth.Token
	return nil, nil
}

// uiaState finds the authentication that the client goes on with, or begins one. One that belongs to another request or
// user is refused.
func (s *Service) uiaState(ctx context.Context, in Interaction, id string) (*uiaState, error) {
	if id == "" {
		return &uiaState{}, nil
	}
	body, err := s.db.FindUIASession(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, s.challenge(ctx, in, &uiaState{}, matrix.NewError(http.StatusUnauthorized, matrix.CodeForbidden, "This authentication has ended. Begin a new one."))
	}
	if err != nil {
		return nil, err
	}
	state := &uiaState{id: id}
	if err := matrix.Decode(body, state); err != nil {
		return nil, err
	}
	if state.Operation != in.Operation || state.User != in.User.User {
		return nil, matrix.Forbidden("This authentication session belongs to another request.")
	}
	return state, nil
}

// challenge answers 401 with the flows, and stores how far the client has come.
func (s *Service) challenge(ctx context.Context, in Interaction, state *uiaState, refusal *matrix.Error) error {
	state.Operation, state.User, state.Flows = in.Operation, in.User.User, in.Flows
	state.EmailFor, state.Tenant = in.EmailFor, in.Tenant
	isNew := state.id == ""
	if isNew {
		state.id = newUIASession()
	}
	if isNew || refusal == nil {
		if err := s.keepUIA(ctx, state); err != nil {
			return err
		}
	}
	type flow struct {
		Stages []string `json:"stages"`
	}
	flows := make([]flow, len(in.Flows))
	for i, stages := range in.Flows {
		flows[i].Stages = stages
	}
	answer := &matrix.Error{}
	if refusal != nil {
		answer = refusal
	}
	if refusal != nil || len(state.Completed) > 0 { // clients find the next stage by it
		answer = answer.With("completed", append([]string{}, state.Completed...))
	}
	answer = answer.With("flows", flows).With("params", s.stageParams(in.Flows)).With("session", state.id)
	answer.Status = http.StatusUnauthorized
	return answer
}

// endUIA forgets an authentication that has served, so that it serves once; whoever comes second begins anew.
func (s *Service) endUIA(ctx context.Context, state *uiaState) error {
	if state.id == "" {
		return nil
	}
	c := &storage.Change{}
	c.Guard(storage.DeleteUIASession(state.id).OrElse(matrix.Forbidden("This authentication has been used already.")))
	return s.db.Commit(ctx, c)
}
