package mail

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"time"
)

// Message is a letter ready to be sent, in plain text and as a page.
type Message struct {
	FromName string
	From, To Address
	Subject  string
	Text     string
	HTML     string
	Date     time.Time
}

// errHeader refuses a message of which a header would hold more than itself.
var errHeader = errors.New("mail: a header holds a line break or a control character")

// Bytes is the message in the form of RFC 5322.
func (m *Message) Bytes() ([]byte, error) {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails, as crypto/rand promises
	boundary := "=_" + hex.EncodeToString(random[:8])
	var out bytes.Buffer
	h := header{out: &out}
	h.add("From", mailbox(m.FromName, m.From))
	h.add("To", "<"+string(m.To)+">")
	h.add("Subject", encoded(m.Subject))
	h.add("Date", m.Date.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	h.add("Message-ID", "<"+hex.EncodeToString(random[:])+"@"+m.From.Domain()+">")
	h.add("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers
	h.add("MIME-Version", "1.0")
	h.add("Content-Type", `multipart/alternative; boundary="`+boundary+`"`)
	if h.err != nil {
		return nil, h.err
	}
	out.WriteString("\r\n")
	parts := multipart.NewWriter(&out)
	if err := parts.SetBoundary(boundary); err != nil {
		return nil, err
	}
	if err := errors.Join(part(parts, "text/plain", m.Text), part(parts, "text/html", m.HTML), parts.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// header writes header fields and refuses whatever could begin a further one.
type header struct {
	out *bytes.Buffer
	err error
}

func (h *header) add(name, value string) {
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		h.err = fmt.Errorf("%w: %s", errHeader, name)
		return
	}
	_, _ = fmt.Fprintf(h.out, "%s: %s\r\n", name, value) // a buffer takes everything
}

// encoded is a text as an unstructured header value. Why a check of its own: mime leaves ASCII alone, line breaks too.
func encoded(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return s // add refuses it
	}
	return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", s), "\r\n ", " ")
}

// mailbox is a display name with an address; the name is quoted or encoded, so that it is never syntax.
func mailbox(name string, a Address) string {
	return (&mail.Address{Name: strings.Map(visible, name), Address: string(a)}).String()
}

// visible drops control characters.
func visible(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

func part(w *multipart.Writer, typ, text string) error {
	head := textproto.MIMEHeader{}
	head.Set("Content-Type", typ+"; charset=utf-8")
	head.Set("Content-Transfer-Encoding", "quoted-printable")
	p, err := w.CreatePart(head)
	if err != nil {
		return err
	}
	q := quotedprintable.NewWriter(p)
	_, err = q.Write([]byte(text))
	return errors.Join(err, q.Close())
}
