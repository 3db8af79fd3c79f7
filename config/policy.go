package config

import "os"

// Policy names the file that says where data may go. Without one, the short settings of federation, push and previews do.
type Policy struct {
	File string `key:"file"`
}

// checkPolicy keeps one thing from being decided at two places.
func (c *Config) checkPolicy(say sayer) {
	if c.Policy.File == "" {
		return
	}
	if _, err := os.Stat(c.Policy.File); err != nil {
		say("policy.file: the file %s cannot be opened.", c.Policy.File)
	}
	for key, set := range map[string]bool{
		"federation.allow": len(c.Federation.Allow) > 0, "federation.allow_private": c.Federation.AllowPrivate, "push.allow": len(c.Push.Allow) > 0,
		"push.allow_private": c.Push.AllowPrivate, "previews.allow": len(c.Previews.Allow) > 0, "previews.allow_private": c.Previews.AllowPrivate,
	} {
		if set {
			say("%s: policy.file decides this; take it out here.", key)
		}
	}
}
