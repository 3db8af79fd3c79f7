package users

import (
	"context"
	"errors"
	"fmt"

	"rempart/internal/mail"
	"rempart/internal/matrix"
	"rempart/storage"
)

// Person is somebody to be given an account.
type Person struct {
	Username    string
	Email       string // "" for none
	DisplayName string
	Language    string // of his letter
}

// Imported is an account that was made, with the link by which its owner chooses a password.
type Imported struct {
	User matrix.UserID
	Link string
}

// importStep is how many people one Change makes accounts for.
const importStep = 200

// Import makes accounts without passwords, each with an activation link, and sends the links to those who have an
// address when letters is set. A mistake in the list stops it before anything is written; a name that exists already,
// or is there twice, is a mistake. Running it again after a crash with what is left is safe.
func (s *Service) Import(ctx context.Context, operator string, server matrix.ServerName, people []Person, letters bool) ([]Imported, error) {
	if letters && s.people.Mail == nil {
		return nil, errNoMail()
	}
	tenant, server := s.Tenant(string(server))
	ids, err := s.checkPeople(ctx, people, tenant, server)
	if err != nil {
		return nil, err
	}
	if err := s.db.InternUsers(ctx, ids); err != nil {
		return nil, err
	}
	out := make([]Imported, 0, len(people))
	for at := 0; at < len(people); at += importStep {
		end := min(at+importStep, len(people))
		made, err := s.importSome(ctx, operator, importBatch{tenant, server, people[at:end], ids[at:end], letters})
		if err != nil {
			return out, fmt.Errorf("person %d and those after: %w", at+1, err)
		}
		out = append(out, made...)
	}
	s.wakeLetters()
	return out, nil
}

// checkPeople reads the whole list before anything is written.
func (s *Service) checkPeople(ctx context.Context, people []Person, tenant int64, server matrix.ServerName) ([]matrix.UserID, error) {
	ids := make([]matrix.UserID, len(people))
	seen := map[string]int{}
	var wrong []error
	for i := range people {
		p := &people[i]
		id, err := s.checkName(ctx, p.Username, server)
		if err == nil && p.Email != "" {
			p.Email, err = s.freeAddress(ctx, p.Email, tenant)
		}
		if err == nil && len(p.DisplayName) > maxDisplayName {
			err = errors.New("the display name is too long")
		}
		for _, key := range []string{string(id), p.Email} {
			if first, twice := seen[key]; key != "" && twice && err == nil {
				err = fmt.Errorf("is there twice: %s is in line %d too", key, first)
			}
			seen[key] = i + 1
		}
		if err != nil && len(wrong) < 20 {
			wrong = append(wrong, fmt.Errorf("person %d (%q): %w", i+1, p.Username, err))
		}
		ids[i] = id
	}
	return ids, errors.Join(wrong...)
}

// freeAddress reads an address that nobody here has.
func (s *Service) freeAddress(ctx context.Context, text string, tenant int64) (string, error) {
	a, err := mail.ParseAddress(text)
	if err != nil {
		return "", err
	}
	_, err = s.db.FindThreepid(ctx, tenant, mediumEmail, string(a))
	switch {
	case err == nil:
		return "", errAddressInUse()
	case errors.Is(err, storage.ErrNotFound):
		return string(a), nil
	}
	return "", err
}

// importBatch is a part of a list, with the ids of its people.
type importBatch struct {
	tenant  int64
	server  matrix.ServerName
	people  []Person
	ids     []matrix.UserID
	letters bool
}

func (s *Service) importSome(ctx context.Context, operator string, b importBatch) ([]Imported, error) {
	c := &storage.Change{}
	out := make([]Imported, len(b.people))
	now := s.nowMS()
	for i, p := range b.people {
		nid, err := s.db.FindUserNID(ctx, b.ids[i])
		if err != nil {
			return nil, err
		}
		c.Guard(storage.InsertUser(storage.User{NID: nid, Tenant: b.tenant, ID: b.ids[i], Created: now, DisplayName: p.DisplayName}).
			OrElse(fmt.Errorf("%s: %w", b.ids[i], errInUse())))
		out[i] = Imported{b.ids[i], s.activationLink(c, nid, b.server)}
		if row := s.startsNow(nid); row != nil {
			c.Add(row)
		}
		if p.Email == "" {
			continue
		}
		c.Guard(storage.InsertThreepid(storage.Threepid{Tenant: b.tenant, Medium: mediumEmail, Address: p.Email, User: nid, Validated: now, Added: now}).
			OrElse(fmt.Errorf("%s: %w", p.Email, errAddressInUse())))
		if b.letters {
			l := mail.Letter{To: mail.Address(p.Email), Kind: mail.Activate, Language: p.Language, User: string(b.ids[i]),
				Server: string(b.server), Link: out[i].Link, Until: s.now().Add(activationLife).UnixMilli()}
			if l.Language == "" {
				l.Language = s.people.Language
			}
			if err := s.addLetter(ctx, c, l); err != nil {
				return nil, err
			}
		}
	}
	a := storage.Audit{Admin: operator, Act: "user.import", Tenant: b.tenant, Target: string(b.ids[0]),
		Detail: fmt.Appendf(nil, `{"accounts":%d}`, len(b.people))}
	if err := s.audit(ctx, c, a); err != nil {
		return nil, err
	}
	return out, s.db.Commit(ctx, c)
}

// Standing is what an operator sees of an account.
type Standing struct {
	storage.User
	Addresses []storage.Threepid
	Devices   []storage.Device
	Ends      int64 // 0: never
}

// Words are the account's marks in words.
func (st *Standing) Words() []string {
	var out []string
	for _, m := range []struct {
		flag storage.UserFlag
		word string
	}{
		{storage.UserAdmin, "admin"}, {storage.UserDeactivated, "deactivated"}, {storage.UserGuest, "guest"},
		{storage.UserLocked, "locked"}, {storage.UserSuspended, "suspended"}, {storage.UserExpired, "expired"}, {storage.UserErased, "erased"},
	} {
		if st.Is(m.flag) {
			out = append(out, m.word)
		}
	}
	return out
}

// Show reads an account for an operator.
func (s *Service) Show(ctx context.Context, id matrix.UserID) (st Standing, err error) {
	if st.User, err = s.GetUser(ctx, id); err != nil {
		return st, err
	}
	if st.Addresses, err = s.db.ListThreepids(ctx, st.NID); err != nil {
		return st, err
	}
	if st.Devices, err = s.db.ListDevices(ctx, st.NID); err != nil {
		return st, err
	}
	ends, err := s.db.FindAccountEnd(ctx, st.NID)
	if errors.Is(err, storage.ErrNotFound) || ends == endless {
		return st, nil
	}
	st.Ends = ends
	return st, err
}

// List reads accounts by id, after one, whose id holds a text.
func (s *Service) List(ctx context.Context, after matrix.UserID, like string, limit int) ([]Standing, error) {
	found, err := s.db.ListUsers(ctx, after, escapeLike(like), limit)
	out := make([]Standing, len(found))
	for i, u := range found {
		out[i].User = u
	}
	return out, err
}
