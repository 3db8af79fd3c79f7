package users

import (
	"context"
	"encoding/json"
	"errors"

	"rempart/internal/mail"
	"rempart/internal/matrix"
	"rempart/storage"
)

// PasswordChange asks for a new password.
type PasswordChange struct {
	NewPassword string
	KeepOthers  bool // the other sessions go on
	Auth        json.RawMessage
	Host        string // the host the request was made to, which decides the tenant of a stranger
}

// ChangePassword sets a new password for the caller, after he has shown the old one, or for whoever has proven the
// address of an account, and ends the other sessions unless they are to be kept. c is the zero Caller of a stranger.
// Spec: client-server-api/#post_matrixclientv3accountpassword
func (s *Service) ChangePassword(ctx context.Context, c matrix.Caller, q PasswordChange) error {
	in := Interaction{Operation: "change password", User: c, Auth: q.Auth, EmailFor: ForReset, Tenant: c.Tenant}
	if c.User == "" {
		in.Tenant, _ = s.Tenant(q.Host)
	} else {
		in.Flows = append(in.Flows, []string{StagePassword})
	}
	if s.people.Mail != nil {
		in.Flows = append(in.Flows, []string{StageEmail})
	}
	if len(in.Flows) == 0 {
		return matrix.MissingToken()
	}
	if q.NewPassword != "" {
		if err := s.newPassword(q.NewPassword, c.User); err != nil {
			return err
		}
	}
	got, err := s.interact(ctx, in)
	if err != nil {
		return err
	}
	change, nid := &storage.Change{}, c.UserNID
	if got.email != nil {
		if nid = got.user; c.User != "" && nid != c.UserNID {
			return matrix.Forbidden("This e-mail address is that of another account.")
		}
		change.Guard(storage.UseEmailProof(got.email.SID).OrElse(matrix.Forbidden("This proof of an address has been used already.")))
	}
	return s.setPassword(ctx, change, nid, c.DeviceNID, q)
}

// setPassword finishes a change of password.
func (s *Service) setPassword(ctx context.Context, change *storage.Change, nid, device int64, q PasswordChange) error {
	user, err := s.db.GetUser(ctx, nid)
	if err != nil {
		return err
	}
	if user.Is(storage.UserDeactivated) {
		return matrix.UserDeactivated()
	}
	if err := s.newPassword(q.NewPassword, user.ID); err != nil {
		return err
	}
	text, err := s.hasher.hash(ctx, q.NewPassword)
	if err != nil {
		return err
	}
	change.Guard(storage.UpdatePassword(nid, text), storage.DeletePersonTokens(nid, tokenLogin), storage.DeletePersonTokens(nid, tokenActivate))
	l, ok, err := s.letterTo(ctx, user, mail.Changed)
	if err == nil && ok {
		err = s.addLetter(ctx, change, l)
	}
	if err != nil {
		return err
	}
	if q.KeepOthers {
		err = s.db.Commit(ctx, change)
	} else {
		// Why the sessions of the caller's own device stay: he goes on with the token he has.
		err = s.endSessions(ctx, nid, device, change)
	}
	s.wakeLetters()
	return err
}

// ResetPassword sets a password for an operator and ends all sessions.
func (s *Service) ResetPassword(ctx context.Context, operator string, id matrix.UserID, password string) error {
	user, err := s.open(ctx, id)
	if err != nil {
		return err
	}
	change := &storage.Change{}
	if err := s.audit(ctx, change, storage.Audit{Admin: operator, Act: "user.reset-password", Target: string(id), Tenant: user.Tenant}); err != nil {
		return err
	}
	return s.setPassword(ctx, change, user.NID, 0, PasswordChange{NewPassword: password})
}

// Deactivate closes the caller's account for ever: no password, no sessions, no profile. With erase his data of his
// own goes too. Spec: client-server-api/#post_matrixclientv3accountdeactivate
func (s *Service) Deactivate(ctx context.Context, c matrix.Caller, erase bool, auth json.RawMessage) error {
	_, err := s.Interact(ctx, Interaction{Operation: "deactivate", User: c, Flows: [][]string{{StagePassword}}, Auth: auth})
	if err != nil {
		return err
	}
	user, err := s.db.GetUser(ctx, c.UserNID)
	if err != nil {
		return err
	}
	return s.closeAccount(ctx, &storage.Change{}, user, erase)
}

// DeactivateByOperator closes an account at the command of an operator, who is named for the record.
func (s *Service) DeactivateByOperator(ctx context.Context, operator string, id matrix.UserID, erase bool) error {
	user, err := s.open(ctx, id)
	if err != nil {
		return err
	}
	change := &storage.Change{}
	if err := s.audit(ctx, change, storage.Audit{Admin: operator, Act: "user.deactivate", Target: string(id), Tenant: user.Tenant}); err != nil {
		return err
	}
	return s.closeAccount(ctx, change, user, erase)
}

// leaveJob is the work that is left when an account has been closed: its memberships.
const leaveJob = "leave"

// closeAccount closes an account, and then leaves its rooms; a crash in between leaves a job that goes on with that.
func (s *Service) closeAccount(ctx context.Context, change *storage.Change, user storage.User, erase bool) error {
	set := storage.UserDeactivated
	if erase {
		set |= storage.UserErased
		change.Guard(storage.DeleteUserData(user.NID), storage.DeleteMissions(user.ID))
	}
	change.Guard(storage.UpdatePassword(user.NID, ""), storage.UpdateUserFlags(user.NID, set, storage.UserAdmin))
	change.Guard(storage.DeleteProfile(user.NID)...)
	change.Guard(storage.DeletePerson(user.NID)...)
	change.Guard(storage.DeleteCrossSigning(user.NID)...)
	change.Guard(storage.DeleteKeyBackups(user.NID)...)
	change.Guard(storage.DeleteDehydrated(user.NID)...)
	change.Live(storage.Live{Kind: storage.KindProfile, User: user.NID})
	job, err := s.db.NewID(ctx, storage.OtherNIDs)
	if err != nil {
		return err
	}
	body, err := json.Marshal(profileWork{user.ID, user.NID})
	if err != nil {
		return err
	}
	j := storage.Job{NID: job, Kind: leaveJob, Body: body}
	if s.members != nil {
		j.Due = s.now().Add(jobLease).UnixMilli() // Why: it is done below, and is somebody else's only if this process ends meanwhile
	}
	change.Add(&storage.JobRow{Job: j})
	if err := s.endSessions(ctx, user.NID, 0, change); err != nil {
		return err
	}
	if err := s.leave(ctx, j); err != nil {
		s.log.Warn("leave the rooms of a closed account", "user", string(user.ID), "error", err)
	}
	return nil
}

// leave makes a closed account leave its rooms, and ends the job. Doing it twice harms nobody.
func (s *Service) leave(ctx context.Context, j storage.Job) error {
	if s.members == nil {
		return nil // whoever runs with rooms does it
	}
	var w profileWork
	if err := matrix.Decode(j.Body, &w); err != nil {
		return err
	}
	if err := s.members.LeaveAll(ctx, w.User, w.NID); err != nil {
		return err
	}
	c := &storage.Change{}
	c.Guard(storage.DeleteJob(j.NID))
	return s.db.Commit(ctx, c)
}

// leaveDue does what closed accounts have left to do.
func (s *Service) leaveDue(ctx context.Context) error {
	if s.members == nil {
		return nil
	}
	jobs, err := s.db.ListDueJobs(ctx, leaveJob, s.nowMS(), jobBatch)
	for _, j := range jobs {
		err = errors.Join(err, s.leave(ctx, j))
	}
	return err
}
