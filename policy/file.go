package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"rempart/policy/territory"
)

// File is the text of a policy. Every key is documented in the default file ([Commented]).
type File struct {
	Version      int          `yaml:"version"`
	Mode         string       `yaml:"mode"`
	Observe      []Point      `yaml:"observe"`
	Territory    Territory    `yaml:"territory"`
	Operators    Operators    `yaml:"operators"`
	Deny         Deny         `yaml:"deny"`
	Partners     []Partner    `yaml:"partners"`
	Attestations Attestations `yaml:"attestations"`
	Outside      []Outside    `yaml:"outside"`
	Tenants      []Tenant     `yaml:"tenants"`
}

// Territory says where connections may lead.
type Territory struct {
	Within       []string `yaml:"within"`
	Sets         []Set    `yaml:"sets"`
	Data         string   `yaml:"data"`
	Keys         []string `yaml:"keys"`
	Quorum       int      `yaml:"quorum"`
	MaxAgeDays   int      `yaml:"max_age_days"`
	AlarmAgeDays int      `yaml:"alarm_age_days"`
	Anycast      string   `yaml:"anycast"`
	Internal     []string `yaml:"internal"`
	Pins         []Pin    `yaml:"pins"`
	Lab          bool     `yaml:"lab"`
}

// Set names countries.
type Set struct {
	Name      string   `yaml:"name"`
	Countries []string `yaml:"countries"`
}

// Pin vouches for addresses.
type Pin struct {
	ID            string `yaml:"id"`
	Prefix        string `yaml:"prefix"`
	Country       string `yaml:"country"`
	Operator      string `yaml:"operator"`
	Class         string `yaml:"class"`
	Until         string `yaml:"until"`
	Contradiction string `yaml:"contradiction"`
}

// Operators says whose networks are refused.
type Operators struct {
	List        []territory.Operator `yaml:"list"`
	File        string               `yaml:"file"`
	DenyClasses []string             `yaml:"deny_classes"`
	Unknown     string               `yaml:"unknown"`
}

// Deny is refused whatever else admits it.
type Deny struct {
	Servers  []string `yaml:"servers"`
	Networks []string `yaml:"networks"`
	ASNs     []uint32 `yaml:"asns"`
}

// Partner is a server that may be spoken to.
type Partner struct {
	Server      string            `yaml:"server"`
	Allow       []string          `yaml:"allow"`
	Endpoints   []string          `yaml:"endpoints"`
	Networks    []string          `yaml:"networks"`
	Keys        map[string]string `yaml:"keys"`
	Until       string            `yaml:"until"`
	Private     bool              `yaml:"private"`
	Attestation string            `yaml:"attestation"`
}

// Attestations says who countersigns what partners state of themselves.
type Attestations struct {
	Authorities []Authority `yaml:"authorities"`
	Need        int         `yaml:"need"`
	Revoked     []string    `yaml:"revoked"`
}

// Authority is somebody who countersigns.
type Authority struct {
	Name string `yaml:"name"`
	Key  string `yaml:"key"`
}

// Outside is what may be connected to, beside Matrix servers.
type Outside struct {
	Point   Point    `yaml:"point"`
	Hosts   []string `yaml:"hosts"`
	Private bool     `yaml:"private"`
}

// Tenant names an organisation's own, stricter policy.
type Tenant struct {
	Server string `yaml:"server"`
	File   string `yaml:"file"`
}

// Mistakes is every mistake of a policy, one sentence each.
type Mistakes []string

// Error is one line a mistake.
func (m Mistakes) Error() string { return strings.Join(m, "\n") }

// parse reads the text; a key that means nothing is a mistake.
func parse(text []byte) (*File, error) {
	f := &File{}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(f); err != nil {
		var several *yaml.TypeError
		if errors.As(err, &several) {
			return nil, Mistakes(several.Errors)
		}
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return nil, Mistakes{"policy: " + strings.TrimPrefix(err.Error(), "yaml: ")}
	}
	if err := dec.Decode(&File{}); !errors.Is(err, io.EOF) {
		return nil, Mistakes{"policy: there is more than one document in the file"}
	}
	return f, nil
}

// parseDay reads a date like 2027-01-31; "" is the zero time. What ends on a day still holds on it.
func parseDay(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fmt.Errorf("%q is no date like 2027-01-31", s)
	}
	return t.AddDate(0, 0, 1), nil
}
