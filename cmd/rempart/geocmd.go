package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rempart/policy/territory"
)

// geoCommands are those about the file that says where addresses are.
func geoCommands() []command {
	return []command{
		{"geo build", "[-key FILE] [-policy FILE] [-source KIND=PATH …] FILE", "make the file of territories from the databases of this machine", geoBuild},
		{"geo update", "[-key FILE] [-policy FILE] [-source KIND=PATH …] FILE", "build again, and say which partners would be judged differently", geoBuild},
		{"geo show", "FILE [ADDRESS …]", "say what a file is made of, and where addresses are", geoShow},
		{"geo verify", "-trust KEY FILE", "check who signed a file and that nothing was changed", geoVerify},
	}
}

// sourceList collects -source.
type sourceList []string

// String implements flag.Value.
func (s *sourceList) String() string { return strings.Join(*s, " ") }

// Set implements flag.Value.
func (s *sourceList) Set(v string) error {
	*s = append(*s, v)
	return nil
}

// geoBuild merges the databases that are there. A file that is there already is replaced only when the new one is not worse.
func geoBuild(_ context.Context, args []string, c console) error {
	f := flags("geo build")
	keyFile, file := f.String("key", "geo.key", "file of the key that signs"), f.String("policy", "", "policy whose partners are judged by it first")
	var named sourceList
	f.Var(&named, "source", "KIND=PATH: libloc, geoip, tor or iploc with a folder, mmdb with a file")
	words, err := parse(f, args, 1)
	if err != nil {
		return err
	}
	all, err := readSources(named, c)
	if err != nil {
		return err
	}
	d, err := territory.Merge(time.Now().UTC().Truncate(time.Second), territory.Sets()["union-and-france"], all)
	if err != nil {
		return err
	}
	if err := notWorse(d, words[0]); err != nil {
		return err
	}
	key, public, err := plainKey(*keyFile)
	if err != nil {
		return err
	}
	out, err := d.Marshal(key)
	if err != nil {
		return err
	}
	if *file != "" {
		if err := judgedBy(out, *file, c); err != nil {
			return err
		}
	}
	if err := writeWhole(words[0], out); err != nil {
		return err
	}
	if err := writeWhole(words[0]+".NOTICE", []byte(notice(d))); err != nil {
		return err
	}
	c.say("%s is written: %d independent databases, %d KiB in memory.\nIn the policy: territory: {data: %s, keys: [%q]}", words[0], len(d.Sources), d.Size()>>10, words[0], public)
	return nil
}

// readSources reads the databases that are named, or those of Debian's packages that are installed.
func readSources(named []string, c console) ([]territory.Ranges, error) {
	at := map[string]string{}
	for _, s := range named {
		kind, path, ok := strings.Cut(s, "=")
		if !ok {
			return nil, errUsage
		}
		at[kind] = path
	}
	if len(named) == 0 {
		for kind, folder := range territory.DebianFolders() {
			if _, err := os.Stat(filepath.Join(folder, territory.Kinds()[kind][0])); err == nil {
				at[kind] = folder
			}
		}
	}
	var all []territory.Ranges
	for _, kind := range slices.Sorted(maps.Keys(at)) {
		r, err := territory.ReadSource(kind, at[kind])
		if err != nil {
			return nil, err
		}
		c.say("read %s: %s of %s (%s), %d + %d ranges", at[kind], r.Name, r.Date.Format(time.DateOnly), r.Licence, len(r.V4), len(r.V6))
		all = append(all, r)
	}
	if len(all) == 0 {
		return nil, errors.New("no database is here: install libloc-database, geoip-database and tor-geoipdb, or name others by -source")
	}
	return all, nil
}

// notWorse keeps a file from being replaced by one of older or fewer databases.
func notWorse(d *territory.Data, path string) error {
	old, err := os.ReadFile(path) //nolint:gosec // the administrator names it
	if err != nil {
		return nil // there is none
	}
	before, err := territory.Read(old, nil)
	if err != nil {
		return nil // it is of no use anyway
	}
	if len(d.Sources) < len(before.Sources) {
		return fmt.Errorf("the file that is there has %d independent databases, this would have %d; remove it first if you mean it", len(before.Sources), len(d.Sources))
	}
	for _, s := range before.Sources {
		if slices.ContainsFunc(d.Sources, func(n territory.Source) bool { return n.Family == s.Family && n.Date.Before(s.Date) }) {
			return fmt.Errorf("the file that is there has %s of %s, which is newer; remove it first if you mean it", s.Name, s.Date.Format(time.DateOnly))
		}
	}
	return nil
}

// notice names the databases, as their licences ask.
func notice(d *territory.Data) string {
	var sb strings.Builder
	sb.WriteString("This file of territories was made by `rempart geo build` from the databases below, whose licences apply to it.\n")
	for _, s := range append(slices.Clone(d.Sources), d.Operators) {
		if s.Name == "" {
			continue // no database has numbers of networks
		}
		fmt.Fprintf(&sb, "\n%s of %s: %s\n  Licence: %s\n  SHA-256: %s\n", s.Name, s.Date.Format(time.DateOnly), s.Notice, s.Licence, s.SHA256)
	}
	return sb.String()
}

func geoShow(_ context.Context, args []string, c console) error {
	f := flags("geo show")
	if err := f.Parse(args); err != nil || f.NArg() < 1 {
		return errUsage
	}
	b, err := os.ReadFile(f.Arg(0))
	if err != nil {
		return err
	}
	d, err := territory.Read(b, nil)
	if err != nil {
		return err
	}
	c.say("built %s, signed by %s, %d KiB in memory, digest %s", d.Built.Format(time.RFC3339), territory.SignedBy(b), d.Size()>>10, d.Digest)
	for _, s := range d.Sources {
		c.say("  countries: %s of %s (%s)", s.Name, s.Date.Format(time.DateOnly), s.Licence)
	}
	if d.Operators.Name == "" {
		c.say("  networks: none: the operators of addresses are not known")
	} else {
		c.say("  networks: %s of %s", d.Operators.Name, d.Operators.Date.Format(time.DateOnly))
	}
	operators, err := territory.MakeOperators(territory.KnownOperators())
	if err != nil {
		return err
	}
	for _, text := range f.Args()[1:] {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return err
		}
		p := d.Find(a.Unmap())
		who := "operator not in the list"
		if o := operators[p.ASN]; o != nil {
			who = o.Name + ", " + o.Class
		}
		c.say("%s: %v, AS%d (%s)%s", a, p.Countries[:len(d.Sources)], p.ASN, who, when(p.Flags&territory.Anycast != 0, ", at many places at once", ""))
	}
	return nil
}

func geoVerify(_ context.Context, args []string, c console) error {
	f := flags("geo verify")
	trust := f.String("trust", "", "public key as `geo build` prints it")
	words, err := parse(f, args, 1)
	if err != nil {
		return err
	}
	key, err := base64.StdEncoding.DecodeString(*trust)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("-trust %q is no public key; `geo build` and `geo show` print that of a file", *trust)
	}
	b, err := os.ReadFile(words[0])
	if err != nil {
		return err
	}
	d, err := territory.Read(b, []ed25519.PublicKey{key})
	if err != nil {
		return err
	}
	c.say("%s is whole and signed by that key; built %s.", words[0], d.Built.Format(time.RFC3339))
	return nil
}
