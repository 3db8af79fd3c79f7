package mail_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"rempart/internal/mail"
	"rempart/internal/testkit/smtptest"
)

func TestAddresses(t *testing.T) {
	for text, want := range map[string]mail.Address{
		"Alice.Martin@Example.ORG":          "alice.martin@example.org",
		"a+b@xn--prfecture-b4a.example":     "a+b@xn--prfecture-b4a.example",
		"":                                  "",
		"alice":                             "",
		"alice@localhost":                   "",
		"alice@example.org@evil.example":    "",
		"alice@example.org ":                "",
		"alice@example.org\r\nBcc: x@y.org": "",
		"alice@example.org>":                "",
		"Alice <alice@example.org>":         "",
		`"a b"@example.org`:                 "",
		"alice@[127.0.0.1]":                 "",
		"alice@127.0.0.1":                   "",
		"alice@example..org":                "",
		"alice@-example.org":                "",
		".alice@example.org":                "",
		"alice..b@example.org":              "",
		"alicé@example.org":                 "",
		"alice@exämple.org":                 "",
		"alice@example.org,bob@example.org": "",
		"alice%evil@example.org\x00":        "",
		strings.Repeat("a", 65) + "@b.org":  "",
	} {
		if got, err := mail.ParseAddress(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestRulesMatchWhole(t *testing.T) {
	r, err := mail.ParseRules([]string{"gouv.fr", "*.gouv.fr", "Boss@Example.org"})
	if err != nil {
		t.Fatal(err)
	}
	for a, want := range map[mail.Address]bool{
		"a@gouv.fr": true, "a@interieur.gouv.fr": true, "boss@example.org": true, "other@example.org": false,
		"a@evilgouv.fr": false, "a@gouv.fr.evil.example": false, "boss@example.org.evil.example": false,
	} {
		if r.Allow(a) != want {
			t.Errorf("%s: %v, want %v", a, !want, want)
		}
	}
	if _, err := mail.ParseRules([]string{"*gouv.fr"}); err == nil {
		t.Error("a wildcard inside a label was taken")
	}
	if !(mail.Rules{}).Allow("a@b.org") {
		t.Error("without rules all addresses may be used")
	}
}

func letter(lang string) mail.Letter {
	return mail.Letter{To: "alice@example.org", Language: lang, User: "@alice:hs1", Server: "hs1", Link: "https://hs1/x?token=a&b=<c>", Until: 1_800_000_000_000}
}

func TestEveryLetterInBothLanguages(t *testing.T) {
	for _, kind := range mail.Kinds() {
		for lang, sign := range map[string]string{"fr-FR,fr;q=0.9,en;q=0.8": "Bonjour,", "en": "Hello,", "de, fr": "Bonjour,", "": "Hello,"} {
			l := letter(lang)
			l.Kind = kind
			subject, text, html, err := l.Compose()
			if err != nil || subject == "" || strings.Contains(subject, "\n") || !strings.Contains(text, sign) || !strings.Contains(html, "<p>"+sign+"</p>") {
				t.Errorf("%s in %q: %q, %q, %v", kind, lang, subject, text, err)
			}
			if strings.Contains(html, "<c>") || strings.Contains(text, "<no value>") {
				t.Errorf("%s: %s", kind, html)
			}
		}
	}
}

func TestHeadersCannotBeInjected(t *testing.T) {
	m := mail.Message{From: "a@b.org", To: "c@d.org", Subject: "x", Date: time.UnixMilli(0)}
	for name, change := range map[string]func(m *mail.Message){
		"subject":        func(m *mail.Message) { m.Subject = "x\r\nBcc: evil@e.org" },
		"bare return":    func(m *mail.Message) { m.Subject = "x\rBcc: evil@e.org" },
		"recipient":      func(m *mail.Message) { m.To = "c@d.org>\r\nBcc: <evil@e.org" },
		"unicode tricks": func(m *mail.Message) { m.To = "c@d.org\u2028Bcc: x" },
	} {
		bad := m
		change(&bad)
		if raw, err := bad.Bytes(); err == nil {
			t.Errorf("%s went through: %s", name, raw)
		}
	}
	l := letter("")
	l.Kind, l.User, l.Server = mail.Activate, "@a\r\nBcc: evil@e.org", "hs1\nBcc: evil@e.org\n\nbody"
	subject, _, _, err := l.Compose()
	if err != nil || strings.ContainsAny(subject, "\r\n") {
		t.Errorf("%q, %v", subject, err)
	}
}

func sender(t *testing.T, sink *smtptest.Server, set func(*mail.Options)) *mail.Sender {
	t.Helper()
	o := mail.Options{
		Server: sink.Addr, Security: mail.StartTLS, User: "rempart", Password: "secret", FromName: `Préfecture "Nord"`,
		From: "no-reply@example.org", Dial: (&net.Dialer{}).DialContext, Roots: sink.Roots,
		Clock: func() time.Time { return time.UnixMilli(1_800_000_000_000).UTC() },
	}
	if set != nil {
		set(&o)
	}
	s, err := mail.NewSender(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestALetterArrives(t *testing.T) {
	sink := smtptest.New(t)
	l := letter("fr")
	l.Kind = mail.Confirm
	if err := sender(t, sink, nil).Send(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	got := sink.Await(1)
	head, text := got.Text(t)
	if !got.TLS || got.Auth != "rempart:secret" || got.From != "no-reply@example.org" || len(got.To) != 1 || got.To[0] != "alice@example.org" {
		t.Errorf("envelope %+v", got)
	}
	from, err := head.AddressList("From")
	if err != nil || from[0].Name != `Préfecture "Nord"` || head.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("head %v, %v", head, err)
	}
	if got.Link(t) != l.Link || !strings.Contains(text, "Bonjour,") {
		t.Errorf("text %q", text)
	}
}

func TestNothingGoesOutUnprotected(t *testing.T) {
	sink := smtptest.New(t)
	sink.NoTLS = true
	l := letter("")
	l.Kind = mail.Confirm
	if err := sender(t, sink, nil).Send(t.Context(), l); err == nil {
		t.Error("sent without TLS to a server that hides it")
	}
	sink.NoTLS = false
	stranger := sender(t, sink, func(o *mail.Options) { o.Roots = smtptest.New(t).Roots })
	if err := stranger.Send(t.Context(), l); err == nil {
		t.Error("sent to a server with a strange certificate")
	}
	if n := len(sink.Letters()); n != 0 {
		t.Errorf("%d letters went out", n)
	}
}

func TestRefusals(t *testing.T) {
	sink := smtptest.New(t)
	sink.Refuse = "550 no such person"
	l := letter("")
	l.Kind = mail.Confirm
	if err := sender(t, sink, nil).Send(t.Context(), l); !mail.Refused(err) {
		t.Errorf("%v is for ever", err)
	}
	gone := sender(t, sink, func(o *mail.Options) {
		o.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
	})
	if err := gone.Send(t.Context(), l); err == nil || mail.Refused(err) {
		t.Errorf("%v passes", err)
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("alice@example.org")
	f.Add("a@b\r\n.c")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := mail.ParseAddress(text)
		if err == nil && (strings.ToLower(text) != string(a) || strings.Count(text, "@") != 1 || strings.ContainsAny(text, " \r\n\t<>,;:\"\\\x00")) {
			t.Errorf("%q became %q", text, a)
		}
	})
}
