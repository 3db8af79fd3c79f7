package ledger

import (
	"fmt"
	"strconv"

	"rempart/internal/matrix"
)

// Kind says what a record is about. The names are written and must never change.
type Kind string

// The kinds of records.
const (
	Connection  Kind = "connection"        // a connection is about to be opened
	Refused     Kind = "refused"           // connections that were not opened; Count of them within seconds
	Transaction Kind = "transaction"       // events and messages are about to be sent to another server
	Answer      Kind = "answer"            // another server's question is about to be answered
	Internal    Kind = "internal.transfer" // one server of this installation tells or answers another
	Outcomes    Kind = "outcomes"          // what became of earlier records
	Read        Kind = "read"              // sessions read ranges of rooms
	Call        Kind = "call"              // somebody came into a call, sent media, or left; Types say which
	Sealed      Kind = "sealed"            // records From up to and without To were sealed away
	Erased      Kind = "erased"            // whom some aliases mean was forgotten
	Lost        Kind = "lost"              // Count things could not be recorded
	Restored    Kind = "restored"          // the log was found shorter than, or other than, it was known to be
)

// Record is one leaf, as it is read back. Absent fields are zero. It holds no secret and no content of messages.
type Record struct {
	Version int64 `json:"v"`
	N       int64 `json:"n"`
	TS      int64 `json:"ts"` // milliseconds; never less than that of the record before
	Kind    Kind  `json:"kind"`
	// For is what the connection serves: federation, push, mail … or the operation that is answered.
	For    string `json:"for,omitempty"`
	Tenant string `json:"tenant,omitempty"`
	// Dest is whom it goes to: a server's name, else a host.
	Dest string `json:"dest,omitempty"`
	// Dests are instead all to whom the same goes at once; a question is answered as if each had a record of its own.
	Dests []string `json:"dests,omitempty"`
	Host  string   `json:"host,omitempty"` // what was resolved, when it is not Dest
	// Addr is the address dialled, or that a reader came from.
	Addr  string `json:"addr,omitempty"`
	CC    string `json:"cc,omitempty"`
	ASN   int64  `json:"asn,omitempty"`
	Op    string `json:"op,omitempty"`
	Class string `json:"class,omitempty"`
	// Objects are the aliases of the people, rooms and files concerned.
	Objects []string `json:"obj,omitempty"`
	Session string   `json:"session,omitempty"`
	Mission string   `json:"mission,omitempty"` // the mission under which somebody reads abroad
	// Items is how many things the record stands for, Root that of the Merkle tree of their hashes.
	Items int64    `json:"items,omitempty"`
	Root  string   `json:"root,omitempty"`
	Types []string `json:"types,omitempty"`
	Bytes int64    `json:"bytes,omitempty"`
	Count int64    `json:"count,omitempty"`
	From  int64    `json:"from,omitempty"`
	To    int64    `json:"to,omitempty"`
	// Decision, Rule, Policy and Geo say how it was decided.
	Decision string    `json:"decision,omitempty"`
	Rule     string    `json:"rule,omitempty"`
	Policy   string    `json:"policy,omitempty"`
	Geo      string    `json:"geo,omitempty"`
	Why      string    `json:"why,omitempty"`
	Of       []Outcome `json:"of,omitempty"`
	By       []Glance  `json:"by,omitempty"`

	which int // of Dests, where each had a record of its own
}

// Outcome is what became of an earlier record.
type Outcome struct {
	N        int64 `json:"n"`
	OK       bool  `json:"ok"`
	Sent     int64 `json:"sent,omitempty"`
	Received int64 `json:"received,omitempty"`
	// SPKI is the digest of the public key in the certificate that the other side showed (RFC 7469).
	SPKI string `json:"spki,omitempty"`
	Why  string `json:"why,omitempty"`
	// To says, by their places in the record's Dests, of whom it is true; none where the record has no Dests.
	To []int `json:"to,omitempty"`
}

// Glance is what one session read of one room; User and Room count the record's objects.
type Glance struct {
	User    int    `json:"u"`
	Room    int    `json:"r"`
	Session string `json:"s"`
	Addr    string `json:"addr,omitempty"`
	CC      string `json:"cc,omitempty"`
	Mission string `json:"mission,omitempty"`
	From    int64  `json:"from,omitempty"`
	To      int64  `json:"to,omitempty"`
	Count   int64  `json:"count,omitempty"`
}

// longest bounds what others may make us write into one field.
const longest = 300

// append writes the record as JSON, with its number and time in front.
// Why by hand: it is done for everything that leaves, and takes a fifth of the time.
func (r *Record) append(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"v":1,"n":`...), r.N, 10)
	b = strconv.AppendInt(append(b, `,"ts":`...), r.TS, 10)
	b = text(b, `,"kind":`, string(r.Kind))
	b = text(b, `,"for":`, r.For)
	b = text(b, `,"tenant":`, r.Tenant)
	b = text(b, `,"dest":`, r.Dest)
	b = texts(b, `,"dests":`, r.Dests)
	b = text(b, `,"host":`, r.Host)
	b = text(b, `,"addr":`, r.Addr)
	b = text(b, `,"cc":`, r.CC)
	b = number(b, `,"asn":`, r.ASN)
	b = text(b, `,"op":`, r.Op)
	b = text(b, `,"class":`, r.Class)
	b = texts(b, `,"obj":`, r.Objects)
	b = text(b, `,"session":`, r.Session)
	b = text(b, `,"mission":`, r.Mission)
	b = number(b, `,"items":`, r.Items)
	b = text(b, `,"root":`, r.Root)
	b = texts(b, `,"types":`, r.Types)
	b = number(b, `,"bytes":`, r.Bytes)
	b = number(b, `,"count":`, r.Count)
	b = number(b, `,"from":`, r.From)
	b = number(b, `,"to":`, r.To)
	b = text(b, `,"decision":`, r.Decision)
	b = text(b, `,"rule":`, r.Rule)
	b = text(b, `,"policy":`, r.Policy)
	b = text(b, `,"geo":`, r.Geo)
	b = text(b, `,"why":`, r.Why)
	for i, o := range r.Of {
		b = append(b, [2]string{`,"of":[`, `,`}[min(i, 1)]...)
		b = o.append(b)
	}
	if len(r.Of) > 0 {
		b = append(b, ']')
	}
	for i := range r.By {
		b = append(b, [2]string{`,"by":[`, `,`}[min(i, 1)]...)
		b = r.By[i].append(b)
	}
	if len(r.By) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

func (g *Glance) append(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"u":`...), int64(g.User), 10)
	b = strconv.AppendInt(append(b, `,"r":`...), int64(g.Room), 10)
	b = text(b, `,"s":`, g.Session)
	b = text(b, `,"addr":`, g.Addr)
	b = text(b, `,"cc":`, g.CC)
	b = text(b, `,"mission":`, g.Mission)
	b = number(b, `,"from":`, g.From)
	b = number(b, `,"to":`, g.To)
	return append(number(b, `,"count":`, g.Count), '}')
}

// each gives a record, or what it says of each session that read and of each to whom it goes, as if that had a record of its own.
func (r *Record) each(fn func(*Record)) {
	for i, dest := range r.Dests {
		one := *r
		one.Dest, one.Dests, one.which = dest, nil, i
		fn(&one)
	}
	if len(r.By)+len(r.Dests) == 0 {
		fn(r)
	}
	for _, g := range r.By {
		one := *r
		one.By, one.Objects = nil, nil
		for _, i := range []int{g.User, g.Room} {
			if i >= 0 && i < len(r.Objects) {
				one.Objects = append(one.Objects, r.Objects[i])
			}
		}
		one.Session, one.Addr, one.CC, one.Mission = g.Session, g.Addr, g.CC, g.Mission
		one.From, one.To, one.Count = g.From, g.To, g.Count
		fn(&one)
	}
}

func (o Outcome) append(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"n":`...), o.N, 10)
	b = strconv.AppendBool(append(b, `,"ok":`...), o.OK)
	b = number(b, `,"sent":`, o.Sent)
	b = number(b, `,"received":`, o.Received)
	b = text(b, `,"spki":`, o.SPKI)
	b = text(b, `,"why":`, o.Why)
	for i, to := range o.To {
		b = strconv.AppendInt(append(b, [2]string{`,"to":[`, `,`}[min(i, 1)]...), int64(to), 10)
	}
	if len(o.To) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

func text(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return matrix.AppendJSONString(append(b, key...), value[:min(len(value), longest)])
}

func number(b []byte, key string, value int64) []byte {
	if value == 0 {
		return b
	}
	return strconv.AppendInt(append(b, key...), value, 10)
}

func texts(b []byte, key string, values []string) []byte {
	if len(values) == 0 {
		return b
	}
	b = append(append(b, key...), '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = matrix.AppendJSONString(b, v[:min(len(v), longest)])
	}
	return append(b, ']')
}

// parse reads a record back.
func parse(body []byte) (Record, error) {
	var r Record
	if err := matrix.Decode(body, &r); err != nil {
		return r, fmt.Errorf("the record is not what was written: %w", err)
	}
	return r, nil
}
