package rooms

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"rempart/internal/matrix"
	"rempart/storage"
)

// inviteTypes are the types of account data in which a user says who may invite him, by the names they have had.
// Spec: client-server-api/#minvite_permission_config
var inviteTypes = [...]string{"m.invite_permission_config", "org.matrix.msc4380.invite_permission_config", "org.matrix.msc4155.invite_permission_config"}

// inviteRules are the content of one of them. Lists hold patterns with * and ?. MSC4155, MSC4380
type inviteRules struct {
	DefaultAction  string   `json:"default_action"`
	Enabled        *bool    `json:"enabled"`
	AllowedUsers   []string `json:"allowed_users"`
	IgnoredUsers   []string `json:"ignored_users"`
	BlockedUsers   []string `json:"blocked_users"`
	AllowedServers []string `json:"allowed_servers"`
	IgnoredServers []string `json:"ignored_servers"`
	BlockedServers []string `json:"blocked_servers"`
}

// inviteVerdict is what becomes of an invitation.
type inviteVerdict int

const (
	inviteAllowed inviteVerdict = iota
	inviteIgnored               // made, and not shown to who is invited
	inviteBlocked               // refused
)

// maxInviteRules bounds what is read of a user's rules, in bytes.
const maxInviteRules = 64 << 10

// judge says what becomes of an invitation by a user: the first list that names him decides.
func (r *inviteRules) judge(inviter matrix.UserID) inviteVerdict {
	if r.Enabled != nil && !*r.Enabled {
		return inviteAllowed
	}
	user, server := string(inviter), strings.ToLower(inviter.Server().Host())
	for _, list := range [...]struct {
		patterns []string
		subject  string
		verdict  inviteVerdict
	}{
		{r.AllowedUsers, user, inviteAllowed}, {r.IgnoredUsers, user, inviteIgnored}, {r.BlockedUsers, user, inviteBlocked},
		{r.AllowedServers, server, inviteAllowed}, {r.IgnoredServers, server, inviteIgnored}, {r.BlockedServers, server, inviteBlocked},
	} {
		if slices.ContainsFunc(list.patterns, func(p string) bool { return globMatch(p, list.subject) }) {
			return list.verdict
		}
	}
	if r.DefaultAction == "block" {
		return inviteBlocked
	}
	return inviteAllowed
}

// inviteVerdict asks a local user's rules about an invitation. Who is not one of ours has none here.
func (s *Service) inviteVerdict(ctx context.Context, target, inviter matrix.UserID) (inviteVerdict, error) {
	nid, err := s.db.FindUserNID(ctx, target)
	if errors.Is(err, storage.ErrNotFound) {
		return inviteAllowed, nil
	}
	if err != nil {
		return inviteAllowed, err
	}
	worst := inviteAllowed
	for _, typ := range inviteTypes {
		data, err := s.db.FindAccountData(ctx, nid, 0, typ)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return inviteAllowed, err
		}
		var rules inviteRules
		if len(data.Content) <= maxInviteRules && matrix.Decode(data.Content, &rules) == nil {
			worst = max(worst, rules.judge(inviter))
		}
	}
	return worst, nil
}

// mayInvite refuses an invitation that the invited user does not want.
func (s *Service) mayInvite(ctx context.Context, inviter, target matrix.UserID) error {
	if !s.isOurs(target.Server()) {
		return nil // his own server says so
	}
	verdict, err := s.inviteVerdict(ctx, target, inviter)
	if err == nil && verdict == inviteBlocked {
		err = matrix.NewError(http.StatusForbidden, matrix.CodeInviteBlocked, "This user does not want to be invited by you.").
			French("Cette personne ne souhaite pas recevoir vos invitations.")
	}
	return err
}

// HidesInvite reports whether a user does not want to see an invitation.
// Spec: client-server-api/#invite-permission
func (s *Service) HidesInvite(ctx context.Context, target, inviter matrix.UserID) (bool, error) {
	verdict, err := s.inviteVerdict(ctx, target, inviter)
	return verdict != inviteAllowed, err
}
