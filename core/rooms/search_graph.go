package rooms

import (
	"encoding/json"
	"rempart/internal/matrix"
	"strings"

	"rempart/internal/words"
	"rempart/storage"
)

// index makes an event be found by its words. Encrypted ones have none.
// Spec: client-server-api/#server-side-search
func (b *builder) index(e *Stored) {
	if e.RedactedBy != nil {
		return
	}
	text, field := searchable(e)
	list := words.Of(text)
	if len(list) == 0 {
		return
	}
	b.change.Add(&storage.SearchRow{At: storage.At{Live: e.Row.Live}, Event: e.Row.NID, Room: b.r.nid, Sender: e.Row.Sender,
		Field: field, TS: e.Row.TS, Branch: e.Row.Branch, Seq: e.Row.Seq, Words: list})
}

// searchable is the text of an event that is searched, and which part of the content it is.
func searchable(e *Stored) (string, storage.SearchField) {
	switch {
	case e.Type == "m.room.message" && !e.IsState():
		return messageText(e.Content), storage.SearchBody
	case e.Type == "m.room.name" && e.StateKeyEquals(""):
		return textIn(e.Content, "name"), storage.SearchName
	case e.Type == "m.room.topic" && e.StateKeyEquals(""):
		return textIn(e.Content, "topic"), storage.SearchTopic
	}
	return "", storage.SearchBody
}

// searchedType is the type of the events that are searched in a part of their content.
func searchedType(f storage.SearchField) string {
	switch f {
	case storage.SearchName:
		return "m.room.name"
	case storage.SearchTopic:
		return "m.room.topic"
	}
	return "m.room.message"
}

// searchedKey is the state key of those events; nil for messages.
func searchedKey(f storage.SearchField) *string {
	if f == storage.SearchBody {
		return nil
	}
	return new(string)
}

// messageText is what a message says: of an edit the new text, of a reply what does not repeat the other's words.
func messageText(content []byte) string {
	var c struct {
		Body any `json:"body"`
		New  struct {
			Body any `json:"body"`
		} `json:"m.new_content"`
		Relates struct {
			RelType any             `json:"rel_type"`
			ReplyTo json.RawMessage `json:"m.in_reply_to"`
		} `json:"m.relates_to"`
	}
	_ = matrix.Decode(content, &c) // what is odd in a content is not found
	body, _ := c.Body.(string)
	if c.Relates.RelType == "m.replace" {
		if text, ok := c.New.Body.(string); ok {
			return text
		}
	}
	if c.Relates.ReplyTo == nil {
		return body
	}
	// Spec: client-server-api/#rich-replies before v1.13
	for strings.HasPrefix(body, "> ") {
		_, rest, more := strings.Cut(body, "\n")
		if !more {
			break
		}
		body = rest
	}
	return body
}

// SearchText is the text by which an event is found; "" when it is not.
func SearchText(e *Stored) string {
	text, _ := searchable(e)
	return text
}
