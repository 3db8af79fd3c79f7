package matrix

import (
	"math"
	"strconv"
	"strings"
)

// SyncToken is a client's place in everything that it may need to hear of. Clients must treat it as opaque.
// Text form: "s<epoch>_<position>_<to-device>_<ephemeral>".
type SyncToken struct {
	// Epoch is the life of the stream that the token belongs to; a token of another one tells nothing.
	Epoch int64
	// Pos is the stream position up to which everything has been sent.
	Pos int64
	// ToDevice is the position up to which messages to the device have been sent; it may lag behind Pos.
	ToDevice int64
	// Ephemeral counts what lives in memory only (typing, presence) in the process that gave the token.
	Ephemeral int64
}

// String is the token's text form.
func (t SyncToken) String() string {
	b := make([]byte, 0, 40)
	b = strconv.AppendInt(append(b, 's'), t.Epoch, 10)
	for _, n := range [...]int64{t.Pos, t.ToDevice, t.Ephemeral} {
		b = strconv.AppendInt(append(b, '_'), n, 10)
	}
	return string(b)
}

// ParseSyncToken reads a token's text form.
func ParseSyncToken(s string) (SyncToken, error) {
	var t SyncToken
	n, ok := tokenNumbers(s, 's', 4)
	if !ok {
		return t, InvalidParam("This sync token was not given out by this server; start again without one.")
	}
	return SyncToken{n[0], n[1], n[2], n[3]}, nil
}

// SlidingToken is a client's place on a connection of sliding sync; clients must treat it as opaque.
// Text form: "z<epoch>_<position>_<ephemeral>_<life>_<answer>".
type SlidingToken struct {
	// Epoch, Pos and Ephemeral are as in a [SyncToken].
	Epoch, Pos, Ephemeral int64
	// Life names the connection, Answer the answer that gave the token.
	Life, Answer int64
}

// String is the token's text form.
func (t SlidingToken) String() string {
	b := make([]byte, 0, 64)
	b = strconv.AppendInt(append(b, 'z'), t.Epoch, 10)
	for _, n := range [...]int64{t.Pos, t.Ephemeral, t.Life, t.Answer} {
		b = strconv.AppendInt(append(b, '_'), n, 10)
	}
	return string(b)
}

// ParseSlidingToken reads a token's text form; what is none is M_UNKNOWN_POS.
func ParseSlidingToken(s string) (SlidingToken, error) {
	n, ok := tokenNumbers(s, 'z', 5)
	if !ok {
		return SlidingToken{}, UnknownPos()
	}
	return SlidingToken{n[0], n[1], n[2], n[3], n[4]}, nil
}

// PageToken is a place between two events of a room. Live events are ordered by stream position, history from before
// our stream by room order (depth, then event number). Text forms: "t<position>" and "h<depth>_<number>".
type PageToken struct {
	// Live says that the place is in the live stream, behind the event at Pos.
	Live bool
	Pos  int64
	// Depth and NID name the place behind an event of the history.
	Depth, NID int64
}

// LivePage is the place behind the event at a stream position; 0 is the border between history and stream.
func LivePage(pos int64) PageToken { return PageToken{Live: true, Pos: pos} }

// HistoryPage is the place behind an event of the history.
func HistoryPage(depth, nid int64) PageToken { return PageToken{Depth: depth, NID: nid} }

// HistoryEnd is the place behind all history.
func HistoryEnd() PageToken { return PageToken{Depth: math.MaxInt64, NID: math.MaxInt64} }

// String is the token's text form.
func (t PageToken) String() string {
	if t.Live {
		return "t" + strconv.FormatInt(t.Pos, 10)
	}
	return "h" + strconv.FormatInt(t.Depth, 10) + "_" + strconv.FormatInt(t.NID, 10)
}

// ParsePageToken reads a page token, or the page that a token of either sync stands at.
func ParsePageToken(s string) (PageToken, error) {
	if n, ok := tokenNumbers(s, 't', 1); ok {
		return LivePage(n[0]), nil
	}
	if n, ok := tokenNumbers(s, 'h', 2); ok {
		return HistoryPage(n[0], n[1]), nil
	}
	if t, err := ParseSyncToken(s); err == nil {
		return LivePage(t.Pos), nil
	}
	if t, err := ParseSlidingToken(s); err == nil { // MSC4186: a pos can be used in /messages and /relations
		return LivePage(t.Pos), nil
	}
	return PageToken{}, InvalidParam("This pagination token was not given out by this server.")
}

// tokenNumbers splits a letter and exactly n non-negative numbers joined by "_".
func tokenNumbers(s string, letter byte, n int) ([]int64, bool) {
	if len(s) < 2 || s[0] != letter || strings.Count(s, "_") != n-1 {
		return nil, false
	}
	out := make([]int64, 0, n)
	for part := range strings.SplitSeq(s[1:], "_") {
		v, err := strconv.ParseInt(part, 10, 64)
		if err != nil || v < 0 {
			return nil, false
		}
		out = append(out, v)
	}
	return out, true
}
