package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"rempart/internal/httpx"
	"rempart/internal/log"
	"rempart/internal/matrix"
)

// check finds what is well-formed but cannot work.
func (c *Config) check() Mistakes {
	var found Mistakes
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	c.checkServer(say)
	c.checkListen(say)
	c.checkFederation(say)
	c.checkPolicy(say)
	c.checkLimits(say)
	c.checkEmail(say)
	c.checkAccounts(say)
	c.checkMedia(say)
	c.checkRetention(say)
	c.checkCalls(say)
	c.checkLedger(say)
	if u := c.Database.URL; u != "" && !strings.HasPrefix(u, "postgres://") && !strings.HasPrefix(u, "postgresql://") {
		say("database.url: must start with postgres:// (leave it empty for SQLite and set database.path).")
	}
	if c.Database.Connections < 2 {
		say("database.connections: %d is too few; the least is 2.", c.Database.Connections)
	}
	if c.Password.Argon2Time < 1 || c.Password.Argon2MemoryKiB < 8 {
		say("password: argon2_time must be at least 1 and argon2_memory_kib at least 8.")
	}
	if _, ok := matrix.Version(c.Rooms.DefaultVersion); !ok {
		say("rooms.default_version: %q is no room version that this server knows; they are 1 to 12.", c.Rooms.DefaultVersion)
	}
	if !slices.Contains(log.Levels(), c.Log.Level) {
		say("log.level: %q is none of debug, info, warn, error.", c.Log.Level)
	}
	if !slices.Contains(log.Formats(), c.Log.Format) {
		say("log.format: %q is neither text nor json.", c.Log.Format)
	}
	return found
}

func (c *Config) checkFederation(say sayer) {
	for i, name := range c.Federation.Allow {
		if _, err := matrix.ParseServerName(name); name != "*" && err != nil {
			say("federation.allow[%d]: %q is neither a server name nor \"*\".", i, name)
		}
	}
	for i, host := range c.Push.Allow {
		if host == "" || host != "*" && strings.ContainsAny(host, "*:/ ") && net.ParseIP(host) == nil {
			say("push.allow[%d]: %q is neither the name of a host nor \"*\".", i, host)
		}
	}
	if _, err := netip.ParseAddr(c.Federation.Source); c.Federation.Source != "" && err != nil {
		say("federation.source: %q is no address.", c.Federation.Source)
	}
	if _, err := matrix.ParseServerName(c.Federation.Address); c.Federation.Address != "" && err != nil {
		say("federation.address: %q is not a host and port.", c.Federation.Address)
	}
	if _, err := os.Stat(c.Federation.CA); c.Federation.CA != "" && err != nil {
		say("federation.ca: the file %s cannot be opened.", c.Federation.CA)
	}
}

type sayer func(format string, args ...any)

func (c *Config) checkServer(say sayer) {
	names := map[string]bool{}
	for i, t := range append([]Tenant{{Name: c.Server.Name}}, c.Server.Tenants...) {
		place := "server.name"
		if i > 0 {
			place = fmt.Sprintf("server.tenants[%d].name", i-1)
		}
		if _, err := matrix.ParseServerName(t.Name); err != nil {
			say("%s: %q is no server name; it looks like example.org or example.org:8448.", place, t.Name)
		} else if t.Name != strings.ToLower(t.Name) { // Why: other programs write hosts in small letters, and ids are compared letter by letter
			say("%s: %q has capitals; names of servers are written in small letters: %s.", place, t.Name, strings.ToLower(t.Name))
		}
		if names[t.Name] {
			say("%s: %q is there twice.", place, t.Name)
		}
		names[t.Name] = true
	}
	if s := c.Server.PublicURL; s != "" {
		if u, err := url.Parse(s); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			say("server.public_url: %q is no address like https://matrix.example.org.", s)
		}
	}
}

func (c *Config) checkListen(say sayer) {
	l := c.Listen
	if l.Client == "" {
		say("listen.client: must not be empty, since clients need an address.")
	}
	taken := map[string]string{}
	for _, a := range []struct{ name, address string }{
		{"client", l.Client}, {"federation", l.Federation}, {"metrics", l.Metrics}, {"pprof", l.Pprof},
	} {
		if a.address == "" {
			continue
		}
		if problem := addressProblem(a.address); problem != "" {
			say("listen.%s: %q %s.", a.name, a.address, problem)
		}
		if other := taken[a.address]; other != "" && !strings.HasSuffix(a.address, ":0") {
			say("listen.%s: %s is taken by listen.%s already.", a.name, a.address, other)
		}
		taken[a.address] = a.name
	}
	if l.Pprof != "" && !loopback(l.Pprof) {
		say("listen.pprof: %s is reachable from outside; use a loopback address such as 127.0.0.1:6060.", l.Pprof)
	}
	if (l.TLSCert == "") != (l.TLSKey == "") {
		say("listen: tls_cert and tls_key go together, but only one of them is set.")
	}
	if l.TLSCert == "" && (l.ClientTLS || l.Federation != "") {
		say("listen: client_tls and federation need tls_cert and tls_key.")
	}
	for key, file := range map[string]string{"tls_cert": l.TLSCert, "tls_key": l.TLSKey} {
		if _, err := os.Stat(file); file != "" && err != nil {
			say("listen.%s: the file %s cannot be opened.", key, file)
		}
	}
}

// addressProblem says what is wrong with an address to listen on, "" if nothing is.
func addressProblem(address string) string {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if path == "" {
			return "lacks the path of the socket"
		}
		return ""
	}
	_, port, err := net.SplitHostPort(address)
	if n, bad := strconv.Atoi(port); err != nil || bad != nil || n < 0 || n > 65535 {
		return "is no address like 127.0.0.1:8008 or unix:/run/rempart.sock"
	}
	return ""
}

func loopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	addr, err := netip.ParseAddr(host)
	return strings.HasPrefix(address, "unix:") || host == "localhost" || err == nil && addr.IsLoopback()
}

func (c *Config) checkLimits(say sayer) {
	defaults := httpx.DefaultRates()
	for i, r := range c.Limits.Rates {
		if _, ok := defaults[r.Name]; !ok {
			say("limits.rates[%d].name: %q is no class of requests.", i, r.Name)
		}
		if r.PerSecond <= 0 || r.Burst < 1 {
			say("limits.rates[%d]: per_second must be above 0 and burst at least 1.", i)
		}
	}
	if c.Limits.MaxBodyKiB < 128 {
		say("limits.max_body_kib: %d is too small; an event may have 64 KiB, so the least is 128.", c.Limits.MaxBodyKiB)
	}
	if c.Limits.CacheMiB < 8 {
		say("limits.cache_mib: %d is too small; the least is 8.", c.Limits.CacheMiB)
	}
}

func (c *Config) checkMedia(say sayer) {
	if m := c.Media; m.MaxUploadMiB < 1 || m.QuotaMiB < 0 || m.ImageMemoryMiB < 16 {
		say("media: max_upload_mib must be at least 1, quota_mib not below 0 and image_memory_mib at least 16.")
	}
	if c.Media.Clamd != "" && c.Media.ICAP != "" {
		say("media: clamd and icap are two scanners; name one of them.")
	}
	if a := c.Media.ICAP; a != "" && !strings.HasPrefix(a, "icap://") {
		say("media.icap: %q is no address of a service; one looks like icap://127.0.0.1:1344/avscan", a)
	}
}

// RateLimits are the rates to enforce, nil when limits are off.
func (l Limits) RateLimits() map[string]httpx.Rate {
	if !l.Enabled {
		return nil
	}
	rates := httpx.DefaultRates()
	for _, r := range l.Rates {
		rates[r.Name] = httpx.Rate{PerSecond: r.PerSecond, Burst: r.Burst}
	}
	return rates
}

// readSecrets reads the secrets that stand in files of their own.
func (c *Config) readSecrets() Mistakes {
	found := readSecret(&c.Registration.SharedSecret, c.Registration.SharedSecretFile, "registration.shared_secret")
	found = append(found, readSecret(&c.Email.Password, c.Email.PasswordFile, "email.password")...)
	found = append(found, readSecret(&c.Calls.APISecret, c.Calls.APISecretFile, "calls.api_secret")...)
	found = append(found, readSecret(&c.TURN.Secret, c.TURN.SecretFile, "turn.secret")...)
	return append(found, readSecret(&c.Password.BcryptPepper, c.Password.BcryptPepperFile, "password.bcrypt_pepper")...)
}
