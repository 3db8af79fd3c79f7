package config

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"rempart/internal/matrix"
)

// Appservices names the registration files of the application services.
type Appservices struct {
	Files []string `key:"files"`
}

// Appservice is the content of one registration file. Spec: application-service-api/#registration
type Appservice struct {
	File             string
	ID               string
	URL              string // "" when the file says null: no traffic is wanted
	ASToken, HSToken string
	SenderLocalpart  string
	RateLimited      bool
	Ephemeral        bool // receive_ephemeral
	OldEphemeral     bool // de.sorunome.msc2409.push_ephemeral
	Encryption       bool // org.matrix.msc3202
	Protocols        []string
	Users            []Namespace
	Aliases          []Namespace
	Rooms            []Namespace
	// Ignored are extensions that the file asks for and this server does not know.
	Ignored []string
}

// Namespace is one entry of a registration's namespaces.
type Namespace struct {
	Exclusive bool
	Regex     string
}

// readAppservices reads all registration files and finds what is wrong with each, and between them.
func (c *Config) readAppservices() Mistakes {
	var found Mistakes
	ids, tokens := map[string]string{}, map[string]string{}
	for _, path := range c.Appservices.Files {
		a, mistakes := ReadAppservice(path)
		if found = append(found, mistakes...); len(mistakes) > 0 {
			continue
		}
		if other := ids[a.ID]; other != "" {
			found = append(found, fmt.Sprintf("%s: id %q is that of %s already.", path, a.ID, other))
		}
		if other := tokens[a.ASToken]; other != "" {
			found = append(found, fmt.Sprintf("%s: as_token is that of %s already.", path, other))
		}
		ids[a.ID], tokens[a.ASToken] = path, path
		c.Services = append(c.Services, *a)
	}
	return found
}

// ReadAppservice reads one registration file; all its mistakes are returned at once.
func ReadAppservice(path string) (*Appservice, Mistakes) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, Mistakes{fmt.Sprintf("appservices.files: there is no file %s.", path)}
	}
	if err != nil {
		return nil, Mistakes{fmt.Sprintf("appservices.files: %s cannot be read.", path)}
	}
	r := &registration{file: path, out: &Appservice{File: path, RateLimited: true}}
	r.read(b)
	if len(r.found) > 0 {
		return nil, r.found
	}
	return r.out, nil
}

// registration is a file while it is read.
type registration struct {
	file  string
	out   *Appservice
	found Mistakes
}

func (r *registration) say(format string, args ...any) {
	r.found = append(r.found, r.file+": "+fmt.Sprintf(format, args...))
}

// read takes the file's keys one by one. Why not into a struct: each mistake is told, with its place.
func (r *registration) read(b []byte) {
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil && !errors.Is(err, io.EOF) {
		r.say("is no YAML: %s.", oneLine(err.Error()))
		return
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		r.say("must be a table of keys such as id, url, as_token, hs_token.")
		return
	}
	seen := r.table(doc.Content[0], "", r.takers())
	for _, key := range []string{"id", "url", "as_token", "hs_token", "sender_localpart", "namespaces"} {
		if !seen[key] {
			r.say("lacks %s.", key)
		}
	}
	if len(r.found) == 0 {
		r.check()
	}
}

// taker reads one value.
type taker func(name string, n *yaml.Node)

func (r *registration) takers() map[string]taker {
	a := r.out
	return map[string]taker{
		"id": r.text(&a.ID), "as_token": r.text(&a.ASToken), "hs_token": r.text(&a.HSToken), "sender_localpart": r.text(&a.SenderLocalpart),
		"url": func(name string, n *yaml.Node) {
			if n.Tag != "!!null" {
				r.text(&a.URL)(name, n)
			}
		},
		"rate_limited": r.truth(&a.RateLimited), "receive_ephemeral": r.truth(&a.Ephemeral), "protocols": r.texts(&a.Protocols),
		"de.sorunome.msc2409.push_ephemeral": r.truth(&a.OldEphemeral), "push_ephemeral": r.truth(&a.OldEphemeral),
		"org.matrix.msc3202": r.truth(&a.Encryption),
		"io.element.msc4190": r.truth(new(bool)), // what it asks for every service may do: v1.17
		"namespaces": func(name string, n *yaml.Node) {
			if n.Kind != yaml.MappingNode {
				r.say("%s must be a table of users, aliases and rooms.", name)
				return
			}
			r.table(n, "namespaces.", map[string]taker{"users": r.spaces(&a.Users), "aliases": r.spaces(&a.Aliases), "rooms": r.spaces(&a.Rooms)})
		},
	}
}

// table reads the keys of a table and tells which there were.
func (r *registration) table(n *yaml.Node, prefix string, takers map[string]taker) map[string]bool {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		take := takers[key]
		switch {
		case seen[key]:
			r.say("has %s%s twice.", prefix, key)
		case take != nil:
			take(prefix+key, n.Content[i+1])
		case prefix == "" && strings.Contains(key, "."): // an extension of somebody's own
			r.out.Ignored = append(r.out.Ignored, key)
		default:
			r.say("%s%s is no key of a registration (line %d).", prefix, key, n.Content[i].Line)
		}
		seen[key] = true
	}
	return seen
}

func (r *registration) text(into *string) taker {
	return func(name string, n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
			r.say("%s must be a text.", name)
			return
		}
		*into = n.Value
	}
}

func (r *registration) truth(into *bool) taker {
	return func(name string, n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Value != "true" && n.Value != "false" {
			r.say("%s must be true or false.", name)
			return
		}
		*into = n.Value == "true"
	}
}

func (r *registration) texts(into *[]string) taker {
	return func(name string, n *yaml.Node) {
		if n.Tag == "!!null" {
			return
		}
		if n.Kind != yaml.SequenceNode || slices.ContainsFunc(n.Content, func(e *yaml.Node) bool { return e.Kind != yaml.ScalarNode }) {
			r.say("%s must be a list of texts.", name)
			return
		}
		for _, e := range n.Content {
			*into = append(*into, e.Value)
		}
	}
}

func (r *registration) spaces(into *[]Namespace) taker {
	return func(name string, n *yaml.Node) {
		if n.Tag == "!!null" {
			return
		}
		if n.Kind != yaml.SequenceNode {
			r.say("%s must be a list of tables with regex and exclusive.", name)
			return
		}
		for i, e := range n.Content {
			place := fmt.Sprintf("%s[%d]", name, i)
			if e.Kind != yaml.MappingNode {
				r.say("%s must be a table with regex and exclusive.", place)
				continue
			}
			var s Namespace
			// group_id once named a group; groups are gone, and files still have it.
			seen := r.table(e, place+".", map[string]taker{"regex": r.text(&s.Regex), "exclusive": r.truth(&s.Exclusive), "group_id": r.text(new(string))})
			if !seen["regex"] || !seen["exclusive"] {
				r.say("%s needs regex and exclusive.", place)
			}
			if _, err := regexp.Compile(s.Regex); err != nil {
				r.say("%s.regex: %q is no regular expression that this server takes: %s.", place, s.Regex, oneLine(err.Error()))
			}
			*into = append(*into, s)
		}
	}
}

// leastToken is the least length of a token. Why so short: registrations of old have such.
const leastToken = 8

// check finds what is well-formed but cannot work.
func (r *registration) check() {
	a := r.out
	if a.ID == "" {
		r.say("id must not be empty.")
	}
	if len(a.ASToken) < leastToken || len(a.HSToken) < leastToken {
		r.say("as_token and hs_token must have at least %d characters; better 64 random ones.", leastToken)
	}
	if a.ASToken == a.HSToken {
		r.say("as_token and hs_token must differ.")
	}
	if !matrix.ValidLocalpart(a.SenderLocalpart) {
		r.say("sender_localpart: %q is no name of a user; it may hold a to z, digits and . _ = - / +.", a.SenderLocalpart)
	}
	if u, err := url.Parse(a.URL); a.URL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		r.say("url: %q is no address like http://127.0.0.1:29318.", a.URL)
	}
}
