package storage

import (
	"strconv"
	"strings"
)

// SearchField says in which part of its content an event is found. The numbers are stored: never renumber.
type SearchField int64

// The parts that are searched.
const (
	SearchBody SearchField = iota
	SearchName
	SearchTopic
)

// historyBase is added to the numbers of events without a place in the stream, so that they are found behind the others.
const historyBase = -1 << 62

// SearchRow makes an event be found by its words.
type SearchRow struct {
	At
	Event, Room, Sender int64
	Field               SearchField
	// TS, Branch and Seq are those of the event: what decides who may see it is read with its words.
	TS, Branch, Seq int64
	// Words are folded, of letters and digits only.
	Words []string
}

var searchDocsTable = newTable("search_docs", "id:i event:i room:i field:i ts:i branch:i seq:i words:t", 1, "ignore")

func (*SearchRow) table() *table { return searchDocsTable }

func (r *SearchRow) args(dst []any) []any {
	id := r.Pos
	if id == 0 {
		id = historyBase + r.Event
	}
	return append(dst, id, r.Event, r.Room, int64(r.Field), r.TS, r.Branch, r.Seq,
		roomMark(r.Room)+" "+senderMark(r.Sender)+" "+strings.Join(r.Words, " "))
}

// Marks stand among the words and say in which room, by whom. They begin with letters of private use, which no word has.
func roomMark(nid int64) string   { return "\ue000" + strconv.FormatInt(nid, 36) }
func senderMark(nid int64) string { return "\ue001" + strconv.FormatInt(nid, 36) }

// markedSender reads who stands among the words of a row, behind the room's mark; 0 when nobody does.
func markedSender(words string) int64 {
	_, rest, _ := strings.Cut(words, " \ue001")
	mark, _, _ := strings.Cut(rest, " ")
	nid, _ := strconv.ParseInt(mark, 36, 64)
	return nid
}

// searchID is the id under which an event, $1, is found; $2 is [historyBase].
const searchID = `(SELECT CASE WHEN pos > 0 THEN pos ELSE nid + $2 END FROM events WHERE nid = $1)`

// dropSearch is the guard after which an event is not found any more.
func dropSearch(event int64) Guard {
	return Guard{sql: `DELETE FROM search_docs WHERE id = ` + searchID, args: []any{event, int64(historyBase)}, want: anyRows}
}

// foldSearch is the guard that tells the index of words that the version before an event is no longer kept.
func foldSearch(event int64) Guard {
	return Guard{sql: `UPDATE search_docs SET branch = $3, seq = 0 WHERE branch >= 0 AND id = ` + searchID,
		args: []any{event, int64(historyBase), FoldedBranch}, want: anyRows}
}
