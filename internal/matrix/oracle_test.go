package matrix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The oracle: canonical JSON written slowly from the specification on top of encoding/json and sort.

var (
	errOracle   = errors.New("refused by the oracle")
	errOracleBy = errors.New("the oracle cannot tell")
)

// oracleCanonical is what CanonicalJSON or CanonicalJSONStrict should return.
func oracleCanonical(raw []byte, strict bool) (string, error) {
	if !utf8.Valid(raw) {
		return "", errOracle
	}
	if bytes.Contains(raw, []byte("\ufffd")) || bytes.Contains(bytes.ToLower(raw), []byte(`\ufffd`)) {
		return "", errOracleBy // encoding/json writes U+FFFD for a lone surrogate, so it must not be there before
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return "", errOracle
	}
	if _, err := dec.Token(); err != io.EOF {
		return "", errOracle
	}
	if strict && oracleTwice(raw) {
		return "", errOracle
	}
	var out strings.Builder
	if err := oracleWrite(&out, v, strict, 0); err != nil {
		return "", err
	}
	if strings.Contains(out.String(), "\ufffd") {
		return "", errOracle
	}
	return out.String(), nil
}

// oracleTwice reports whether an object has a key twice.
func oracleTwice(raw []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(raw))
	var seen []map[string]bool // nil for arrays
	key := false
	for {
		tok, err := dec.Token()
		if err != nil {
			return false
		}
		switch d := tok.(type) {
		case json.Delim:
			switch d {
			case '{':
				seen, key = append(seen, map[string]bool{}), true
				continue
			case '[':
				seen = append(seen, nil)
			default:
				seen = seen[:len(seen)-1]
			}
		case string:
			if key && seen[len(seen)-1] != nil {
				if seen[len(seen)-1][d] {
					return true
				}
				seen[len(seen)-1][d], key = true, false
				continue
			}
		}
		key = len(seen) > 0 && seen[len(seen)-1] != nil
	}
}

func oracleWrite(out *strings.Builder, v any, strict bool, depth int) error {
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		out.WriteByte('{')
		for i, k := range keys {
			if i > 0 {
				out.WriteByte(',')
			}
			oracleString(out, k)
			out.WriteByte(':')
			if err := oracleWrite(out, v[k], strict, depth+1); err != nil {
				return err
			}
		}
		out.WriteByte('}')
	case []any:
		out.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := oracleWrite(out, item, strict, depth+1); err != nil {
				return err
			}
		}
		out.WriteByte(']')
	case string:
		oracleString(out, v)
		return nil
	case json.Number:
		return oracleNumber(out, string(v), strict)
	case nil:
		out.WriteString("null")
		return nil
	default:
		fmt.Fprint(out, v)
		return nil
	}
	if depth >= MaxJSONDepth {
		return errOracle
	}
	return nil
}

func oracleString(out *strings.Builder, s string) {
	named := map[rune]string{'"': `\"`, '\\': `\\`, 8: `\b`, 12: `\f`, 10: `\n`, 13: `\r`, 9: `\t`}
	out.WriteByte('"')
	for _, r := range s {
		if short, ok := named[r]; ok {
			out.WriteString(short)
		} else if r < 0x20 {
			fmt.Fprintf(out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
}

func oracleNumber(out *strings.Builder, s string, strict bool) error {
	limit := big.NewInt(1<<53 - 1)
	if strict {
		n, ok := new(big.Int).SetString(s, 10)
		if !ok || n.CmpAbs(limit) > 0 || s == "-0" {
			return errOracle
		}
		out.WriteString(n.String())
		return nil
	}
	mantissa, exp, scientific := strings.Cut(strings.ToLower(s), "e")
	switch {
	case strings.Contains(s, "."):
	case strings.Trim(mantissa, "-0") == "":
		s = "0"
	case scientific:
		if e, err := strconv.Atoi(exp); err == nil && e > -1000 && e < 1000 {
			if r, ok := new(big.Rat).SetString(s); ok && r.IsInt() && r.Num().CmpAbs(limit) <= 0 {
				s = r.Num().String()
			}
		}
	}
	out.WriteString(s)
	return nil
}
