package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"rempart/storage"
)

// Statement is what a checkpoint says: so long was the log of this origin, and this was its root.
type Statement struct {
	Origin string
	Size   int64
	TS     int64
	Root   tlog.Hash
	// Signers are those known ones whose signatures it has.
	Signers []string
}

// text is the statement in the form that is signed. Spec: C2SP tlog-checkpoint: origin, size, root, further lines.
func (c Statement) text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + c.Root.String() + "\ntime " + strconv.FormatInt(c.TS, 10) + "\n"
}

// ReadStatement checks the signatures of a checkpoint by those whose public keys are given; the first of them, the log's own, must
// have signed.
func ReadStatement(raw []byte, keys ...string) (Statement, error) {
	if len(keys) == 0 {
		return Statement{}, errors.New("no key to check a checkpoint by")
	}
	list := make([]note.Verifier, len(keys))
	for i, k := range keys {
		var err error
		if list[i], err = note.NewVerifier(strings.TrimSpace(k)); err != nil {
			return Statement{}, fmt.Errorf("the key %q: %w", k, err)
		}
	}
	n, err := note.Open(raw, note.VerifierList(list...))
	if err != nil {
		return Statement{}, fmt.Errorf("the checkpoint's signature: %w", err)
	}
	c, err := parseStatement(n.Text)
	own := false
	for _, sig := range n.Sigs {
		own = own || sig.Name == list[0].Name() && sig.Hash == list[0].KeyHash()
		c.Signers = append(c.Signers, sig.Name)
	}
	if err == nil && !own {
		err = errors.New("the checkpoint is not signed by the log's own key")
	}
	return c, err
}

func parseStatement(body string) (c Statement, err error) {
	lines := strings.Split(body, "\n")
	if len(lines) != 5 || !strings.HasPrefix(lines[3], "time ") {
		return c, errors.New("the checkpoint does not have the form of one")
	}
	c.Origin = lines[0]
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err == nil {
		c.TS, err = strconv.ParseInt(lines[3][5:], 10, 64)
	}
	if err == nil {
		c.Root, err = tlog.ParseHash(lines[2])
	}
	if err == nil && c.Size < 0 {
		err = errors.New("the checkpoint's size is negative")
	}
	return c, err
}

// Checkpoint signs how long the log is now and what its root is, unless that was signed before.
func (s *Service) Checkpoint(ctx context.Context) error {
	head, err := s.db.GetLedgerHead(ctx)
	if err != nil || head.Size == 0 || head.Size == s.signed.Load() {
		return err
	}
	e, err := parseEdge(head.Size, head.Edge)
	if err != nil {
		return err
	}
	c := Statement{Origin: s.Key.signer.Name(), Size: head.Size, TS: s.clock().UnixMilli(), Root: e.root()}
	raw, err := note.Sign(&note.Note{Text: c.text()}, s.Key.signer)
	if err != nil {
		return err
	}
	change := &storage.Change{}
	change.Add(&storage.LedgerCheckpointRow{LedgerCheckpoint: storage.LedgerCheckpoint{Size: c.Size, TS: c.TS, Root: c.Root[:], Note: raw}})
	if err := s.db.Commit(ctx, change); err != nil {
		return err
	}
	s.signed.Store(c.Size)
	return s.drop(raw)
}

// drop replaces the anchor.
func (s *Service) drop(raw []byte) error {
	if s.Anchor == "" {
		return nil
	}
	next := s.Anchor + ".new"
	if err := os.WriteFile(next, raw, 0o644); err != nil { //nolint:gosec // a checkpoint is no secret
		return err
	}
	return os.Rename(next, s.Anchor)
}

// compareAnchor says what is wrong with the log by the checkpoint that its anchor holds; nil if nothing is.
func (s *Service) compareAnchor(ctx context.Context) (*Record, error) {
	raw, err := os.ReadFile(s.Anchor)
	if s.Anchor == "" || errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	unread := err
	head, err := s.db.GetLedgerHead(ctx)
	if err != nil {
		return nil, err
	}
	s.size.Store(head.Size)
	found := &Record{Kind: Restored, To: head.Size}
	if unread != nil {
		found.Why = "the anchor cannot be read"
		return found, nil //nolint:nilerr // it is recorded
	}
	known, err := ReadStatement(raw, s.Key.Public)
	if err != nil {
		found.Why = "the anchor is not a checkpoint signed by this key"
		return found, nil //nolint:nilerr // it is recorded
	}
	found.From, found.Root = known.Size, known.Root.String()
	if head.Size < known.Size {
		found.Why = "rolled back: the log is shorter than a checkpoint says"
		return found, nil
	}
	root, err := tlog.TreeHash(known.Size, stored{ctx, s.db})
	if err != nil {
		found.Why = "hashes are missing: " + err.Error()
		return found, nil //nolint:nilerr // it is recorded
	}
	if root != known.Root {
		found.Why = "forked: the log's root is not what a checkpoint says"
		return found, nil
	}
	return nil, nil
}
