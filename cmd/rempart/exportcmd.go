package main

import (
	"context"
	"fmt"
	"os/user"
	"strings"
	"time"

	"rempart/policy"
	"rempart/policy/territory"
)

// exportNFT prints a second barrier for the machine's own filter: what this policy can never admit, the system's user that runs the server cannot reach.
func exportNFT(_ context.Context, args []string, c console) error {
	f := flags("export nft")
	named, file := configFlag(f), f.String("policy", "", "policy file")
	who := f.String("user", "rempart", "the system's user that runs the server, by name or number")
	if _, err := parse(f, args, 0); err != nil {
		return err
	}
	g, err := chosenPolicy(*file, *named)
	if err != nil {
		return err
	}
	uid := *who
	if u, err := user.Lookup(uid); err == nil {
		uid = u.Uid
	}
	if strings.Trim(uid, "0123456789") != "" || uid == "" {
		return fmt.Errorf("there is no user %q on this machine: name one by -user", *who)
	}
	c.say("%s", nftRules(g, uid, time.Now()))
	return nil
}

// nftRules are the rules for what a user sends: networks that the policy denies are refused before all else; where it knows a territory, so is what is
// neither in it nor on this machine, in a private network or vouched for. Who connects to the server is answered: that is judged by the server alone.
func nftRules(g *policy.Generation, uid string, now time.Time) string {
	rules := g.Territory()
	v4, v6 := rules.Reach(now)
	admitted := spanTexts(v4, v6)
	more := []string{"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"}
	for _, p := range rules.Pins {
		more = append(more, p.Prefix.String())
	}
	for _, p := range rules.Internal {
		more = append(more, p.String())
	}
	admitted = append(admitted, more...)
	var denied []string
	for _, p := range rules.DenyNets {
		denied = append(denied, p.String())
	}
	var sb strings.Builder
	fmt.Fprintf(&sb, "# The policy %s, data about addresses %s. Load it by: nft -f FILE. Make it anew when either changes.\n", g.Digest, g.Geo)
	sb.WriteString("table inet rempart\ndelete table inet rempart\ntable inet rempart {\n")
	nftSets(&sb, "denied", denied)
	if !g.Anywhere() {
		nftSets(&sb, "admitted", admitted)
	}
	sb.WriteString("\tchain out {\n\t\ttype filter hook output priority filter; policy accept;\n")
	fmt.Fprintf(&sb, "\t\tmeta skuid != %s accept\n\t\tip daddr @denied4 counter reject\n\t\tip6 daddr @denied6 counter reject\n", uid)
	if !g.Anywhere() {
		sb.WriteString("\t\tct direction reply accept\n\t\tip daddr @admitted4 accept\n\t\tip6 daddr @admitted6 accept\n\t\tcounter reject\n")
	}
	sb.WriteString("\t}\n}")
	return sb.String()
}

// nftSets writes a set for each family of addresses.
func nftSets(sb *strings.Builder, name string, list []string) {
	for _, family := range []string{"4", "6"} {
		fmt.Fprintf(sb, "\tset %s%s {\n\t\ttype ipv%s_addr\n\t\tflags interval\n\t\tauto-merge\n", name, family, family)
		var mine []string
		for _, s := range list {
			if strings.Contains(s, ":") == (family == "6") {
				mine = append(mine, s)
			}
		}
		if len(mine) > 0 {
			fmt.Fprintf(sb, "\t\telements = { %s }\n", strings.Join(mine, ",\n\t\t\t"))
		}
		sb.WriteString("\t}\n")
	}
}

// spanTexts are spans as nft reads them.
func spanTexts(lists ...[]territory.Span) (out []string) {
	for _, list := range lists {
		for _, s := range list {
			out = append(out, s.From.String()+"-"+s.To.String())
		}
	}
	return out
}
