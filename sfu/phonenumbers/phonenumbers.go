// Package phonenumbers stands in go.mod for the library of that name. LiveKit's packages read telephone numbers with it, for calls
// from telephones, which Rempart does not take. Why not the library: unpacking its tables when a process starts cost the server more
// than its own start does (22 of 50 ms, 2.5 MiB; docs/adr/0018).
package phonenumbers

import "errors"

// PhoneNumber is no number: none is ever read.
type PhoneNumber struct{}

// PhoneNumberType is what kind of line a number belongs to.
type PhoneNumberType int

// The kinds that LiveKit tells apart.
const (
	FIXED_LINE PhoneNumberType = iota
	MOBILE
	FIXED_LINE_OR_MOBILE
	TOLL_FREE
	UNKNOWN
)

var errNone = errors.New("telephone numbers are not read here")

// Parse refuses every number; LiveKit then treats it as one of unknown kind.
func Parse(string, string) (*PhoneNumber, error) { return nil, errNone }

// GetRegionCodeForNumber tells no region.
func GetRegionCodeForNumber(*PhoneNumber) string { return "" }

// GetNationalSignificantNumber tells no number.
func GetNationalSignificantNumber(*PhoneNumber) string { return "" }

// GetNumberType tells no kind.
func GetNumberType(*PhoneNumber) PhoneNumberType { return UNKNOWN }
