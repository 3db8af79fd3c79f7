package push

import "context"

// threadCondition asks whether the user is subscribed to the thread that an event is in. MSC4306
const threadCondition = "io.element.msc4306.thread_subscription"

// threadRules decide on events in threads for those who subscribe to threads.
// Why not for all: whose clients know nothing of subscriptions would never again hear of a thread.
func threadRules() []Rule {
	is := func(subscribed bool) Condition {
		return Condition{Kind: threadCondition, Subscribed: &subscribed}
	}
	return []Rule{
		rule(".io.element.msc4306.rule.unsubscribed_thread", nil, is(false)),
		rule(".io.element.msc4306.rule.subscribed_thread", actions(notify, soundDefault), is(true)),
	}
}

// withThreads adds the rules on threads where the user says something of threads and they are not there yet.
func (p *preferences) withThreads(r Ruleset) Ruleset {
	if p.threads == nil {
		return r
	}
	for _, t := range threadRules() {
		if r.Find(PostContent, t.ID) == nil {
			r.PostContent = append(r.PostContent, t)
		}
	}
	return r
}

// readThreads reads what a user, or with 0 every user, said of threads. mu is held, or nobody else knows the service yet.
func (s *Service) readThreads(ctx context.Context, user int64) error {
	return s.db.EachThreadSubscriber(ctx, user, func(user, thread int64, subscribed bool) error {
		p := s.users[user]
		if p == nil {
			p = &preferences{}
			s.users[user] = p
		}
		if p.threads == nil {
			p.threads = map[int64]bool{}
		}
		p.threads[thread] = subscribed
		return nil
	})
}
