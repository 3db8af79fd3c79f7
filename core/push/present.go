package push

import (
	"context"
	"encoding/json"

	"rempart/internal/matrix"
)

// Occasion is what rules ask about an event beside the event itself.
type Occasion struct {
	// Members is how many are in the room; MayNotify says whether the sender has the power to notify by a key.
	Members   int64
	MayNotify func(key string) bool
	// DisplayName is what the user is called in the room.
	DisplayName func() string
	// Thread is the root of the thread that the event is in, 0 for none.
	Thread int64
}

// Notice says how a user is to be notified.
type Notice struct {
	Notify, Highlight bool
	// Tweaks are those of the rule that matched, as the specification writes them.
	Tweaks map[string]json.RawMessage
}

// Notice applies a user's rules, as they are now, to an event. Why as they are now: whether an event counts was decided when it
// came; how it sounds is a matter of the moment. Spec: client-server-api/#actions
func (s *Service) Notice(ctx context.Context, user int64, id matrix.UserID, e *matrix.Event, at Occasion) (Notice, error) {
	p, err := s.rulesOf(ctx, user, id)
	if err != nil || p.ignored[e.Sender] {
		return Notice{}, err
	}
	j := judge{rules: p.rules, displayName: at.DisplayName, threads: p.threads}
	r := j.first(&occasion{event: e, thread: at.Thread, members: at.Members, mayNotify: at.MayNotify})
	if r == nil {
		return Notice{}, nil
	}
	out := r.outcome()
	return Notice{Notify: out.notify, Highlight: out.highlight, Tweaks: r.tweaks()}, nil
}

// rulesOf are the rules that hold for a user, whom he ignores, and what he said of threads.
func (s *Service) rulesOf(ctx context.Context, user int64, id matrix.UserID) (preferences, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refresh(ctx); err != nil {
		return preferences{}, err
	}
	p := preferences{}
	if own := s.users[user]; own != nil {
		p = *own
	}
	if p.rules == nil {
		def := p.withThreads(Defaults(string(id)))
		p.rules = &def
	}
	return p, nil
}

// tweaks reads a rule's tweaks; one without a value is true.
func (r *Rule) tweaks() map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for _, a := range r.Actions {
		var t struct {
			Name  string          `json:"set_tweak"`
			Value json.RawMessage `json:"value"`
		}
		if matrix.Decode(a, &t) != nil || t.Name == "" {
			continue
		}
		if t.Value == nil {
			t.Value = json.RawMessage("true")
		}
		out[t.Name] = t.Value
	}
	return out
}
