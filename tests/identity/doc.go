// Package identity holds the tests of invitations by address, against an identity server in a process of its own.
package identity
