package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"rempart/config"
	"rempart/internal/matrix"
	"rempart/internal/metrics"
	"rempart/policy"
)

// policyCommands are those about where data may go.
func policyCommands() []command {
	return []command{
		{"policy init", "FILE", "write a policy file that explains itself and talks to nobody", policyInit},
		{"policy points", "", "list what the policy decides about, in English and French", policyPoints},
		{"policy lint", "[-config FILE] [-policy FILE]", "check a policy and say what deserves a second thought", policyLint},
		{"policy explain", "[-config FILE] [-policy FILE] [-address IP] [-data KIND] [-tenant SERVER] POINT NAME", "say step by step how one thing is decided", policyExplain},
		{"policy what-if", "[-config FILE] [-since DATE [-until DATE]] [-policy] FILE", "say what another policy would decide differently, also of what was recorded since a day", policyWhatIf},
		{"export nft", "[-config FILE] [-policy FILE] [-user NAME]", "print rules for nftables: what the policy can never admit, the machine refuses too", exportNFT},
		{"policy attest", "[-config FILE] STATEMENT", "sign what this server states of itself (JSON), for a partner", policyAttest},
		{"policy countersign", "-name NAME -key FILE ATTESTATION", "sign a partner's statement as an authority; makes the key at first", policyCountersign},
	}
}

func policyInit(_ context.Context, args []string, c console) error {
	words, err := parse(flags("policy init"), args, 1)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(words[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(policy.Commented())
	if err = errors.Join(err, f.Close()); err == nil {
		c.say("%s is written; name it in the configuration: policy.file.", words[0])
	}
	return err
}

func policyPoints(_ context.Context, args []string, c console) error {
	if _, err := parse(flags("policy points"), args, 0); err != nil {
		return err
	}
	for _, p := range policy.Points() {
		c.say("%-16s %s\n%-16s %s", p.Point, p.EN, "", p.FR)
	}
	return nil
}

// chosenPolicy is the policy of -policy, or that of the configuration.
func chosenPolicy(file, configFile string) (*policy.Generation, error) {
	if file != "" {
		return readPolicy(file)
	}
	cfg, err := loadConfig(configFile)
	if err != nil {
		return nil, err
	}
	return loadPolicy(cfg)
}

func policyLint(ctx context.Context, args []string, c console) error {
	f := flags("policy lint")
	named, file := configFlag(f), f.String("policy", "", "policy file")
	if _, err := parse(f, args, 0); err != nil {
		return err
	}
	g, err := chosenPolicy(*file, *named)
	if err != nil {
		return err
	}
	c.say("The policy is correct; its digest is %s.", g.Digest)
	notes := g.Lint(time.Now())
	if cfg, err := loadConfig(*named); err == nil { // a policy may be looked at where no server is
		notes = append(notes, lintWithConfig(ctx, g, cfg)...)
	}
	for _, line := range notes {
		c.say("  note: %s", line)
	}
	return nil
}

func policyExplain(_ context.Context, args []string, c console) error {
	f := flags("policy explain")
	named, file := configFlag(f), f.String("policy", "", "policy file")
	address, data := f.String("address", "", "address that would be dialled"), f.String("data", "", "kind of data")
	tenant := f.String("tenant", "", "which of our servers asks")
	words, err := parse(f, args, 2)
	if err != nil {
		return err
	}
	g, err := chosenPolicy(*file, *named)
	if err != nil {
		return err
	}
	facts, err := factsAbout(words[0], words[1], *address, *data)
	if err != nil {
		return err
	}
	facts.Tenant = matrix.ServerName(*tenant)
	for _, line := range g.Explain(facts) {
		c.say("%s", line)
	}
	return nil
}

// knownServers are the names of the servers that the database knows.
func knownServers(ctx context.Context, cfg *config.Config) (names []string, err error) {
	if _, err := os.Stat(cfg.Database.Path); cfg.Database.URL == "" && err != nil {
		return nil, nil // nothing has run here yet
	}
	g, err := openGround(ctx, cfg, slog.New(slog.DiscardHandler), metrics.New())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	list, err := g.db.ListServerNames(ctx)
	for name := range list {
		names = append(names, string(name))
	}
	return names, err
}

// policyAttest signs a statement with this server's key, which it adds to it.
func policyAttest(_ context.Context, args []string, c console) error {
	f := flags("policy attest")
	cfg, words, err := configured(f, args, 1)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(words[0])
	if err != nil {
		return err
	}
	var a policy.Attestation
	if err := json.Unmarshal(raw, &a); err != nil {
		return fmt.Errorf("%s: %w", words[0], err)
	}
	own, err := matrix.ReadSigningKeyFile(cfg.Server.SigningKey, matrix.ServerName(cfg.Server.Name))
	if err != nil {
		return err
	}
	key := own[0]
	public, _ := key.Private.Public().(ed25519.PublicKey)
	a.Keys = map[string]string{key.KeyID: base64.RawStdEncoding.EncodeToString(public)}
	signed, err := a.Sign(key)
	if err == nil {
		c.say("%s", signed)
	}
	return err
}

func policyCountersign(_ context.Context, args []string, c console) error {
	f := flags("policy countersign")
	name, file := f.String("name", "", "name of the authority"), f.String("key", "", "file of its key")
	words, err := parse(f, args, 1)
	if err != nil {
		return err
	}
	if *name == "" || *file == "" {
		return errUsage
	}
	key, public, err := plainKey(*file)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(words[0])
	if err != nil {
		return err
	}
	signed, err := policy.Countersign(raw, *name, key)
	if err != nil {
		return err
	}
	c.say("%s", signed)
	_, _ = fmt.Fprintf(c.err, "For policies that believe you: {name: %s, key: %q}\n", *name, public)
	return nil
}
