package page

import (
	"maps"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	for _, c := range []struct {
		body, kind string
		want       map[string]string
	}{
		{`<html><head><meta property="og:title" content="A &amp; B"><meta property="og:image" content="/x.png"><title>no</title></head></html>`, "text/html",
			map[string]string{"og:title": "A & B", "og:image": "/x.png"}},
		{"<title>\n Just   a\ttitle </title><meta name=description content='what it is'>", "text/html",
			map[string]string{"og:title": "Just a title", "og:description": "what it is"}},
		{"<title>caf\xe9</title>", "text/html; charset=iso-8859-1", map[string]string{"og:title": "café"}},
		{"<meta charset=windows-1252><title>\x80</title>", "text/html", map[string]string{"og:title": "€"}},
		{`<meta property="og:title" content="one"><meta property="og:title" content="two">`, "text/html", map[string]string{"og:title": "one"}},
		{`<head></head><meta property="og:title" content="behind the head">`, "text/html", map[string]string{}},
		{`<body><meta property="og:title" content="in the body">`, "text/html", map[string]string{}},
		{"\x00\xff\xfe<title", "text/html; charset=nonsense", map[string]string{}},
		{"", "", map[string]string{}},
	} {
		if got := Read([]byte(c.body), c.kind); !maps.Equal(got, c.want) {
			t.Errorf("%q: %v, want %v", c.body, got, c.want)
		}
	}
}

// However a page is made, little of it is kept.
func TestReadIsBounded(t *testing.T) {
	for _, body := range []string{
		strings.Repeat("<", 1<<20), strings.Repeat("<meta property=og:a", 1<<16), "<title>" + strings.Repeat("x", 1<<20),
		strings.Repeat("<b>", 1<<18), `<meta property="og:` + strings.Repeat("a", 1<<20) + `" content="x">`,
	} {
		Read([]byte(body), "text/html")
	}
	var many strings.Builder
	for i := range 5000 {
		many.WriteString(`<meta property="og:x` + strings.Repeat("y", i%50) + string(rune('a'+i%26)) + `" content="v">`)
	}
	if got := Read([]byte(many.String()), "text/html"); len(got) > maxProperties {
		t.Errorf("%d properties", len(got))
	}
	if got := Read([]byte("<title>"+strings.Repeat("é", 5000)+"</title>"), "text/html; charset=utf-8"); len(got["og:title"]) > maxValue+3 {
		t.Errorf("a title of %d bytes", len(got["og:title"]))
	}
}
