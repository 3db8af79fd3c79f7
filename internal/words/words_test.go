package words_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"rempart/internal/words"
)

func TestOf(t *testing.T) {
	for text, want := range map[string]string{
		"À la fin, l'école est ouverte": "a la fin ecole est ouverte",
		"L’École d’Été":                 "ecole ete",
		"e\u0301cole":                   "ecole",
		"aujourd'hui":                   "aujourd hui",
		"Qu'il lorsqu'on rock'n'roll":   "il on rock roll",
		"cœur ŒUVRE Straße Ærø":         "coeur oeuvre strasse aero",
		"mail@example.org, n°12":        "mail example org n 12",
		"東京 tower":                      "東 京 tower",
		"ΟΔΟΣ οδός":                     "οδοσ οδοσ",
		"l'":                            "l",
		"\xff\xfe \x00a":                "a",
		"İstanbul ılık":                 "istanbul ilik",
		"":                              "",
	} {
		if got := strings.Join(words.Of(text), " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestUnique(t *testing.T) {
	if got := words.Unique("Le chat, le chien, l'âne"); !slices.Equal(got, []string{"ane", "chat", "chien", "le"}) {
		t.Error(got)
	}
}

func TestIn(t *testing.T) {
	got := words.In("L'École, une école, l'ECOLE", []string{"ecole"})
	if !slices.Equal(got, []string{"École", "école", "ECOLE"}) {
		t.Error(got)
	}
}

// Whatever the text, words are bounded and hold nothing that a query language of an index could take for its own.
func FuzzOf(f *testing.F) {
	for _, s := range []string{"l'école \"AND\" x*", strings.Repeat("é", 500), strings.Repeat("a b ", 5000), "\U000e0001'\u02bc"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list := words.Of(text)
		if len(list) > 2000 {
			t.Fatalf("%d words", len(list))
		}
		for _, w := range list {
			if w == "" || len(w) > 64 || !utf8.ValidString(w) || strings.ContainsAny(w, " \t\n\"'*^:()&|!\\-\x00") {
				t.Fatalf("word %q", w)
			}
		}
	})
}
