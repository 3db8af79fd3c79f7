package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const goodRegistration = `id: irc
url: http://127.0.0.1:1234
as_token: as-token-0123
hs_token: hs-token-0123
sender_localpart: _irc_bot
rate_limited: false
receive_ephemeral: true
org.matrix.msc3202: true
com.example.fancy: true
protocols: [irc]
namespaces:
  users: [{regex: "@_irc_.*", exclusive: true}]
  aliases: [{regex: "#_irc_.*", exclusive: false}]
  rooms:
`

// write puts a registration file beside a configuration that names it.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "irc.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRegistrationFile(t *testing.T) {
	a, mistakes := ReadAppservice(write(t, goodRegistration))
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	if a.ID != "irc" || a.URL != "http://127.0.0.1:1234" || a.RateLimited || !a.Ephemeral || !a.Encryption || a.OldEphemeral ||
		len(a.Users) != 1 || !a.Users[0].Exclusive || a.Aliases[0].Exclusive || !slices.Equal(a.Protocols, []string{"irc"}) ||
		!slices.Equal(a.Ignored, []string{"com.example.fancy"}) {
		t.Errorf("%+v", a)
	}
	a, mistakes = ReadAppservice(write(t, strings.Replace(goodRegistration, "url: http://127.0.0.1:1234", "url: null", 1)))
	if len(mistakes) > 0 || a.URL != "" {
		t.Errorf("without an address: %+v, %v", a, mistakes)
	}
}

// TestRegistrationMistakes checks that each mistake is told, and in one sentence.
func TestRegistrationMistakes(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"id: irc\n", "", "lacks id"},
		{"namespaces:", "namespace:", "namespace is no key of a registration"},
		{"rate_limited: false", "rate_limited: maybe", "rate_limited must be true or false"},
		{"rate_limited: false", "rate_limitted: false", "rate_limitted is no key"},
		{"id: irc\n", "id: irc\nid: xmpp\n", "has id twice"},
		{"id: irc\n", "id: [irc]\n", "id must be a text"},
		{"@_irc_.*", "@_irc_(", "no regular expression"},
		{"@_irc_.*", "@(?!x)", "no regular expression"},
		{", exclusive: true", "", "needs regex and exclusive"},
		{"protocols: [irc]", "protocols: irc", "protocols must be a list"},
		{"as-token-0123", "short", "at least 8 characters"},
		{"as-token-0123", "hs-token-0123", "must differ"},
		{"sender_localpart: _irc_bot", "sender_localpart: IRC bot", "is no name of a user"},
		{"url: http://127.0.0.1:1234", "url: 127.0.0.1:1234", "is no address"},
		{goodRegistration, "- a list", "must be a table"},
		{goodRegistration, "\tid: x", "is no YAML"},
		{goodRegistration, "", "must be a table"},
	} {
		_, found := ReadAppservice(write(t, strings.Replace(goodRegistration, c.from, c.to, 1)))
		if len(found) == 0 || !strings.Contains(found.Error(), c.want) {
			t.Errorf("%q instead of %q: %q lacks %q", c.to, c.from, found, c.want)
		}
		for _, sentence := range found {
			if !strings.HasSuffix(sentence, ".") || strings.Contains(sentence, "\n") {
				t.Errorf("no sentence: %q", sentence)
			}
		}
	}
	if _, found := ReadAppservice("/nowhere/irc.yaml"); len(found) != 1 || !strings.Contains(found[0], "there is no file") {
		t.Errorf("a file that does not exist: %v", found)
	}
}

func TestRegistrationsDiffer(t *testing.T) {
	one := write(t, goodRegistration)
	two := write(t, strings.Replace(goodRegistration, "sender_localpart: _irc_bot", "sender_localpart: _other", 1))
	c := Default()
	c.Appservices.Files = []string{one, two}
	found := c.readAppservices()
	if len(found) != 2 || !strings.Contains(found.Error(), "id \"irc\" is that of") || !strings.Contains(found.Error(), "as_token is that of") {
		t.Errorf("two with one id and one token: %v", found)
	}
}
