package ledger

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"

	"rempart/storage"
)

// A bundle is the whole log as a text, to be checked elsewhere without this server. Its lines, in this order:
//
//	rempart ledger 1
//	key <public key>
//	checkpoint <base64 of the note>      each
//	head <number of records>
//	record <number> <time> <base64 of the hashes> <base64 of the items, or -> <contents>      each
//
// Whom the aliases mean is not in it.
const bundleTitle = "rempart ledger 1\n"

// maxLine bounds a line of a bundle that somebody hands us.
const maxLine = 8 << 20

// Export writes the log as a bundle.
func Export(ctx context.Context, db *storage.DB, key string, to io.Writer) error {
	w := bufio.NewWriterSize(to, 1<<16)
	list, err := db.ListLedgerCheckpoints(ctx)
	if err != nil {
		return err
	}
	head, err := db.GetLedgerHead(ctx)
	if err != nil {
		return err
	}
	line := append([]byte(bundleTitle+"key "), key+"\n"...)
	for _, c := range list {
		line = append(base64.StdEncoding.AppendEncode(append(line, "checkpoint "...), c.Note), '\n')
	}
	line = fmt.Appendf(line, "head %d\n", head.Size)
	err = db.EachLedgerRecord(ctx, 0, head.Size, func(l storage.LedgerRecord) error {
		line = append(strconv.AppendInt(append(line, "record "...), l.N, 10), ' ')
		line = append(strconv.AppendInt(line, l.TS, 10), ' ')
		line = append(base64.StdEncoding.AppendEncode(line, l.Hashes), ' ')
		if len(l.Items) == 0 {
			line = append(line, '-')
		}
		line = append(base64.StdEncoding.AppendEncode(line, l.Items), ' ')
		line = append(append(line, l.Body...), '\n')
		_, err := w.Write(line)
		line = line[:0]
		return err
	})
	if err != nil {
		return err
	}
	if _, err := w.Write(line); err != nil { // an empty log has nothing but the head
		return err
	}
	return w.Flush()
}

// VerifyBundle checks a bundle. Without a key in how, that of the bundle is used, which shows nothing but that the bundle is whole.
func VerifyBundle(from io.Reader, how Verification) (Report, error) {
	b := bundle{lines: bufio.NewScanner(from)}
	b.lines.Buffer(make([]byte, 1<<16), maxLine)
	if !b.lines.Scan() || b.lines.Text()+"\n" != bundleTitle {
		return Report{}, errors.New("this is no exported ledger")
	}
	for b.lines.Scan() {
		if err := b.line(b.lines.Bytes(), &how); err != nil {
			return Report{}, err
		}
	}
	if b.v == nil {
		return Report{}, errors.New("the exported ledger ends before its records")
	}
	return b.v.end(b.head), b.lines.Err()
}

// bundle reads a bundle.
type bundle struct {
	lines *bufio.Scanner
	notes [][]byte
	head  int64
	v     *verifier // once the head was read
	l     storage.LedgerRecord
}

func (b *bundle) line(line []byte, how *Verification) (err error) {
	word, rest, _ := bytes.Cut(line, []byte(" "))
	switch {
	case string(word) == "key" && how.Key == "":
		how.Key = string(rest)
	case string(word) == "key":
	case string(word) == "checkpoint" && b.v == nil:
		raw, err := base64.StdEncoding.AppendDecode(nil, rest)
		b.notes = append(b.notes, raw)
		return err
	case string(word) == "head" && b.v == nil:
		b.head, err = strconv.ParseInt(string(rest), 10, 64)
		b.v = newVerifier(*how)
		for _, raw := range b.notes {
			b.v.checkpoint(raw, false)
		}
		b.v.begin()
	case string(word) == "record" && b.v != nil:
		if err := b.record(rest); err != nil {
			return fmt.Errorf("a record of the exported ledger cannot be read: %w", err)
		}
		b.v.record(b.l)
	default:
		return fmt.Errorf("the exported ledger holds a line that does not belong there: %.60q", line)
	}
	return err
}

// record reads a record into l.
func (b *bundle) record(line []byte) (err error) {
	n, line, _ := bytes.Cut(line, []byte(" "))
	ts, line, _ := bytes.Cut(line, []byte(" "))
	hashes, line, _ := bytes.Cut(line, []byte(" "))
	items, body, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return io.ErrUnexpectedEOF
	}
	if b.l.N, err = strconv.ParseInt(string(n), 10, 64); err != nil {
		return err
	}
	if b.l.TS, err = strconv.ParseInt(string(ts), 10, 64); err != nil {
		return err
	}
	if b.l.Hashes, err = base64.StdEncoding.AppendDecode(b.l.Hashes[:0], hashes); err != nil {
		return err
	}
	b.l.Items, b.l.Body = b.l.Items[:0], body
	if string(items) != "-" {
		b.l.Items, err = base64.StdEncoding.AppendDecode(b.l.Items, items)
	}
	return err
}
