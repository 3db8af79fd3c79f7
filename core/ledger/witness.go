package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"rempart/internal/matrix"
	"rempart/storage"
)

// Offer is what a witness is asked to cosign: a checkpoint, and the proof that the log of it begins with that of an earlier one.
type Offer struct {
	Checkpoint string      `json:"checkpoint"`
	Since      int64       `json:"since"`
	Proof      []tlog.Hash `json:"proof"`
}

// Offer gives the newest checkpoint, with the proof for somebody who knows the log as it was at an earlier size, 0 for none.
func (s *Service) Offer(ctx context.Context, since int64) (Offer, error) {
	c, err := s.db.FindLedgerCheckpoint(ctx)
	if errors.Is(err, storage.ErrNotFound) {
		return Offer{}, matrix.NotFound("The ledger has no checkpoint yet.")
	}
	if err != nil {
		return Offer{}, err
	}
	o := Offer{Checkpoint: string(c.Note), Since: since, Proof: []tlog.Hash{}}
	if since < 0 || since > c.Size {
		return o, matrix.InvalidParam("The ledger's newest checkpoint is not that far.")
	}
	if since == 0 || since == c.Size {
		return o, nil
	}
	o.Proof, err = tlog.ProveTree(c.Size, since, stored{ctx, s.db})
	return o, err
}

// Cosign is what a witness does: it checks that the offer's log begins with the one that it cosigned last (nil at first),
// and signs. It keeps what it returns for the next time.
func Cosign(witness Key, logKey string, last []byte, o Offer) ([]byte, error) {
	offered, err := ReadStatement([]byte(o.Checkpoint), logKey)
	if err != nil {
		return nil, err
	}
	if len(last) > 0 {
		known, err := ReadStatement(last, logKey)
		if err != nil {
			return nil, fmt.Errorf("the checkpoint that was cosigned last: %w", err)
		}
		if err := follows(known, offered, o.Proof); err != nil {
			return nil, err
		}
	}
	own, err := note.NewVerifier(logKey)
	if err != nil {
		return nil, err
	}
	n, err := note.Open([]byte(o.Checkpoint), note.VerifierList(own))
	if err != nil {
		return nil, err
	}
	return note.Sign(n, witness.signer)
}

// follows checks that one statement can be true of the same log as an earlier one.
func follows(known, next Statement, proof []tlog.Hash) error {
	switch {
	case next.Origin != known.Origin:
		return fmt.Errorf("the checkpoint is of %s, not of %s", next.Origin, known.Origin)
	case next.Size < known.Size:
		return fmt.Errorf("rolled back: the log had %d records when it was cosigned, and is said to have %d", known.Size, next.Size)
	case next.Size == known.Size && next.Root != known.Root:
		return fmt.Errorf("fork: there are two logs of %d records with different roots, both signed", known.Size)
	case next.Size == known.Size || known.Size == 0:
		return nil
	}
	if err := tlog.CheckTree(proof, next.Size, next.Root, known.Size, known.Root); err != nil {
		return fmt.Errorf("fork: the log of %d records does not begin with the %d that were cosigned: %w", next.Size, known.Size, err)
	}
	return nil
}

// CheckPublicKey says what is wrong with a public key of the log or of a witness.
func CheckPublicKey(text string) error {
	_, err := note.NewVerifier(strings.TrimSpace(text))
	return err
}

// AddCosignature takes in the signature of a witness under one of our checkpoints.
func (s *Service) AddCosignature(ctx context.Context, raw []byte) (Statement, error) {
	c, err := ReadStatement(raw, append([]string{s.Key.Public}, s.Witnesses...)...)
	if err != nil || len(c.Signers) < 2 {
		return c, matrix.InvalidParam("This is no checkpoint of this server that one of its witnesses has signed.")
	}
	list, err := s.db.ListLedgerCheckpoints(ctx)
	if err != nil {
		return c, err
	}
	i := slices.IndexFunc(list, func(l storage.LedgerCheckpoint) bool { return l.Size == c.Size })
	if i < 0 || !strings.HasPrefix(string(list[i].Note), c.text()) {
		return c, matrix.NotFound("This server has no such checkpoint.")
	}
	change := &storage.Change{}
	change.Guard(storage.CosignLedger(c.Size, list[i].Note, mergeNotes(list[i].Note, raw)))
	return c, s.db.Commit(ctx, change)
}

// mergeNotes gives a note the signatures of another one of the same text.
func mergeNotes(a, b []byte) []byte {
	out := string(a)
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "— ") && !strings.Contains(out, line) {
			out += line
		}
	}
	return []byte(out)
}
