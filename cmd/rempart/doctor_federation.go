package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"rempart/config"
	"rempart/federation/client"
	"rempart/federation/keys"
	"rempart/internal/egress"
	"rempart/internal/matrix"
	"rempart/internal/metrics"
	"rempart/policy"
)

// doctorTime bounds the examination of one server.
const doctorTime = time.Minute

// examineServer goes the way that a request to another server goes, and says at each step what was found or what is wrong.
func examineServer(ctx context.Context, cfg *config.Config, name string, c console) (err error) {
	server, err := matrix.ParseServerName(name)
	if err != nil {
		return fmt.Errorf("%q is not the name of a server", name)
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	roots, err := authorities(cfg.Federation.CA)
	if err != nil {
		return err
	}
	own, err := signingKeys(cfg, serverNames(cfg))
	if err != nil {
		return err
	}
	e, done, err := doctorsWay(ctx, cfg, roots, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	p := patient{server: server, us: matrix.ServerName(cfg.Server.Name), client: client.New(client.Options{Egress: e, Keys: own, Agent: "Rempart/" + version()})}
	for _, step := range []struct {
		name string
		look func(context.Context) (string, error)
	}{{"place", p.place}, {"keys", p.keys}, {"software", p.software}, {"our signature", p.signature}} {
		found, err := step.look(ctx)
		if err != nil {
			c.say("problem  %s: %v", step.name, err)
			return fmt.Errorf("%s cannot be spoken to", server)
		}
		c.say("ok       %s: %s", step.name, found)
	}
	return nil
}

// doctorsWay is the way out of an examination: the server's own, with its record, unless nothing has run here yet.
func doctorsWay(ctx context.Context, cfg *config.Config, roots *x509.CertPool, c console) (*egress.Egress, func() error, error) {
	if _, err := os.Stat(cfg.Database.Path); cfg.Database.URL != "" || err == nil {
		g, err := openGround(ctx, cfg, slog.New(slog.DiscardHandler), metrics.New())
		if err != nil {
			return nil, nil, err
		}
		return g.egress, g.close, nil
	}
	c.say("note     there is no database yet: what this examination connects to is not recorded")
	rules, err := loadPolicy(cfg)
	if err != nil {
		return nil, nil, err
	}
	e := egress.New(egress.Options{Judge: &judge{policy: policy.NewJudge(rules), log: slog.New(slog.DiscardHandler)}, RootCAs: roots, NameServers: cfg.Policy.NameServers()})
	return e, e.Close, nil
}

// patient is another server under examination.
type patient struct {
	server, us matrix.ServerName
	client     *client.Client
}

func (p *patient) place(ctx context.Context) (string, error) {
	at, err := p.client.Locate(ctx, p.server)
	if err != nil {
		return "", fmt.Errorf("%w (does federation.allow name it?)", err)
	}
	found := strings.Join(at.Addresses, ", ") + ", certificate for " + at.Certificate
	if at.Delegated != "" {
		found += ", by its well-known file, which names " + string(at.Delegated)
	}
	return found, nil
}

func (p *patient) keys(ctx context.Context) (string, error) {
	raw, err := p.client.ServerKeys(ctx, p.server)
	if err != nil {
		return "", err
	}
	ids, err := keys.Check(p.server, raw, time.Now())
	return strings.Join(ids, ", "), err
}

func (p *patient) software(ctx context.Context) (string, error) {
	name, number, err := p.client.Version(ctx, p.server)
	return name + " " + number, err
}

// signature asks for something small that must be signed: whoever answers has fetched our keys, so it reaches us too.
func (p *patient) signature(ctx context.Context) (string, error) {
	if p.server == p.us {
		return "this is our own name", nil
	}
	_, err := p.client.QueryProfile(ctx, p.us, p.server, matrix.UserID("@rempart-doctor:"+string(p.server)), "")
	remote, answered := client.AsRemote(err)
	switch {
	case err == nil, answered && remote.Status == 404:
		return "accepted", nil
	case answered && (remote.Status == 401 || remote.Status == 403):
		return "", errors.Join(errors.New("it does not accept what we sign: it cannot fetch our keys, a clock is wrong, or it keeps us out"), err)
	}
	return "", err
}
