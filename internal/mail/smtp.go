package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"time"
)

// Security is how the connection to the SMTP server is protected.
type Security string

// The kinds of protection. With StartTLS a server that does not offer it is refused.
const (
	StartTLS Security = "starttls"
	TLS      Security = "tls"
	Plain    Security = "none"
)

// Options is what a sender is made of.
type Options struct {
	Server         string // host:port
	Security       Security
	User, Password string // "" for a server that asks for none
	FromName       string
	From           Address
	// Hello is the name by which this server greets; "" says "localhost".
	Hello string
	// Dial opens connections.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Roots are the authorities that sign the server's certificate; nil for those of the system.
	Roots *x509.CertPool
	// Clock may be nil for the wall clock.
	Clock func() time.Time
}

// sendTimeout bounds one letter, from dialling to goodbye.
const sendTimeout = time.Minute

// Sender hands letters to one SMTP server. It may be used concurrently; each letter has a connection of its own.
type Sender struct{ o Options }

// NewSender makes a sender; nothing is dialled yet.
func NewSender(o Options) (*Sender, error) {
	if _, _, err := net.SplitHostPort(o.Server); err != nil {
		return nil, fmt.Errorf("mail server %q: %w", o.Server, err)
	}
	if o.Dial == nil {
		return nil, errors.New("mail: no dialer")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Hello == "" {
		o.Hello = "localhost"
	}
	return &Sender{o}, nil
}

// Send renders a letter and hands it over. It returns when the server has taken it.
func (s *Sender) Send(ctx context.Context, l Letter) error {
	subject, text, html, err := l.Compose()
	if err != nil {
		return err
	}
	m := Message{FromName: s.o.FromName, From: s.o.From, To: l.To, Subject: subject, Text: text, HTML: html, Date: s.o.Clock()}
	body, err := m.Bytes()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return s.deliver(ctx, l.To, body)
}

// Refused reports whether the mail server will never take this letter: it answered with a code of the 500s.
func Refused(err error) bool {
	var answer *textproto.Error
	return errors.As(err, &answer) && answer.Code >= 500 && answer.Code < 600
}

func (s *Sender) deliver(ctx context.Context, to Address, body []byte) error {
	host, _, _ := net.SplitHostPort(s.o.Server) // checked when it was made
	conn, err := s.o.Dial(ctx, "tcp", s.o.Server)
	if err != nil {
		return fmt.Errorf("dial mail server: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends whatever waits for the server
	defer stop()
	defer func() { _ = conn.Close() }()
	secured := &tls.Config{ServerName: host, RootCAs: s.o.Roots, MinVersion: tls.VersionTLS12}
	if s.o.Security == TLS {
		conn = tls.Client(conn, secured)
	}
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return fmt.Errorf("greet mail server: %w", err)
	}
	if err := s.talk(c, host, secured, to, body); err != nil {
		return fmt.Errorf("hand a letter to the mail server: %w", err)
	}
	return nil
}

// talk is one SMTP dialogue. The library refuses line breaks in what it is given as a name or an address.
func (s *Sender) talk(c *smtp.Client, host string, secured *tls.Config, to Address, body []byte) error {
	if err := c.Hello(s.o.Hello); err != nil {
		return err
	}
	if s.o.Security == StartTLS {
		if err := c.StartTLS(secured); err != nil {
			return fmt.Errorf("STARTTLS: %w", err)
		}
	}
	if s.o.User != "" {
		if err := c.Auth(smtp.PlainAuth("", s.o.User, s.o.Password, host)); err != nil {
			return err
		}
	}
	if err := c.Mail(string(s.o.From)); err != nil {
		return err
	}
	if err := c.Rcpt(string(to)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(body); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = c.Quit() // the letter is taken; a server that hangs up now loses nothing
	return nil
}
