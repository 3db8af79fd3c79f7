package ledger

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"rempart/storage"
)

// Problem is something that is not as it was written. Records From up to and without To are concerned.
type Problem struct {
	What string `json:"what"` // edited, missing, reordered, hashes, truncated, rolled-back, fork, changed, unsealed, checkpoint
	From int64  `json:"from"`
	To   int64  `json:"to"`
	Text string `json:"text"`
}

// Report is what a verification found.
type Report struct {
	Records     int64     `json:"records"` // of them Sealed are there as hashes only
	Sealed      int64     `json:"sealed"`
	Checkpoints int64     `json:"checkpoints"` // that agree with the records
	Root        string    `json:"root"`
	Signed      int64     `json:"signed"` // so many records are signed
	Witnessed   int64     `json:"witnessed"`
	Problems    []Problem `json:"problems"`
	// Left is what left the territory, when that was asked; LeftMore says that there is more.
	Left     []Record `json:"left,omitempty"`
	LeftMore bool     `json:"left_more,omitempty"`
}

// Verification says by what a log is checked.
type Verification struct {
	// Key is the log's public key, Witnesses those of its witnesses.
	Key       string
	Witnesses []string
	// Known are checkpoints from elsewhere: what a witness or anybody else kept.
	Known [][]byte
	// Territory, when set, lists what left it.
	Territory []string
}

// maxProblems bounds a report.
const maxProblems = 1000

// verifier checks a log in one pass.
type verifier struct {
	Verification
	Report
	edge    edge
	scratch []byte
	prefix  []byte
	broken  bool // the tree cannot be computed any further
	agreed  int64
	states  []known   // all checkpoints, by size
	next    int       // the first of them that was not reached
	gone    []stretch // sealed away
	seals   []stretch // and said to be
}

type stretch struct{ from, to int64 }

// known is a checkpoint; a foreign one was kept elsewhere.
type known struct {
	Statement
	foreign bool
}

func newVerifier(v Verification) *verifier { return &verifier{Verification: v} }

func (v *verifier) problem(what string, from, to int64, format string, args ...any) {
	if len(v.Problems) < maxProblems {
		v.Problems = append(v.Problems, Problem{what, from, to, fmt.Sprintf(format, args...)})
	}
}

// checkpoint takes a checkpoint, before the records.
func (v *verifier) checkpoint(raw []byte, foreign bool) {
	c, err := ReadStatement(raw, append([]string{v.Key}, v.Witnesses...)...)
	if err != nil {
		v.problem("checkpoint", c.Size, c.Size, "a checkpoint cannot be believed: %v", err)
		return
	}
	if len(c.Signers) > 1 {
		v.Witnessed = max(v.Witnessed, c.Size)
	}
	same := func(k known) bool { return k.Size == c.Size && k.Root == c.Root }
	if !foreign || !slices.ContainsFunc(v.states, same) {
		v.states = append(v.states, known{c, foreign})
	}
}

func (v *verifier) begin() {
	for _, raw := range v.Known {
		v.checkpoint(raw, true)
	}
	slices.SortStableFunc(v.states, func(a, b known) int { return int(a.Size - b.Size) })
	for i := 1; i < len(v.states); i++ {
		if a, b := v.states[i-1], v.states[i]; a.Size == b.Size && a.Root != b.Root {
			v.problem("fork", 0, a.Size, "fork: two signed checkpoints of %d records have different roots, %s and %s", a.Size, a.Root, b.Root)
		}
	}
}

// record takes the next record.
func (v *verifier) record(l storage.LedgerRecord) {
	if l.N != v.Records && !v.sealedBlock(l) {
		v.missing(l.N)
	}
	switch {
	case v.Records > l.N: // a sealed block was taken in
		return
	case len(l.Body) == 0:
		v.problem("edited", l.N, l.N+1, "record %d has been emptied", l.N)
	default:
		v.content(l)
	}
	v.grow(l)
}

// missing notes that records up to one are not there.
func (v *verifier) missing(to int64) {
	v.problem("missing", v.Records, to, "records %d to %d are missing", v.Records, to-1)
	v.Records, v.broken = to, true
}

// sealedBlock takes a block in of which only the hashes are left; false when it is not one.
func (v *verifier) sealedBlock(l storage.LedgerRecord) bool {
	if len(l.Body) > 0 || v.Records%blockSize != 0 || l.N != v.Records+blockSize-1 {
		return false
	}
	h, ok := hashAt(l.Hashes, l.N, blockLevel)
	if !ok {
		return false
	}
	v.gone = append(v.gone, stretch{v.Records, l.N + 1})
	v.Sealed += blockSize
	if !v.broken {
		v.scratch = v.edge.addBlock(v.scratch[:0], h)
		if !bytes.Equal(v.scratch, l.Hashes) {
			v.problem("hashes", v.Records, l.N+1, "the hashes of the sealed records %d to %d were changed", v.Records, l.N)
		}
	}
	v.Records = l.N + 1
	v.reach()
	return true
}

// content checks what a record says of itself.
func (v *verifier) content(l storage.LedgerRecord) {
	h := tlog.RecordHash(l.Body)
	if len(l.Hashes) < tlog.HashSize || !bytes.Equal(h[:], l.Hashes[:tlog.HashSize]) {
		v.problem("edited", l.N, l.N+1, "record %d was edited: its contents do not have its hash", l.N)
	}
	v.prefix = strconv.AppendInt(append(v.prefix[:0], `{"v":1,"n":`...), l.N, 10)
	v.prefix = append(strconv.AppendInt(append(v.prefix, `,"ts":`...), l.TS, 10), `,"kind":"`...)
	if !bytes.HasPrefix(l.Body, v.prefix) {
		if r, err := parse(l.Body); err == nil && r.N != l.N {
			v.problem("reordered", l.N, l.N+1, "record %d stands where record %d belongs: reordered", r.N, l.N)
		} else {
			v.problem("edited", l.N, l.N+1, "record %d was edited: its number and time are not those that it was written with", l.N)
		}
		return
	}
	sealed := bytes.HasPrefix(l.Body[len(v.prefix):], []byte(`sealed"`))
	if !sealed && len(l.Items) == 0 && len(v.Territory) == 0 && !bytes.Contains(l.Body, []byte(`,"items":`)) {
		return
	}
	r, err := parse(l.Body)
	if err != nil {
		v.problem("edited", l.N, l.N+1, "record %d was edited: %v", l.N, err)
		return
	}
	v.meaning(&r, l, sealed)
}

// meaning checks what a record says of others.
func (v *verifier) meaning(r *Record, l storage.LedgerRecord, sealed bool) {
	if r.Items > 0 || len(l.Items) > 0 {
		root := rootOf(l.Items)
		if r.Items*tlog.HashSize != int64(len(l.Items)) || r.Root != base64.RawURLEncoding.EncodeToString(root[:]) {
			v.problem("edited", l.N, l.N+1, "the list of what record %d stands for was changed", l.N)
		}
	}
	if sealed {
		v.seals = append(v.seals, stretch{r.From, r.To})
	}
	if len(v.Territory) > 0 && leaves(r.Kind) && placeOf(r, v.Territory) >= outside {
		if v.LeftMore = len(v.Left) >= maxEntries; !v.LeftMore {
			v.Left = append(v.Left, *r)
		}
	}
}

// grow adds a record to the tree, by the hash that stands beside it.
// Why not by that of its contents: so the roots still tell whether anything else was changed.
func (v *verifier) grow(l storage.LedgerRecord) {
	v.Records = l.N + 1
	if v.broken || len(l.Hashes) < tlog.HashSize {
		v.broken = true
		return
	}
	v.scratch = v.edge.add(v.scratch[:0], tlog.Hash(l.Hashes[:tlog.HashSize]))
	if !bytes.Equal(v.scratch, l.Hashes) {
		v.problem("hashes", l.N, l.N+1, "the hashes of the tree at record %d were changed", l.N)
	}
	v.reach()
}

// reach compares the root with the checkpoints of this size.
func (v *verifier) reach() {
	for ; v.next < len(v.states) && v.states[v.next].Size <= v.Records; v.next++ {
		c := v.states[v.next]
		switch {
		case v.broken || c.Size < v.Records: // inside what was sealed away
		case c.Root == v.edge.root():
			v.agreed = c.Size
			v.Checkpoints++
			v.Signed = c.Size
		case c.foreign:
			v.problem("fork", v.agreed, c.Size, "fork: the checkpoint of %d records that was kept elsewhere contradicts this log; they differ somewhere in records %d to %d",
				c.Size, v.agreed, c.Size-1)
		default:
			v.problem("changed", v.agreed, c.Size, "the log contradicts its checkpoint of %d records: something in records %d to %d was changed", c.Size, v.agreed, c.Size-1)
			v.agreed = c.Size
		}
	}
}

// end finds what is not there at all.
func (v *verifier) end(head int64) Report {
	if head != v.Records {
		v.problem("truncated", v.Records, head, "truncated: the log's head says %d records, there are %d", head, v.Records)
	}
	for ; v.next < len(v.states); v.next++ {
		c := v.states[v.next]
		if c.foreign {
			v.problem("rolled-back", v.Records, c.Size, "rolled back: a checkpoint that was kept elsewhere says %d records, there are %d", c.Size, v.Records)
		} else {
			v.problem("truncated", v.Records, c.Size, "truncated: a checkpoint says %d records, there are %d", c.Size, v.Records)
		}
	}
	for _, g := range v.gone {
		if !slices.ContainsFunc(v.seals, func(s stretch) bool { return s.from <= g.from && g.to <= s.to }) {
			v.problem("unsealed", g.from, g.to, "the contents of records %d to %d are gone, and no record says that they were sealed away", g.from, g.to-1)
		}
	}
	if !v.broken {
		v.Root = v.edge.root().String()
	}
	if v.Problems == nil {
		v.Problems = []Problem{}
	}
	return v.Report
}

// addBlock appends a whole block by its hash; see add.
func (e *edge) addBlock(dst []byte, h tlog.Hash) []byte {
	blocks := edge{e.size >> blockLevel, e.hashes}
	dst = blocks.add(dst, h)
	e.size, e.hashes = e.size+blockSize, blocks.hashes
	return dst
}

// Verify checks the log in a database; nothing is written.
func Verify(ctx context.Context, db *storage.DB, how Verification) (Report, error) {
	v := newVerifier(how)
	list, err := db.ListLedgerCheckpoints(ctx)
	if err != nil {
		return Report{}, err
	}
	for _, c := range list {
		v.checkpoint(c.Note, false)
	}
	// Why after the checkpoints, and before the records: the log may grow meanwhile.
	head, err := db.GetLedgerHead(ctx)
	if err != nil {
		return Report{}, err
	}
	v.begin()
	err = db.EachLedgerRecord(ctx, 0, head.Size, func(l storage.LedgerRecord) error {
		v.record(l)
		return ctx.Err()
	})
	return v.end(head.Size), err
}
