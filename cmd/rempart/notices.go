package main

import (
	"context"
	"log/slog"
	"sync"

	"rempart/core/admin"
	"rempart/core/pushers"
)

// maxNotices bounds the people who wait to be told something.
const maxNotices = 100_000

// notices tells people, one after the other, that the policy refuses their push gateway, or does so no more. It may be used concurrently.
type notices struct {
	log    *slog.Logger
	wake   chan struct{}
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	queue []pushers.News
}

func newNotices(log *slog.Logger) *notices {
	return &notices{log: log, wake: make(chan struct{}, 1), cancel: func() {}}
}

// teller is what takes news; nil when people are told nothing.
func (n *notices) teller(on bool) func(pushers.News) {
	if !on {
		return nil
	}
	return n.note
}

// note queues something to be told. It does not block.
func (n *notices) note(news pushers.News) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) < maxNotices {
		n.queue = append(n.queue, news)
	}
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *notices) take() []pushers.News {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.queue
	n.queue = nil
	return list
}

// begin tells, until close. What a later policy has taken back before somebody's turn came is not told him: j decides as it does then.
func (n *notices) begin(ctx context.Context, s *admin.Service, j *judge) {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	n.cancel = cancel
	n.wg.Go(func() {
		for {
			select {
			case <-run.Done():
				return
			case <-n.wake:
			}
			for _, news := range n.take() {
				if run.Err() != nil {
					return
				}
				if j.refusesGateway(news.Gateway) != news.Refused {
					continue
				}
				if err := s.Tell(run, news.User, pushWords(news)); err != nil && run.Err() == nil {
					n.log.WarnContext(run, "tell somebody about his push gateway", "gateway", news.Gateway, "error", err)
				}
			}
		}
	})
}

// pushWords is what the owner of a pusher is told, in English and French.
func pushWords(n pushers.News) string {
	if n.Refused {
		return "Your app is not notified any more: this server's policy refuses its push gateway, " + n.Gateway + ". Messages are there when you open the app. Your administrators can tell you more.\n" +
			"Votre application n'est plus notifiée : la politique de ce serveur refuse sa passerelle, " + n.Gateway + ". Les messages sont là quand vous l'ouvrez. Vos administrateurs peuvent vous renseigner."
	}
	return "Your app is notified again: this server's policy admits its push gateway, " + n.Gateway + ".\n" +
		"Votre application est de nouveau notifiée : la politique de ce serveur autorise sa passerelle, " + n.Gateway + "."
}

func (n *notices) close() {
	n.cancel()
	n.wg.Wait()
}
