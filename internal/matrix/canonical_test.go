package matrix

import (
	"errors"
	"strings"
	"testing"
)

// canonicalCases are inputs with what becomes of them; "" stands for a refusal.
var canonicalCases = []struct{ name, in, lenient, strict string }{
	{"sorts by code point, not by UTF-16", `{"\uff21":1,"\ud800\udc00":2,"a":3}`, "{\"a\":3,\"\uff21\":1,\"\U00010000\":2}", "{\"a\":3,\"\uff21\":1,\"\U00010000\":2}"},
	{"sorts by what escapes mean", `{"\"":1,"!":2,"#":3,"\n":4}`, `{"\n":4,"!":2,"\"":1,"#":3}`, `{"\n":4,"!":2,"\"":1,"#":3}`},
	{"prefix first", `{"ab":1,"a":2,"":3}`, `{"":3,"a":2,"ab":1}`, `{"":3,"a":2,"ab":1}`},
	{"nested disorder", `{"b":{"d":1,"c":[{"f":1,"e":2}]},"a":0}`, `{"a":0,"b":{"c":[{"e":2,"f":1}],"d":1}}`, `{"a":0,"b":{"c":[{"e":2,"f":1}],"d":1}}`},
	{"equal keys", `{"a":1,"b":2,"a":3}`, `{"a":3,"b":2}`, ""},
	{"equal keys, one escaped", `{"a":1,"\u0061":3}`, `{"a":3}`, ""},
	{"shortest escapes", `["\u0001\u001F\u0008\u000c\u000A\u000d\u0009\/\u002f\u0041\u007f\u2028"]`,
		"[\"\\u0001\\u001f\\b\\f\\n\\r\\t//A\u007f\u2028\"]", "[\"\\u0001\\u001f\\b\\f\\n\\r\\t//A\u007f\u2028\"]"},
	{"NUL stays", `"\u0000"`, `"\u0000"`, `"\u0000"`},
	{"surrogate pair", `"\ud83d\ude00"`, `"😀"`, `"😀"`},
	{"lone high surrogate", `"\ud83d"`, "", ""},
	{"lone low surrogate", `"\ude00"`, "", ""},
	{"surrogates the wrong way round", `"\ude00\ud83d"`, "", ""},
	{"invalid UTF-8", "\"\xff\"", "", ""},
	{"surrogate in UTF-8", "\"\xed\xa0\x80\"", "", ""},
	{"overlong UTF-8", "\"\xc0\xaf\"", "", ""},
	{"raw control character", "\"\n\"", "", ""},
	{"unknown escape", `"\x"`, "", ""},
	{"safe integers", `[9007199254740991,-9007199254740991]`, `[9007199254740991,-9007199254740991]`, `[9007199254740991,-9007199254740991]`},
	{"too large", `9007199254740992`, `9007199254740992`, ""},
	{"too small", `-9007199254740992`, `-9007199254740992`, ""},
	{"far too large", `123456789012345678901234567890`, `123456789012345678901234567890`, ""},
	{"fraction", `1.0`, `1.0`, ""},
	{"negative zero", `-0`, `0`, ""},
	{"negative zero with fraction", `-0.0`, `-0.0`, ""},
	{"exponent", `[1e3,-12E+2,500e-2,5e-1,1e16,0e99]`, `[1000,-1200,5,5e-1,1e16,0]`, ""},
	{"leading zero", `01`, "", ""},
	{"bare minus", `-`, "", ""},
	{"no digits behind the point", `1.`, "", ""},
	{"no exponent digits", `1e`, "", ""},
	{"NaN", `NaN`, "", ""},
	{"trailing comma", `[1,]`, "", ""},
	{"trailing comma in object", `{"a":1,}`, "", ""},
	{"two values", `1 2`, "", ""},
	{"empty", ``, "", ""},
	{"white space only", ` `, "", ""},
	{"cut string", `"a`, "", ""},
	{"cut escape", `"a\`, "", ""},
	{"cut object", `{"a":`, "", ""},
	{"cut literal", `tru`, "", ""},
	{"no colon", `{"a" 1}`, "", ""},
	{"key is no string", `{a:1}`, "", ""},
	{"form feed is no white space", "\f1", "", ""},
	{"white space", " \t\r\n{ \"a\" : [ ] , \"b\" : { } } \n", `{"a":[],"b":{}}`, `{"a":[],"b":{}}`},
	{"literals", `[true,false,null]`, `[true,false,null]`, `[true,false,null]`},
}

func TestCanonicalJSON(t *testing.T) {
	for _, c := range canonicalCases {
		checkCanonical(t, c.name, c.in, c.lenient, CanonicalJSON)
		checkCanonical(t, c.name+", strict", c.in, c.strict, CanonicalJSONStrict)
	}
}

func checkCanonical(t *testing.T, name, in, want string, f func([]byte) ([]byte, error)) {
	t.Helper()
	got, err := f([]byte(in))
	if string(got) != want || (err == nil) != (want != "") {
		t.Errorf("%s: %q became %q, %v; want %q", name, in, got, err, want)
	}
	if err != nil && !HasCode(err, CodeNotJSON) && !HasCode(err, CodeBadJSON) {
		t.Errorf("%s: error %v", name, err)
	}
}

func TestCanonicalJSONDepth(t *testing.T) {
	nest := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	if _, err := CanonicalJSON(nest(MaxJSONDepth)); err != nil {
		t.Errorf("%d levels: %v", MaxJSONDepth, err)
	}
	for _, n := range []int{MaxJSONDepth + 1, 1 << 20} {
		if _, err := CanonicalJSON(nest(n)); !HasCode(err, CodeBadJSON) {
			t.Errorf("%d levels: %v", n, err)
		}
	}
}

// AppendCanonical leaves alone what stands before.
func TestAppendCanonicalPrefix(t *testing.T) {
	got, err := AppendCanonical([]byte(`x{"z":1}`), []byte(`{"b":1,"a":2}`), true)
	if err != nil || string(got) != `x{"z":1}{"a":2,"b":1}` {
		t.Errorf("%s, %v", got, err)
	}
}

func FuzzCanonicalJSON(f *testing.F) {
	for _, c := range canonicalCases {
		f.Add([]byte(c.in))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, strict := range []bool{false, true} {
			want, wantErr := oracleCanonical(raw, strict)
			if errors.Is(wantErr, errOracleBy) {
				continue
			}
			got, err := AppendCanonical(nil, raw, strict)
			if string(got) != want || (err == nil) != (wantErr == nil) {
				t.Fatalf("strict %v: %q became %q, %v; oracle: %q, %v", strict, raw, got, err, want, wantErr)
			}
			if err != nil {
				continue
			}
			again, err := AppendCanonical(nil, got, strict)
			if err != nil || string(again) != string(got) {
				t.Fatalf("strict %v: %q is not canonical: %q, %v", strict, got, again, err)
			}
		}
	})
}

func BenchmarkCanonicalJSON(b *testing.B) {
	raw := []byte(`{"msgtype":"m.text","body":"Hello, this is a message of ordinary length.","m.mentions":{"user_ids":["@a:b"]}}`)
	out := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := AppendCanonical(out, raw, true); err != nil {
			b.Fatal(err)
		}
	}
}
