package csapi

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// mark begins the text of every message the load program sends: mark, time of
// sending in nanoseconds, ':', sequence number, ':'. It is found in a sync
// answer by its bytes, wherever a server puts the event.
const mark = "~load:"

// filler makes a message as long as people write.
const filler = "the quick brown fox jumps over the lazy dog while the rampart stands"

func appendMessage(b []byte, at time.Time, seq int) []byte {
	b = append(b, `{"msgtype":"m.text","body":"`+mark...)
	b = strconv.AppendInt(b, at.UnixNano(), 10)
	b = append(b, ':')
	b = strconv.AppendInt(b, int64(seq), 10)
	return append(b, ":"+filler+`"}`...)
}

// ScanMessages calls found for every message of the load program in an answer.
func ScanMessages(answer []byte, found func(sent time.Time, seq int)) {
	for {
		i := bytes.Index(answer, []byte(mark))
		if i < 0 {
			return
		}
		answer = answer[i+len(mark):]
		nanos, n := leadingInt(answer)
		if n == 0 || n >= len(answer) || answer[n] != ':' {
			continue
		}
		seq, m := leadingInt(answer[n+1:])
		if m == 0 {
			continue
		}
		answer = answer[n+1+m:]
		found(time.Unix(0, nanos), int(seq))
	}
}

func leadingInt(b []byte) (value int64, digits int) {
	for digits < len(b) && digits < 19 && b[digits] >= '0' && b[digits] <= '9' {
		value = value*10 + int64(b[digits]-'0')
		digits++
	}
	return value, digits
}

// stringField finds the first member with this name, at any depth, whose value
// is a string. The load program's own events have no such members.
func stringField(answer []byte, name string) (string, bool) {
	quoted := append(append([]byte{'"'}, name...), '"')
	for {
		i := bytes.Index(answer, quoted)
		if i < 0 {
			return "", false
		}
		answer = answer[i+len(quoted):]
		rest := bytes.TrimLeft(answer, " \t\r\n")
		if len(rest) == 0 || rest[0] != ':' {
			continue
		}
		rest = bytes.TrimLeft(rest[1:], " \t\r\n")
		if len(rest) == 0 || rest[0] != '"' {
			continue
		}
		return leadingString(rest)
	}
}

// leadingString reads the JSON string that b begins with.
func leadingString(b []byte) (string, bool) {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			if bytes.IndexByte(b[1:i], '\\') < 0 {
				return string(b[1:i]), true
			}
			var s string
			err := json.Unmarshal(b[:i+1], &s)
			return s, err == nil
		}
	}
	return "", false
}
