// Package policy decides where data may go: a pure function of a generation of the policy and of facts that callers bring.
//
// It owns the policy file, its rules and their words, and the attestations of partners. It opens no connection, reads no clock and no
// file: `cmd` reads files and hands their bytes over, and callers say what time it is. A [Generation] never changes; [Judge]
// holds the one in force, so that each decision comes from exactly one. Everything is refused that no rule admits; what is denied by name is
// refused whatever else admits it; a tenant's overlay may refuse more than the installation's policy, never less.
package policy
