package push

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"rempart/internal/matrix"
)

// outcome is what push rules say of an event.
type outcome struct{ notify, highlight bool }

// occasion is an event with what rules ask about it beside the event itself. It parses the event when a rule first needs
// it, and once for all users. Not for concurrent use.
type occasion struct {
	event *matrix.Event
	// members is how many are in the room; mayNotify says whether the sender has the power to notify by a key.
	members   int64
	mayNotify func(key string) bool
	thread    int64 // the root of the thread that the event is in; 0: in none

	fields map[string]any
	body   *string
	// paths and matches are what was looked up before: users share most of their rules.
	paths   map[string]property
	matches map[textMatch]bool
}

// property is what stands at a path of an event.
type property struct {
	value any
	ok    bool
}

// textMatch asks whether what stands at a path matches a pattern.
type textMatch struct{ path, pattern string }

// judge is a user with his rules, as they are applied to one occasion.
type judge struct {
	rules *Ruleset
	// displayName finds what the user is called in the room; nil: nobody knows.
	displayName func() string
	// named says that a message without m.mentions has the user's name in its text: as good as a mention.
	named bool
	// threads is what the user said of threads: whether he is subscribed. MSC4306
	threads map[int64]bool
}

// decide says what the first rule that matches does.
func (j judge) decide(o *occasion) outcome {
	if r := j.first(o); r != nil {
		return r.outcome()
	}
	return outcome{}
}

// first is the first rule that matches; nil when none does.
func (j judge) first(o *occasion) *Rule {
	for _, k := range Kinds() {
		for i := range *j.rules.list(k) {
			r := &(*j.rules.list(k))[i]
			if r.Enabled && (j.matches(o, k, r) || j.named && r.ID == mentionRule) {
				return r
			}
		}
	}
	return nil
}

// outcome reads a rule's actions; unknown ones and dont_notify do nothing.
func (r *Rule) outcome() outcome {
	var out outcome
	for _, a := range r.Actions {
		if bytes.Equal(a, notify) {
			out.notify = true
			continue
		}
		if !bytes.Contains(a, []byte("highlight")) {
			continue
		}
		tweak := struct {
			Name  string `json:"set_tweak"`
			Value *bool  `json:"value"`
		}{}
		if matrix.Decode(a, &tweak) == nil && tweak.Name == "highlight" {
			out.highlight = tweak.Value == nil || *tweak.Value
		}
	}
	return outcome{out.notify, out.notify && out.highlight}
}

func (j judge) matches(o *occasion, k Kind, r *Rule) bool {
	switch k {
	case Room:
		return string(o.event.RoomID) == r.ID
	case Sender:
		return string(o.event.Sender) == r.ID
	case Content:
		return r.Pattern != nil && globWords(strings.ToLower(*r.Pattern), o.text())
	}
	for i := range r.Conditions {
		if !j.holds(o, &r.Conditions[i]) {
			return false
		}
	}
	return true
}

// holds applies one condition. Spec: client-server-api/#conditions-1
func (j judge) holds(o *occasion, c *Condition) bool {
	switch c.Kind {
	case "event_match":
		return c.Pattern != nil && o.matchText(c.Key, *c.Pattern)
	case "event_property_is":
		v, ok := o.lookup(c.Key)
		return ok && sameValue(v, c.Value)
	case "event_property_contains":
		list, _ := o.lookup(c.Key)
		items, _ := list.([]any)
		for _, v := range items {
			if sameValue(v, c.Value) {
				return true
			}
		}
		return false
	case threadCondition:
		return o.thread != 0 && c.Subscribed != nil && j.threads[o.thread] == *c.Subscribed
	case "contains_display_name":
		return j.isCalled(o)
	case "room_member_count":
		return compareCount(o.members, c.Is)
	case "sender_notification_permission":
		return o.mayNotify(c.Key)
	}
	return false
}

// isCalled reports whether the user's name in the room stands in the body.
func (j judge) isCalled(o *occasion) bool {
	return j.displayName != nil && o.text() != "" && containsWord(o.text(), strings.ToLower(j.displayName()))
}

// matchText is event_match: the whole value, or a stretch of words in the body.
func (o *occasion) matchText(key, pattern string) bool {
	m := textMatch{key, pattern}
	matched, known := o.matches[m]
	if known {
		return matched
	}
	matched = o.matchAnew(key, pattern)
	if o.matches == nil {
		o.matches = map[textMatch]bool{}
	}
	if len(o.matches) < maxRemembered {
		o.matches[m] = matched
	}
	return matched
}

// maxRemembered bounds what an occasion remembers.
const maxRemembered = 1000

func (o *occasion) matchAnew(key, pattern string) bool {
	if key == "content.body" {
		return globWords(strings.ToLower(pattern), o.text())
	}
	v, ok := o.lookup(key)
	text, isText := v.(string)
	return ok && isText && glob(strings.ToLower(pattern), strings.ToLower(text))
}

// text is the body in lower case.
func (o *occasion) text() string {
	if o.body == nil {
		v, _ := o.lookup("content.body")
		s, _ := v.(string)
		s = strings.ToLower(s)
		o.body = &s
	}
	return *o.body
}

// lookup follows a dot-separated path into the event; "\." stands for a dot within a name.
// Spec: appendices/#dot-separated-property-paths
func (o *occasion) lookup(path string) (any, bool) {
	p, known := o.paths[path]
	if known {
		return p.value, p.ok
	}
	p.value, p.ok = o.follow(path)
	if o.paths == nil {
		o.paths = map[string]property{}
	}
	if len(o.paths) < maxRemembered {
		o.paths[path] = p
	}
	return p.value, p.ok
}

func (o *occasion) follow(path string) (any, bool) {
	if o.fields == nil {
		dec := json.NewDecoder(bytes.NewReader(o.event.JSON))
		dec.UseNumber()
		if dec.Decode(&o.fields) != nil {
			o.fields = map[string]any{}
		}
	}
	var at any = o.fields
	for _, name := range splitPath(path) {
		m, ok := at.(map[string]any)
		if !ok {
			return nil, false
		}
		if at, ok = m[name]; !ok {
			return nil, false
		}
	}
	return at, true
}

func splitPath(path string) []string {
	var parts []string
	var part strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\' && i+1 < len(path) && (path[i+1] == '.' || path[i+1] == '\\'):
			i++
			part.WriteByte(path[i])
		case c == '.':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(c)
		}
	}
	return append(parts, part.String())
}

// sameValue compares a value of the event with one of a condition: strings, whole numbers, true, false and null.
func sameValue(v any, want json.RawMessage) bool {
	switch text := v.(type) {
	case string:
		if n := len(want); n >= 2 && want[0] == '"' && bytes.IndexByte(want, '\\') < 0 {
			return string(want[1:n-1]) == text // as nearly all are: nothing in it is escaped
		}
	case json.Number, bool, nil:
	default:
		return false
	}
	dec := json.NewDecoder(bytes.NewReader(want))
	dec.UseNumber()
	var w any
	return len(want) > 0 && dec.Decode(&w) == nil && v == w
}

// compareCount reads "2", "==2", "<10" and the like.
func compareCount(have int64, is string) bool {
	digits := strings.TrimLeft(is, "<>=")
	want, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return false
	}
	switch is[:len(is)-len(digits)] {
	case "", "==":
		return have == want
	case "<":
		return have < want
	case ">":
		return have > want
	case "<=":
		return have <= want
	case ">=":
		return have >= want
	}
	return false
}
