package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"rempart/config"
	"rempart/core/rooms"
	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/internal/metrics"
	"rempart/policy"
)

// policies puts the policy of the configuration in force, and again at SIGHUP.
type policies struct {
	cfg      *config.Config
	judge    *judge
	egress   *egress.Egress
	rooms    *rooms.Warden // nil: nobody watches rooms
	log      *slog.Logger
	state    atomic.Pointer[policyState]
	probe    func(context.Context, matrix.ServerName) // dials a server; nil: nobody does
	renewed  func()                                   // is told that another policy is in force; nil: nobody is
	cancel   context.CancelFunc
	signals  chan os.Signal
	wg       sync.WaitGroup
	mu       sync.Mutex        // one reload at a time
	registry *metrics.Registry // nil: nobody measures yet; guarded by mu
}

// policyState is how the file was found when it was last read.
type policyState struct {
	at     time.Time // when the policy in force was taken
	broken error     // what is wrong with the file of now: an older policy is in force
}

// loadPolicy reads the policy of a configuration: its file, or else the short settings.
func loadPolicy(cfg *config.Config) (*policy.Generation, error) {
	if cfg.Policy.File == "" {
		return policy.CompileSimple(simplePolicy(cfg))
	}
	return readPolicy(cfg.Policy.File)
}

// readPolicy reads a policy file and the files that it names.
func readPolicy(path string) (*policy.Generation, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the administrator names it
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	g, err := policy.Compile(text, readerBeside(path))
	if err != nil {
		return nil, fmt.Errorf("the policy %s is not taken:\n%w", path, err)
	}
	return g, nil
}

// readerBeside reads the files that a policy names, which are found from where it is.
func readerBeside(path string) policy.Reader {
	return func(named string) ([]byte, error) {
		if !filepath.IsAbs(named) {
			named = filepath.Join(filepath.Dir(path), named)
		}
		return os.ReadFile(named) //nolint:gosec // the administrator names it
	}
}

// watchPolicy begins to read the policy again at each SIGHUP, until close, and looks at the age of its data every hour.
// renewed, which may be nil, is called for each policy that comes into force.
func watchPolicy(cfg *config.Config, j *judge, e *egress.Egress, w *rooms.Warden, probe func(context.Context, matrix.ServerName), renewed func(), log *slog.Logger) *policies {
	p := &policies{cfg: cfg, judge: j, egress: e, rooms: w, probe: probe, renewed: renewed, log: log, signals: make(chan os.Signal, 1)}
	var run context.Context
	run, p.cancel = context.WithCancel(context.Background())
	p.state.Store(&policyState{at: time.Now()})
	signal.Notify(p.signals, syscall.SIGHUP)
	p.alarm()
	p.wg.Go(func() {
		hourly := time.NewTicker(time.Hour)
		defer hourly.Stop()
		for {
			select {
			case _, open := <-p.signals:
				if !open {
					return
				}
				_ = p.reload(context.Background()) // logged, and seen by rempart_policy_broken
			case <-hourly.C:
				p.alarm()
				p.lookAgain(run)
			}
		}
	})
	return p
}

// lookAgain looks for servers that were last found out of place: one that moved back opens rooms again.
func (p *policies) lookAgain(ctx context.Context) {
	for _, server := range p.judge.places.refused() {
		if p.probe != nil && ctx.Err() == nil {
			p.probe(ctx, server)
		}
	}
}

// reload puts the policy of now in force. A mistake leaves the old one, and raises an alarm. When reload returns, nothing more
// is sent to whom the new policy refuses.
func (p *policies) reload(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	g, err := loadPolicy(p.cfg)
	if err != nil {
		p.state.Store(&policyState{at: p.state.Load().at, broken: err})
		p.log.ErrorContext(ctx, "policy: ALARM: the file is not taken, the policy of before stays in force", "error", err, "generation", p.judge.policy.Current().Number)
		return err
	}
	p.judge.policy.Replace(g)
	if p.registry != nil {
		p.measureGeo(p.registry)
	}
	p.state.Store(&policyState{at: time.Now()})
	p.egress.Renew(ctx)
	if p.renewed != nil {
		p.renewed()
	}
	looked, err := p.rooms.Rejudge(ctx)
	if err != nil {
		p.log.ErrorContext(ctx, "policy: ALARM: not all rooms could be judged by the policy in force; whoever writes into one is judged then", "error", err)
	}
	p.log.InfoContext(ctx, "policy in force", "generation", p.judge.policy.Current().Number, "policy", g.Digest, "geo", g.Geo,
		"rooms", looked.Rooms, "frozen", looked.Frozen, "took", looked.Took)
	p.alarm()
	return nil
}

// alarm logs what keeps, or will keep, the policy from admitting anybody.
func (p *policies) alarm() {
	for _, what := range p.judge.policy.Current().Alarms(time.Now()) {
		p.log.Warn("policy: ALARM", "what", what)
	}
}

func (p *policies) close() {
	signal.Stop(p.signals)
	p.cancel()
	close(p.signals)
	p.wg.Wait()
}

// measure shows which policy is in force and whether something is wrong with it.
func (p *policies) measure(r *metrics.Registry) {
	p.mu.Lock()
	p.registry = r
	p.measureGeo(r)
	p.mu.Unlock()
	r.Gauge("rempart_policy_generation", "Number of the policy in force, counted from the start.", func() float64 { return float64(p.judge.policy.Current().Number) })
	r.Gauge("rempart_policy_broken", "1 while the policy file has a mistake and an older policy is in force.", func() float64 {
		if p.state.Load().broken != nil {
			return 1
		}
		return 0
	})
	r.Gauge("rempart_rooms_frozen", "Rooms into which nothing may be written, since a server is in them that the policy refuses.", func() float64 { return float64(p.rooms.Frozen()) })
	r.Gauge("rempart_policy_alarms", "What keeps, or will keep, the policy from admitting anybody.", func() float64 {
		return float64(len(p.judge.policy.Current().Alarms(time.Now())))
	})
}

// hostPort is the "host:port" of a URL.
func hostPort(address, port string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	if p := u.Port(); p != "" {
		port = p
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// storeEndpoints are where a database URL leads: hosts, or the folder of a socket.
func storeEndpoints(database string) []string {
	u, err := url.Parse(database)
	if database == "" || err != nil {
		return nil
	}
	port := u.Port()
	if q := u.Query().Get("port"); q != "" {
		port = q
	}
	if port == "" {
		port = "5432"
	}
	hosts := []string{u.Hostname()}
	if q := u.Query().Get("host"); q != "" {
		hosts = strings.Split(q, ",")
	}
	var out []string
	for _, host := range hosts {
		switch {
		case strings.HasPrefix(host, "/"):
			out = append(out, filepath.Join(host, ".s.PGSQL."+port))
		case host == "":
			out = append(out, net.JoinHostPort("localhost", port), "/run/postgresql/.s.PGSQL."+port, "/var/run/postgresql/.s.PGSQL."+port, "/tmp/.s.PGSQL."+port)
		default:
			out = append(out, net.JoinHostPort(host, port))
		}
	}
	return out
}
