package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// assign puts a value of the file (typed by YAML) or the environment (a string) into a field.
func assign(name string, field reflect.Value, raw any) Mistakes {
	switch field.Interface().(type) {
	case string:
		if s, ok := scalar(raw); ok {
			field.SetString(s)
			return nil
		}
		return wrong(name, "must be a text", raw)
	case bool:
		return assignBool(name, field, raw)
	case int:
		n, err := strconv.Atoi(fmt.Sprint(raw))
		if err != nil {
			return wrong(name, "must be a whole number", raw)
		}
		field.SetInt(int64(n))
		return nil
	case float64:
		f, err := strconv.ParseFloat(fmt.Sprint(raw), 64)
		if err != nil {
			return wrong(name, "must be a number", raw)
		}
		field.SetFloat(f)
		return nil
	case []string:
		list, ok := texts(raw)
		if !ok {
			return wrong(name, "must be a list of texts", raw)
		}
		field.Set(reflect.ValueOf(list))
		return nil
	case []netip.Prefix:
		return assignPrefixes(name, field, raw)
	}
	return assignTables(name, field, raw)
}

func wrong(name, what string, raw any) Mistakes {
	return Mistakes{fmt.Sprintf("%s: %q %s.", name, fmt.Sprint(raw), what)}
}

// scalar is the text of a single value; a number or a truth value is a text too when a text is wanted.
func scalar(raw any) (string, bool) {
	switch raw.(type) {
	case string, int, int64, uint64, float64, bool:
		return fmt.Sprint(raw), true
	}
	return "", false
}

func assignBool(name string, field reflect.Value, raw any) Mistakes {
	switch fmt.Sprint(raw) {
	case "true":
		field.SetBool(true)
	case "false":
		field.SetBool(false)
	default:
		return wrong(name, "must be true or false", raw)
	}
	return nil
}

// texts reads a YAML list, or an environment variable with commas.
func texts(raw any) ([]string, bool) {
	var list []string
	switch v := raw.(type) {
	case string:
		for _, part := range strings.Split(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
		return list, true
	case []any:
		for _, item := range v {
			s, ok := scalar(item)
			if !ok {
				return nil, false
			}
			list = append(list, s)
		}
		return list, true
	}
	return nil, false
}

// assignPrefixes reads addresses and networks; an address is the network of itself.
func assignPrefixes(name string, field reflect.Value, raw any) Mistakes {
	list, ok := texts(raw)
	if !ok {
		return wrong(name, "must be a list of addresses and networks", raw)
	}
	var found Mistakes
	var prefixes []netip.Prefix
	for _, s := range list {
		if addr, err := netip.ParseAddr(s); err == nil {
			prefixes = append(prefixes, netip.PrefixFrom(addr, addr.BitLen()))
		} else if prefix, err := netip.ParsePrefix(s); err == nil {
			prefixes = append(prefixes, prefix.Masked())
		} else {
			found = append(found, wrong(name, "is neither an address nor a network like 10.0.0.0/8", s)...)
		}
	}
	field.Set(reflect.ValueOf(prefixes))
	return found
}

// assignTables reads a list of tables; in the environment it is written as JSON.
func assignTables(name string, field reflect.Value, raw any) Mistakes {
	if s, ok := raw.(string); ok {
		var list []any
		if err := json.Unmarshal([]byte(s), &list); err != nil {
			return wrong(name, "must be a JSON list of tables", raw)
		}
		raw = list
	}
	items, ok := raw.([]any)
	if !ok {
		return wrong(name, "must be a list of tables", raw)
	}
	var found Mistakes
	out := reflect.MakeSlice(field.Type(), len(items), len(items))
	for i, item := range items {
		place := fmt.Sprintf("%s[%d]", name, i)
		table, ok := item.(map[string]any)
		if !ok {
			found = append(found, wrong(place, "must be a table", item)...)
			continue
		}
		found = append(found, assignTable(place, out.Index(i), table)...)
	}
	field.Set(out)
	return found
}

// assignTable reads one table into a struct; keys it does not have are mistakes.
func assignTable(place string, out reflect.Value, table map[string]any) Mistakes {
	var found Mistakes
	var known []string
	for i := range out.NumField() {
		key := out.Type().Field(i).Tag.Get("key")
		known = append(known, key)
		if raw, ok := table[key]; ok && raw != nil {
			found = append(found, assign(place+"."+key, out.Field(i), raw)...)
		}
	}
	for key := range table {
		if !slices.Contains(known, key) {
			found = append(found, fmt.Sprintf("%s.%s: there is no such key; a table has %s.", place, key, strings.Join(known, ", ")))
		}
	}
	sort.Strings(found)
	return found
}
