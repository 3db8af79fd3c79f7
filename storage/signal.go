package storage

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"
)

// signalChannel carries ephemeral messages between nodes: typing, presence.
const signalChannel = "rempart_signal"

// Bounds of ephemeral messages. Spec: PostgreSQL, NOTIFY: a payload is shorter than 8000 bytes.
const (
	maxSignal    = 5500 // bytes of a message, which travels as base64 behind the sender's number
	signalsAhead = 256  // messages that may wait to be sent; what comes on top is dropped
	signalWithin = 2 * time.Second
)

// ErrSignalTooLong says that an ephemeral message is longer than other nodes can be told.
var ErrSignalTooLong = errors.New("storage: an ephemeral message may have at most 5500 bytes")

// signals sends and receives ephemeral messages. They are lost when there are too many or the database is away.
type signals struct {
	db   *DB
	pool *sql.DB // Why its own: synchronous_commit is off on it, since a notification must not wait for the disk
	out  chan []byte
}

func newSignals(db *DB) *signals {
	return &signals{db: db, pool: db.openPostgres(1, "synchronous_commit", "off"), out: make(chan []byte, signalsAhead)}
}

func (s *signals) close() { _ = s.pool.Close() }

// Broadcast tells all other nodes an ephemeral message of at most 5500 bytes ([Options.Signal]). It does not wait, and
// nobody learns whether it arrives. On SQLite there are no other nodes.
func (db *DB) Broadcast(_ context.Context, payload []byte) error {
	if len(payload) > maxSignal {
		return ErrSignalTooLong
	}
	if db.follower.signals == nil {
		return nil
	}
	select {
	case db.follower.signals.out <- append([]byte(nil), payload...):
	default: // too many wait: this one is dropped
	}
	return nil
}

// run sends what waits, all at once.
func (s *signals) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-s.out:
			if err := s.send(ctx, s.take(first)); err != nil && ctx.Err() == nil {
				s.db.log.Warn("tell other nodes", "error", err)
			}
		}
	}
}

func (s *signals) take(first []byte) pq.StringArray {
	encoded := pq.StringArray{s.encode(first)}
	for len(encoded) < signalsAhead {
		select {
		case next := <-s.out:
			encoded = append(encoded, s.encode(next))
		default:
			return encoded
		}
	}
	return encoded
}

func (s *signals) send(ctx context.Context, encoded pq.StringArray) error {
	ctx, cancel := context.WithTimeout(ctx, signalWithin)
	defer cancel()
	_, err := s.pool.ExecContext(ctx, `SELECT pg_notify($1, m) FROM unnest($2::text[]) AS m`, signalChannel, encoded)
	return err
}

// encode marks a message with its sender: a node hears its own notifications too.
func (s *signals) encode(payload []byte) string {
	return strconv.FormatInt(s.db.node, 36) + " " + base64.RawStdEncoding.EncodeToString(payload)
}

func (s *signals) receive(text string) {
	if err := s.deliver(text); err != nil {
		s.db.log.Warn("ephemeral message of another node", "error", err)
	}
}

func (s *signals) deliver(text string) (err error) {
	from, body, ok := strings.Cut(text, " ")
	if !ok {
		return errors.New("not understood")
	}
	if from == strconv.FormatInt(s.db.node, 36) || s.db.opts.Signal == nil {
		return nil
	}
	payload, err := base64.RawStdEncoding.DecodeString(body)
	if err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	s.db.opts.Signal(payload)
	return nil
}
