package matrix

import "testing"

func TestLookup(t *testing.T) {
	object := []byte(`{"a":{"b":"x\ny","n":-12,"o\"o":7},"big":9223372036854775808,"e":"","f":1.5,"min":-9223372036854775808}`)
	if s, ok := LookupText(object, "a", "b"); !ok || s != "x\ny" {
		t.Errorf("%q, %v", s, ok)
	}
	if s, ok := LookupText(object, "e"); !ok || s != "" {
		t.Errorf("%q, %v", s, ok)
	}
	for _, path := range [][]string{{"a"}, {"a", "n"}, {"a", "c"}, {"e", "x"}, {"b"}} {
		if s, ok := LookupText(object, path...); ok {
			t.Errorf("%v gives %q", path, s)
		}
	}
	for key, want := range map[string]int64{"n": -12, `o"o`: 7} {
		if n, ok := LookupInt(object, "a", key); !ok || n != want {
			t.Errorf("%s: %d, %v", key, n, ok)
		}
	}
	if n, ok := LookupInt(object, "min"); !ok || n != -1<<63 {
		t.Errorf("%d, %v", n, ok)
	}
	for _, key := range []string{"big", "e", "f", "a"} {
		if n, ok := LookupInt(object, key); ok {
			t.Errorf("%s gives %d", key, n)
		}
	}
	if string(Lookup(object)) != string(object) || Lookup(nil, "a") != nil {
		t.Error("edges")
	}
}

// Walking what is not canonical JSON stops; it neither panics nor runs on.
func TestWalkGarbage(t *testing.T) {
	for _, s := range []string{``, `{`, `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{"a":1}x`, `{"a":"\`, `{"a":"\"`,
		`{"a":{`, `{"a":[}`, `{1:2}`, `{"a":}`, `{"a" :1}`, `{,}`, `[1`, `{"a":1"b":2}`} {
		m := membersOf([]byte(s))
		for _, _, ok := m.next(); ok; _, _, ok = m.next() {
		}
		if !m.bad {
			t.Errorf("%q is taken for an object", s)
		}
	}
	for _, s := range []string{``, `[`, `["`, `[1`, `[1,`, `[,]`, `[1]x`, `{}`, `["a]`} {
		e := elementsOf([]byte(s))
		for _, ok := e.next(); ok; _, ok = e.next() {
		}
		if !e.bad {
			t.Errorf("%q is taken for an array", s)
		}
	}
}
