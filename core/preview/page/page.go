// Package page reads what a web page says of itself: the Open Graph properties of its head, or else its title and
// description. It is pure and bounded: whatever the page holds, it looks at a limited part of it.
package page

import (
	"bytes"
	"io"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/charset"
)

// Bounds of what is read of a page.
const (
	maxTokens     = 20_000
	maxProperties = 40
	maxName       = 100
	maxValue      = 2_000
)

// Read finds the properties of a page by their names, such as "og:title". contentType is what its server said of it, the
// charset perhaps among it. What is no page yields nothing.
func Read(body []byte, contentType string) map[string]string {
	text, err := charset.NewReader(bytes.NewReader(body), contentType)
	if err != nil {
		text = bytes.NewReader(body)
	}
	r := reader{found: map[string]string{}, tokens: html.NewTokenizer(io.LimitReader(text, 4*int64(len(body))+1024))}
	r.tokens.SetMaxBuf(256 << 10)
	r.run()
	for name, instead := range map[string]string{"og:title": r.title, "og:description": r.description} {
		if r.found[name] == "" && instead != "" {
			r.found[name] = instead
		}
	}
	return r.found
}

// reader goes once through a page.
type reader struct {
	tokens             *html.Tokenizer
	found              map[string]string
	title, description string
	inTitle            bool
}

// run reads to the end of the head, or of what is allowed.
func (r *reader) run() {
	for range maxTokens {
		switch r.tokens.Next() {
		case html.ErrorToken:
			return
		case html.TextToken:
			if r.inTitle && r.title == "" {
				r.title = tidy(string(r.tokens.Text()))
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := r.tokens.TagName()
			r.inTitle = string(name) == "title"
			if string(name) == "body" {
				return
			}
			if string(name) == "meta" && more {
				r.meta()
			}
		case html.EndTagToken:
			name, _ := r.tokens.TagName()
			r.inTitle = false
			if string(name) == "head" {
				return
			}
		}
	}
}

// meta reads one <meta>. The first value of a property counts: a page may name several pictures.
func (r *reader) meta() {
	var property, name, content string
	for {
		key, value, more := r.tokens.TagAttr()
		switch string(key) {
		case "property":
			property = string(value)
		case "name":
			name = string(value)
		case "content":
			content = tidy(string(value))
		}
		if !more {
			break
		}
	}
	property = strings.ToLower(strings.TrimSpace(property))
	if property == "" {
		property = strings.ToLower(strings.TrimSpace(name)) // many write Open Graph so
	}
	switch {
	case content == "":
	case property == "description" && r.description == "":
		r.description = content
	case strings.HasPrefix(property, "og:") && len(property) <= maxName && r.found[property] == "" && len(r.found) < maxProperties:
		r.found[property] = content
	}
}

// tidy makes one line of a text and cuts it.
func tidy(s string) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " "), "")
	if len(s) <= maxValue {
		return s
	}
	return strings.ToValidUTF8(s[:maxValue], "") + "…"
}
