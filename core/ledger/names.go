package ledger

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"sync"
	"time"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Name is somebody or something that records mean but do not name.
type Name string

// User is the name of a person.
func User(id matrix.UserID) Name { return Name("user " + id) }

// Room is the name of a room.
func Room(id matrix.RoomID) Name { return Name("room " + id) }

// File is the name of an uploaded file, by its mxc address.
func File(id string) Name { return Name("file " + id) }

func sessionName(session string) Name { return Name("session " + session) }

// aliasSize is the length of an alias in bytes.
const aliasSize = 12

// maxNames bounds the aliases kept in memory.
const maxNames = 100_000

// names gives aliases. The appending goroutine asks; whoever erases a name may take it out.
type names struct {
	db *storage.DB

	mu     sync.Mutex
	period int64
	known  map[Name]string
}

// of gives the alias of a name, and the row to be written with the record when it is a new one.
func (n *names) of(ctx context.Context, name Name, period int64) (string, *storage.LedgerNameRow, error) {
	if alias, ok := n.find(name, period); ok {
		return alias, nil, nil
	}
	list, err := n.db.ListLedgerAliases(ctx, string(name))
	if err != nil {
		return "", nil, err
	}
	for _, l := range list {
		if l.Period == period {
			return n.keep(name, l.Alias), nil, nil
		}
	}
	row := storage.LedgerName{Name: string(name), Period: period, Secret: make([]byte, 16)}
	_, _ = rand.Read(row.Secret) // never fails
	row.Alias = aliasOf(name, row.Secret)
	return n.keep(name, row.Alias), &storage.LedgerNameRow{LedgerName: row}, nil
}

func (n *names) find(name Name, period int64) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.period != period || len(n.known) > maxNames {
		n.period, n.known = period, map[Name]string{}
	}
	alias, ok := n.known[name]
	return alias, ok
}

func (n *names) keep(name Name, alias []byte) string {
	text := base64.RawURLEncoding.EncodeToString(alias)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known[name] = text
	return text
}

// forget empties the memory: what was made for a Change that failed does not exist.
func (n *names) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known = map[Name]string{}
}

// aliasOf is what a name is called under a secret.
func aliasOf(name Name, secret []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write([]byte(name))
	return mac.Sum(nil)[:aliasSize]
}

// month is the period of an instant.
func month(ts int64) int64 {
	t := time.UnixMilli(ts).UTC()
	return int64(t.Year())*12 + int64(t.Month()) - 1
}

// aliases lists what a name was called, as it stands in records.
func (s *Service) aliases(ctx context.Context, name Name) ([][]byte, error) {
	list, err := s.db.ListLedgerAliases(ctx, string(name))
	out := make([][]byte, len(list))
	for i, l := range list {
		out[i] = l.Alias
	}
	return out, err
}

// meaning says who an alias means, "" when that was erased. An alias that was not made from the name by the row's secret is an error:
// somebody changed the table.
func (s *Service) meaning(ctx context.Context, alias string) (Name, error) {
	raw, err := base64.RawURLEncoding.DecodeString(alias)
	if err != nil {
		return "", err
	}
	l, err := s.db.FindLedgerName(ctx, raw)
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	if err == nil && !hmac.Equal(aliasOf(Name(l.Name), l.Secret), l.Alias) {
		err = errors.New("the name behind " + alias + " was changed: it is not " + l.Name)
	}
	return Name(l.Name), err
}

// maxErased bounds how many names one round forgets.
const maxErased = 1000

// ForgetErased forgets whom the records mean where an account was erased. It looks again and again, since what others still hold of
// him may bring his name back into later records.
func (s *Service) ForgetErased(ctx context.Context) error {
	list, err := s.db.ListErasedLedgerNames(ctx, string(User("")), maxErased)
	for _, name := range list {
		if err == nil {
			err = s.Erase(ctx, Name(name))
		}
	}
	return err
}

// Erase forgets whom the records mean by a name; the log itself stays as it is, and notes that it was done.
func (s *Service) Erase(ctx context.Context, name Name) error {
	list, err := s.aliases(ctx, name)
	if err != nil {
		return err
	}
	e := &entry{rec: Record{Kind: Erased, Count: int64(len(list))}}
	for _, alias := range list {
		e.rec.Objects = append(e.rec.Objects, base64.RawURLEncoding.EncodeToString(alias))
	}
	return s.append(ctx, &group{entries: []*entry{e}, erase: name})
}
