package users

import (
	"context"
	"slices"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Further stages of user-interactive authentication. Spec: client-server-api/#authentication-types
const (
	StageEmail = "m.login.email.identity"
	StageTerms = "m.login.terms"
)

// mayFollow reports whether a stage is the next one of a flow that the client is on: stages are done in order.
// Spec: client-server-api/#user-interactive-authentication-api
func mayFollow(flows [][]string, completed []string, stage string) bool {
	return slices.ContainsFunc(flows, func(flow []string) bool {
		n := len(completed)
		return n < len(flow) && flow[n] == stage && slices.Equal(flow[:n], completed)
	})
}

// emailStage checks that the client has proven an address for what it asks. The proof is used up by the request itself.
func (s *Service) emailStage(ctx context.Context, in Interaction, creds EmailCreds, state *uiaState) (*matrix.Error, error) {
	p, refusal, err := s.proven(ctx, creds, in.EmailFor, in.Tenant)
	if refusal != nil || err != nil {
		return refusal, err
	}
	state.Email = &creds
	state.EmailUser = p.User
	return nil, nil
}

// registrationStages are the flows by which somebody may register who needs these stages: with terms to accept when
// there are some, and with an address when there is mail. Spec: client-server-api/#account-registration
func (s *Service) registrationStages(first ...string) [][]string {
	if len(s.people.Terms) > 0 {
		first = append(first, StageTerms)
	}
	var flows [][]string
	// Why rules on addresses ask for one: without a proven address nobody could tell whether he keeps to them.
	if !s.people.EmailRequired && s.people.Emails.Any() {
		plain := first
		if len(plain) == 0 {
			plain = []string{StageDummy}
		}
		flows = append(flows, plain)
	}
	if s.people.Mail != nil {
		flows = append(flows, append(slices.Clone(first), StageEmail))
	}
	return flows
}

// shown is what was shown in an authentication that is complete.
type shown struct {
	token string // the registration token
	email *EmailCreds
	user  int64 // whose account the address is, when it is for a new password
}

// stageParams are the parameters of the stages that have some.
func (s *Service) stageParams(flows [][]string) map[string]any {
	params := map[string]any{}
	for _, flow := range flows {
		if slices.Contains(flow, StageTerms) {
			params[StageTerms] = policies(s.people.Terms)
		}
	}
	return params
}

// accept adds to a new account's Change what its owner showed: his address and the terms he accepted.
func (s *Service) accept(ctx context.Context, c *storage.Change, user storage.User, got shown) error {
	if got.email != nil {
		p, refusal, err := s.proven(ctx, *got.email, ForRegistration, user.Tenant)
		if err != nil {
			return err
		}
		if refusal != nil {
			return refusal
		}
		c.Guard(s.bind(p, user.NID)...)
	}
	for _, d := range s.people.Terms {
		c.Add(&storage.AcceptedTermsRow{User: user.NID, Document: d.ID, Version: d.Version, TS: s.nowMS()})
	}
	return nil
}
