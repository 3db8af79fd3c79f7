package mail

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"strings"
	texts "text/template"
	"time"
)

//go:embed templates
var templateFiles embed.FS

// Kind says what a letter is about; the templates are named by it.
type Kind string

// The letters that this server sends.
const (
	Confirm  Kind = "confirm"  // confirm that this address is yours
	Reset    Kind = "reset"    // set a new password
	NoReset  Kind = "noreset"  // somebody asked for a new password, but no account has this address
	Activate Kind = "activate" // an account was made for you: choose its password
	Renew    Kind = "renew"    // your account ends soon
	Changed  Kind = "changed"  // your password was changed
)

// Kinds lists all of them.
func Kinds() []Kind { return []Kind{Confirm, Reset, NoReset, Activate, Renew, Changed} }

// Letter is what is said to whom; it has a JSON form because letters wait in the database until they are sent.
type Letter struct {
	To       Address `json:"to"`
	Kind     Kind    `json:"kind"`
	Language string  `json:"lang,omitempty"` // an Accept-Language value; French or English is chosen from it
	User     string  `json:"user,omitempty"`
	Server   string  `json:"server"`
	Link     string  `json:"link,omitempty"`
	Until    int64   `json:"until,omitempty"` // milliseconds: when the link, or the account, ends
}

// French reports whether a list of languages wants French first, of the two that there are.
func French(languages string) bool {
	for _, l := range strings.Split(strings.ToLower(languages), ",") {
		switch l = strings.TrimSpace(l); {
		case strings.HasPrefix(l, "fr"):
			return true
		case strings.HasPrefix(l, "en"):
			return false
		}
	}
	return false
}

// Compose renders a letter.
func (l *Letter) Compose() (subject, text, html string, err error) {
	lang, day := "en", "2 January 2006 15:04 MST"
	if French(l.Language) {
		lang, day = "fr", "02/01/2006 à 15:04 MST"
	}
	t, err := texts.ParseFS(templateFiles, fmt.Sprintf("templates/%s.%s.txt", l.Kind, lang))
	if err != nil {
		return "", "", "", fmt.Errorf("letter %q: %w", l.Kind, err)
	}
	var out bytes.Buffer
	err = t.Execute(&out, map[string]string{
		"User": oneLine(l.User), "Server": oneLine(l.Server), "Link": oneLine(l.Link),
		"Until": time.UnixMilli(l.Until).UTC().Format(day),
	})
	if err != nil {
		return "", "", "", fmt.Errorf("letter %q: %w", l.Kind, err)
	}
	subject, text, _ = strings.Cut(out.String(), "\n\n")
	html, err = page(lang, subject, text, l.Link)
	return subject, text, html, err
}

// oneLine keeps a value from beginning a line of its own.
func oneLine(s string) string { return strings.Map(visible, s) }

// page is the letter as HTML: its paragraphs, with the link as a link.
func page(lang, subject, text, link string) (string, error) {
	t, err := template.ParseFS(templateFiles, "templates/page.html")
	if err != nil {
		return "", err
	}
	type paragraph struct{ Text, Link string }
	var paragraphs []paragraph
	for _, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if link != "" && p == oneLine(link) {
			paragraphs = append(paragraphs, paragraph{Text: p, Link: p})
		} else {
			paragraphs = append(paragraphs, paragraph{Text: p})
		}
	}
	var out bytes.Buffer
	err = t.Execute(&out, map[string]any{"Lang": lang, "Subject": subject, "Paragraphs": paragraphs})
	return out.String(), err
}
