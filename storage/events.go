package storage

import "rempart/internal/matrix"

// EventFlag marks what was found out about an event. The numbers are stored: never renumber.
type EventFlag int64

// The flags of an event.
const (
	FlagRejected   EventFlag = 1 << iota // failed authorisation: in the graph, in nobody's view
	FlagSoftFailed                       // authorised by its past, not by the present: kept from clients and from heads
	FlagOutlier                          // known without its place in the graph
	FlagRedacted                         // served in its redacted form
	FlagNotify                           // notifies by the default push rules
	FlagHighlight                        // highlights by the default push rules for everybody (@room, server notice)
	FlagNoState                          // the state before it is not known yet: served to nobody
	FlagLocal                            // made by a user of this installation
	FlagOwnBranch                        // the state after it starts the branch that bears its number
	FlagBackfill                         // history from before our stream
	FlagHits                             // push_hits rows correct what it counts for some users
	FlagDelayed                          // scheduled by its sender some time before; delayed_sent names it
	FlagSticky                           // sticks for a while; sticky_events names it
	FlagGap                              // some of what came right before it is not known here
)

// EventRow is an event's row. Its JSON is an [EventJSONRow] of the same number.
type EventRow struct {
	At
	NID, Room, IDHash int64
	Sender            int64 // user number
	StateKey          int64 // number of the (type, state key) pair; 0 for message events
	Branch, Seq       int64 // version of the state before the event; Branch -1: unknown
	Depth, TS         int64
	Flags             EventFlag
	Notify, TNotify   int64 // filled in at commit from the room's row
	Thread            int64
	Chain, ChainSeq   int64
	Prev, Auth        []int64
}

var eventsTable = newTable("events", `nid:i room:i pos:i id_hash:i sender:i skey:i branch:i seq:i depth:i ts:i flags:i
	notify:i tnotify:i thread:i chain:i chain_seq:i prev:b auth:b`, 1, "")

func (*EventRow) table() *table { return eventsTable }

func (r *EventRow) args(dst []any) []any {
	return append(dst, r.NID, r.Room, r.Pos, r.IDHash, r.Sender, r.StateKey, r.Branch, r.Seq, r.Depth, r.TS, int64(r.Flags),
		r.Notify, r.TNotify, r.Thread, r.Chain, r.ChainSeq, encodeNIDs(r.Prev), encodeNIDs(r.Auth))
}

// EventJSONRow is the text of an event: its full form and, once a redaction took effect, the redacted one.
type EventJSONRow struct {
	NID        int64
	ID         matrix.EventID
	JSON       []byte
	Redacted   []byte // nil: not redacted
	RedactedBy int64
}

var eventJSONTable = newTable("event_json", "nid:i id:t json:b redacted:b redacted_by:i", 1, "")

func (*EventJSONRow) table() *table { return eventJSONTable }

func (r *EventJSONRow) args(dst []any) []any {
	return append(dst, r.NID, string(r.ID), r.JSON, nullBytes(r.Redacted), r.RedactedBy)
}

// nullBytes keeps "no bytes" apart from "empty".
func nullBytes(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// PendingRedactionRow remembers a redaction that came before its target.
type PendingRedactionRow struct {
	Room      int64
	Target    matrix.EventID
	Redaction int64
}

var pendingRedactionsTable = newTable("pending_redactions", "room:i target:t redaction:i", 3, "ignore")

func (*PendingRedactionRow) table() *table { return pendingRedactionsTable }

func (r *PendingRedactionRow) args(dst []any) []any {
	return append(dst, r.Room, string(r.Target), r.Redaction)
}

// Membership is a user's standing in a room, as stored. Never renumber.
type Membership int64

// The memberships.
const (
	MemberNone Membership = iota
	MemberJoin
	MemberInvite
	MemberKnock
	MemberLeave
	MemberBan
)

// MembershipRow follows current state: a row for every user that ever had a membership in the room.
type MembershipRow struct {
	At
	User, Room int64
	Membership Membership
	Event      int64
	Forgotten  bool
}

var membershipsTable = newTable("memberships", "usr:i room:i membership:i event:i pos:i forgotten:i", 2, "update")

func (*MembershipRow) table() *table { return membershipsTable }
func (r *MembershipRow) args(dst []any) []any {
	return append(dst, r.User, r.Room, int64(r.Membership), r.Event, r.Pos, asInt(r.Forgotten))
}

// TransactionRow remembers a client's transaction id; the key being taken fails the Change, so guard it.
type TransactionRow struct {
	Device, Endpoint int64
	TxnID            string
	Event, TS        int64
}

var transactionsTable = newTable("transactions", "device:i endpoint:i txn:t event:i ts:i", 3, "")

func (*TransactionRow) table() *table { return transactionsTable }
func (r *TransactionRow) args(dst []any) []any {
	return append(dst, r.Device, r.Endpoint, r.TxnID, r.Event, r.TS)
}

func asInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
