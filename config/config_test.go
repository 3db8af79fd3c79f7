package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// file writes a configuration and returns its path.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rempart.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Load(file(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// uncommented turns every "#key: value" of the commented file into "key: value".
func uncommented() string {
	return regexp.MustCompile(`(?m)^( *)#([a-z])`).ReplaceAllString(commented, "$1$2")
}

func TestCommentedFileSaysTheDefaults(t *testing.T) {
	text := uncommented()
	text = strings.Replace(text, "public_url: https://matrix.example.org", `public_url: ""`, 1)
	path := file(t, text)
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.File = path
	want.resolve(filepath.Dir(path))
	for i, s := range settings(reflect.ValueOf(got).Elem()) {
		other := settings(reflect.ValueOf(want).Elem())[i]
		a, b := s.field.Interface(), other.field.Interface()
		if !reflect.DeepEqual(a, b) && !(s.field.Kind() == reflect.Slice && s.field.Len() == 0 && other.field.Len() == 0) {
			t.Errorf("%s: the file says %v, the default is %v", s.name(), a, b)
		}
		if !regexp.MustCompile(`(?m)^  #?` + s.option + `:`).MatchString(commented) {
			t.Errorf("%s is not in the commented file", s.name())
		}
	}
}

func TestEveryKeyFromTheEnvironment(t *testing.T) {
	key := filepath.Join(t.TempDir(), "pem")
	if err := os.WriteFile(key, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	special := map[string]string{
		"server.name": "env.example.org", "server.public_url": "https://env", "server.tenants": `[{"name":"b.example.org"}]`,
		"listen.client": "127.0.0.1:1", "listen.federation": "127.0.0.1:2", "listen.metrics": "127.0.0.1:3", "listen.pprof": "127.0.0.1:4",
		"listen.tls_cert": key, "listen.tls_key": key, "listen.trusted_proxies": "10.0.0.0/8, ::1",
		"database.url": "postgres://x", "registration.tokens": "a,b", "rooms.default_version": "11",
		"federation.allow": "a.example.org,*", "federation.address": "matrix.example.org:443", "push.allow": "push.example.org", "previews.allow": "example.org", "limits.rates": `[{"name":"login","per_second":1,"burst":2}]`, "log.level": "debug", "log.format": "json",
		"password.min_length": "12", "password.min_kinds": "3", "registration.emails": "example.org,*.gouv.fr",
		"accounts.terms":    `[{"id":"cgu","version":"1","language":"fr","name":"CGU","url":"https://env/cgu"}]`,
		"appservices.files": write(t, goodRegistration), "media.icap": "icap://127.0.0.1:1344/avscan",
		"accounts.identity_server": "https://identity.example.org", "federation.source": "127.0.0.1", "policy.resolvers": "127.0.0.1:53",
		"support.contacts": `[{"role":"m.role.admin","email":"a@example.org"}]`, "email.language": "fr",
		"ledger.territory": "FR,RE", "ledger.witnesses": "prefecture.example.org+1+key",
		"ledger.stores": `[{"name":"database","holds":["rooms"],"country":"FR"}]`,
		"calls.mode":    "embedded", "calls.node_ip": "127.0.0.2", "calls.bind_ip": "127.0.0.1", "calls.token_minutes": "20", "turn.relay_min": "49170", "turn.relay_max": "49300",
		"turn.allow_peers": "10.0.0.0/8", "turn.uris": "turn:turn.example.org:3478",
		"email.server": "mail.example.org:587", "email.security": "tls", "email.from": "no-reply@example.org",
	}
	for _, s := range settings(reflect.ValueOf(Default()).Elem()) {
		t.Run(s.name(), func(t *testing.T) {
			value := special[s.name()]
			if value == "" {
				value = map[reflect.Kind]string{reflect.Bool: "true", reflect.Int: "777", reflect.String: key}[s.field.Kind()]
			}
			if s.field.Kind() == reflect.Bool && s.field.Bool() {
				value = "false"
			}
			if s.section == "email" || strings.HasPrefix(s.option, "email") { // letters need all of these
				t.Setenv("REMPART_EMAIL_SERVER", special["email.server"])
				t.Setenv("REMPART_EMAIL_FROM", special["email.from"])
				t.Setenv("REMPART_SERVER_PUBLIC_URL", special["server.public_url"])
			}
			if strings.HasPrefix(s.option, "messages_") && s.section == "retention" { // without it nothing is deleted
				t.Setenv("REMPART_RETENTION_MESSAGES", "true")
			}
			if s.section == "calls" || s.section == "turn" { // so do these
				for name, other := range map[string]string{"CALLS_NODE_IP": "127.0.0.1", "SERVER_PUBLIC_URL": "https://env", "TURN_DOMAIN": "turn.example.org",
					"TURN_SECRET": "secret", "LISTEN_TLS_CERT": key, "LISTEN_TLS_KEY": key} {
					if !strings.HasSuffix(s.env(), name) && !(s.option == "secret_file" && name == "TURN_SECRET") {
						t.Setenv("REMPART_"+name, other)
					}
				}
			}
			t.Setenv(s.env(), value)
			if s.section == "listen" { // these need each other
				t.Setenv("REMPART_LISTEN_TLS_CERT", key)
				t.Setenv("REMPART_LISTEN_TLS_KEY", key)
			}
			c, err := Load("")
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range settings(reflect.ValueOf(c).Elem()) {
				if got.name() == s.name() && reflect.DeepEqual(got.field.Interface(), s.field.Interface()) {
					t.Errorf("%s=%s changed nothing", s.env(), value)
				}
			}
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	t.Setenv("REMPART_SERVER_NAMES", "x")
	t.Setenv("REMPART_ELSEWHERE", "not ours to judge")
	_, err := Load(file(t, `
server: {name: "not a name", naem: x, tenants: [{name: a.b}, {name: a.b, colour: red}]}
listen: {client: nowhere, pprof: "0.0.0.0:6060", tls_cert: /none, trusted_proxies: [10.0.0.0/33]}
database: {url: "mysql://x", connections: many}
rooms: {default_version: "99"}
limits: {enabled: perhaps, rates: [{name: sing, per_second: 0, burst: 1}]}
log: {level: loud}
other: 1
password: 3
`))
	var found Mistakes
	if !errors.As(err, &found) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		`server.name: "not a name" is no server name`, "server.naem: there is no such key; did you mean server.name.",
		"server.tenants[1].colour: there is no such key", `server.tenants[1].name: "a.b" is there twice`,
		`listen.client: "nowhere" is no address`, "listen.pprof: 0.0.0.0:6060 is reachable from outside",
		"tls_cert and tls_key go together", "listen.tls_cert: the file /none cannot be opened", `listen.trusted_proxies: "10.0.0.0/33"`,
		"database.url: must start with postgres://", `database.connections: "many" must be a whole number`,
		`rooms.default_version: "99"`, `limits.enabled: "perhaps" must be true or false`, `limits.rates[0].name: "sing"`,
		"limits.rates[0]: per_second must be above 0", `log.level: "loud"`, "other: there is no such key", "password: must be a table",
		"The environment variable REMPART_SERVER_NAMES names no key",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing: %s", want)
		}
	}
	if len(found) != 19 {
		t.Errorf("%d mistakes:\n%v", len(found), err)
	}
	for _, m := range found {
		if !strings.HasSuffix(m, ".") || strings.Contains(m, "\n") {
			t.Errorf("not one sentence: %q", m)
		}
	}
}

// What contradicts itself about the age of messages is said before anything is deleted.
func TestRetentionOfMessages(t *testing.T) {
	for _, one := range []struct{ text, want string }{
		{"messages: true, messages_default_days: 365, messages_min_days: 30, messages_max_days: 730", ""},
		{"messages: true", ""},
		{"messages: true, messages_max_days: 730", ""},
		{"messages_default_days: 365", "retention.messages: must be true"},
		{"messages_max_days: 365", "retention.messages: must be true"},
		{"messages: true, messages_min_days: 0", "retention.messages_min_days: the least is 1"},
		{"messages: true, messages_default_days: -1", "retention: a number of days cannot be negative"},
		{"messages: true, messages_max_days: 9999999", "retention: a number of days cannot be negative, nor be more"},
		{"messages: true, messages_min_days: 90, messages_max_days: 30", "retention.messages_max_days: 30 is less"},
		{"messages: true, messages_default_days: 90, messages_max_days: 30", "retention.messages_max_days: 30 is less"},
		{"messages: true, messages_default_days: 7, messages_min_days: 30", "retention.messages_default_days: 7 is less"},
	} {
		_, err := Load(file(t, "retention: {"+one.text+"}\n"))
		if one.want == "" && err != nil || one.want != "" && (err == nil || !strings.Contains(err.Error(), one.want)) {
			t.Errorf("%s: %v, want %q", one.text, err, one.want)
		}
	}
}

func TestNamesOfServersHaveNoCapitals(t *testing.T) {
	_, err := Load(file(t, "server: {name: Example.org, tenants: [{name: a.B}]}\n"))
	for _, want := range []string{`server.name: "Example.org" has capitals`, `server.tenants[0].name: "a.B" has capitals`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func TestUnreadableFiles(t *testing.T) {
	for name, path := range map[string]string{"does not exist": "/nonexistent/r.yaml", "cannot be read": file(t, "a: ["), "is no list of sections": file(t, "- a\n"),
		"make one by rempart serve": filepath.Join(DefaultDir, DefaultFile)} {
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPathsCountFromTheFile(t *testing.T) {
	path := file(t, "server: {name: a.b, signing_key: keys/k}\n")
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	if c.Server.DataDir != dir || c.Database.Path != dir+"/rempart.db" || c.Server.SigningKey != dir+"/keys/k" {
		t.Errorf("got %+v %+v", c.Server, c.Database)
	}
}

func TestSecretFromFile(t *testing.T) {
	secret := file(t, "hush\n")
	if c := load(t, "registration: {shared_secret_file: "+secret+"}"); c.Registration.SharedSecret != "hush" {
		t.Errorf("got %q", c.Registration.SharedSecret)
	}
	if _, err := Load(file(t, "registration: {shared_secret: x, shared_secret_file: "+secret+"}")); err == nil {
		t.Error("two secrets were accepted")
	}
}

func TestRatesReplaceOneClass(t *testing.T) {
	c := load(t, "limits: {rates: [{name: login, per_second: 0.5, burst: 2}]}")
	rates := c.Limits.RateLimits()
	if rates["login"].Burst != 2 || rates["message"].Burst < 30 {
		t.Errorf("got %v", rates)
	}
	if load(t, "limits: {enabled: false}").Limits.RateLimits() != nil {
		t.Error("limits are not off")
	}
}

func TestCreateKeepsAnExistingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "rempart.yaml")
	if made, err := Create(path, "a.example.org"); err != nil || !made {
		t.Fatal(made, err)
	}
	if c, err := Load(path); err != nil || c.Server.Name != "a.example.org" {
		t.Fatal(c, err)
	}
	if made, err := Create(path, "b.example.org"); err != nil || made {
		t.Fatal(made, err)
	}
}
