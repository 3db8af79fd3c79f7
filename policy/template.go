package policy

import (
	_ "embed" // for the commented file
)

//go:embed default.yaml
var commented string

// Commented is a policy file in which every key is explained. As it stands it talks to nobody.
func Commented() string { return commented }
