package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// Mistakes is every mistake of a configuration, one sentence each.
type Mistakes []string

// Error is one line a mistake.
func (m Mistakes) Error() string { return strings.Join(m, "\n") }

// delimiter keeps dots in keys whole. Why: viper would cut host names and tell "a.b" from "a: {b}" no more.
const delimiter = "::"

// Load reads the file at path, or none when path is "", with the environment over it. Relative paths count from the
// file's folder, and without a file from ./data. All mistakes are returned at once, as [Mistakes].
func Load(path string) (*Config, error) {
	v := viper.NewWithOptions(viper.KeyDelimiter(delimiter))
	base := DefaultDir
	if path != "" {
		base = filepath.Dir(path)
		v.SetConfigFile(path)
		v.SetConfigType("yaml")
		if err := v.ReadInConfig(); err != nil {
			return nil, Mistakes{unreadable(path, err)}
		}
	}
	c := Default()
	c.File = path
	var found Mistakes
	known := map[string]bool{}
	for _, s := range settings(reflect.ValueOf(c).Elem()) {
		known[s.key()] = true
		if err := v.BindEnv(s.key(), s.env()); err != nil {
			return nil, fmt.Errorf("bind %s: %w", s.env(), err)
		}
		if raw := v.Get(s.key()); raw != nil {
			found = append(found, assign(s.name(), s.field, raw)...)
		}
	}
	found = append(found, unknownKeys(v, known)...)
	found = append(found, unknownEnv(known)...)
	if base, err := filepath.Abs(base); err == nil {
		c.resolve(base)
	}
	found = append(found, c.readSecrets()...)
	found = append(found, c.readAppservices()...)
	found = append(found, c.check()...)
	if len(found) > 0 {
		return nil, found
	}
	return c, nil
}

func unreadable(path string, err error) string {
	switch {
	case errors.Is(err, os.ErrNotExist) && path == filepath.Join(DefaultDir, DefaultFile):
		return fmt.Sprintf("There is no %s in this folder: go to the server's folder, name the file by -config, or make one by rempart serve.", path)
	case errors.Is(err, os.ErrNotExist):
		return fmt.Sprintf("The configuration file %s does not exist.", path)
	case strings.Contains(err.Error(), "into map["):
		return fmt.Sprintf("The configuration file %s is no list of sections, such as server:, with their keys.", path)
	}
	return fmt.Sprintf("The configuration file %s cannot be read: %s.", path, strings.TrimSuffix(oneLine(err.Error()), "."))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// setting is one key of one section with the field that holds it.
type setting struct {
	section, option string
	field           reflect.Value
}

func (s setting) key() string  { return s.section + delimiter + s.option }
func (s setting) name() string { return s.section + "." + s.option }
func (s setting) env() string  { return strings.ToUpper(envPrefix + s.section + "_" + s.option) }

const envPrefix = "REMPART_"

// settings lists every key of the configuration.
func settings(c reflect.Value) []setting {
	var all []setting
	for i := range c.NumField() {
		section := c.Type().Field(i).Tag.Get("key")
		if section == "" {
			continue
		}
		for j := range c.Field(i).NumField() {
			option := c.Field(i).Type().Field(j).Tag.Get("key")
			all = append(all, setting{section, option, c.Field(i).Field(j)})
		}
	}
	return all
}

// unknownKeys finds keys of the file that mean nothing, which are mistyped ones more often than not.
func unknownKeys(v *viper.Viper, known map[string]bool) Mistakes {
	var found Mistakes
	for _, key := range v.AllKeys() {
		name := strings.ReplaceAll(key, delimiter, ".")
		switch {
		case known[key]:
		case !isSection(key, known):
			found = append(found, fmt.Sprintf("%s: there is no such key%s.", name, nearest(key, known)))
		case v.Get(key) != nil: // a section without keys is null
			found = append(found, fmt.Sprintf("%s: must be a table of keys.", name))
		}
	}
	slices.Sort(found)
	return found
}

func isSection(key string, known map[string]bool) bool {
	for k := range known {
		if strings.HasPrefix(k, key+delimiter) {
			return true
		}
	}
	return false
}

// unknownEnv finds variables that look like keys of our sections and mean nothing. Others, such as REMPART_CONFIG, are
// not for this package.
func unknownEnv(known map[string]bool) Mistakes {
	names, sections := map[string]bool{}, map[string]bool{}
	for key := range known {
		section, option, _ := strings.Cut(key, delimiter)
		names[setting{section: section, option: option}.env()] = true
		sections[strings.ToUpper(section)] = true
	}
	var found Mistakes
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		section, _, _ := strings.Cut(strings.TrimPrefix(name, envPrefix), "_")
		if strings.HasPrefix(name, envPrefix) && sections[section] && !names[name] {
			found = append(found, fmt.Sprintf("The environment variable %s names no key of the configuration.", name))
		}
	}
	slices.Sort(found)
	return found
}

// nearest suggests a known key that differs in a few letters.
func nearest(key string, known map[string]bool) string {
	best, least := "", 4
	for candidate := range known {
		if d := distance(key, candidate); d < least || d == least && candidate < best {
			best, least = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + strings.ReplaceAll(best, delimiter, ".")
}

// distance is the number of letters to insert, delete or replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
