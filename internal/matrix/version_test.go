package matrix

import "testing"

// The table against the room version pages, one row each: id format, resolution, redaction, then the flags in
// the order of the struct. Spec: rooms/#feature-matrix
func TestVersions(t *testing.T) {
	want := map[string][]any{
		"1":  {EventIDDomain, StateResV1, RedactionV1, "alias redaction float"},
		"2":  {EventIDDomain, StateResV2, RedactionV1, "alias redaction float"},
		"3":  {EventIDBase64, StateResV2, RedactionV1, "alias float"},
		"4":  {EventIDURLSafe, StateResV2, RedactionV1, "alias float"},
		"5":  {EventIDURLSafe, StateResV2, RedactionV1, "keys alias float"},
		"6":  {EventIDURLSafe, StateResV2, RedactionV6, "strict keys notifications"},
		"7":  {EventIDURLSafe, StateResV2, RedactionV6, "strict keys notifications knock"},
		"8":  {EventIDURLSafe, StateResV2, RedactionV8, "strict keys notifications knock restricted"},
		"9":  {EventIDURLSafe, StateResV2, RedactionV9, "strict keys notifications knock restricted"},
		"10": {EventIDURLSafe, StateResV2, RedactionV9, "strict keys notifications knock restricted knock_restricted integers"},
		"11": {EventIDURLSafe, StateResV2, RedactionV11, "strict keys notifications knock restricted knock_restricted integers implicit redacts"},
		"12": {EventIDURLSafe, StateResV21, RedactionV11, "strict keys notifications knock restricted knock_restricted integers implicit redacts privileged hash"},
	}
	if len(Versions()) != len(want) {
		t.Fatalf("%d versions", len(Versions()))
	}
	for id, row := range want {
		v, ok := Version(id)
		if !ok || !v.Stable || v.EventIDFormat != row[0] || v.StateRes != row[1] || v.RedactionAlgorithm != row[2] || flags(v) != row[3] {
			t.Errorf("version %s: %+v", id, v)
		}
	}
	if _, ok := Version("13"); ok {
		t.Error("version 13 is known")
	}
	if _, ok := Version(DefaultVersion); !ok {
		t.Error("the default version is unknown")
	}
}

func flags(v *RoomVersion) string {
	s := ""
	for _, f := range []struct {
		on   bool
		name string
	}{
		{v.StrictCanonicalJSON, "strict"}, {v.EnforceKeyValidity, "keys"}, {v.AliasAuth, "alias"}, {v.RedactionAuth, "redaction"},
		{v.NotificationsPL, "notifications"}, {v.KnockAllowed, "knock"}, {v.RestrictedJoins, "restricted"},
		{v.KnockRestricted, "knock_restricted"}, {v.IntegerPowerLevels, "integers"}, {v.FloatPowerLevels, "float"},
		{v.ImplicitRoomCreator, "implicit"}, {v.RedactsInContent, "redacts"}, {v.PrivilegedCreators, "privileged"},
		{v.RoomIDIsCreateHash, "hash"},
	} {
		if f.on {
			s += " " + f.name
		}
	}
	return s[min(1, len(s)):]
}

// What callers get is a copy: the table cannot be shortened or reordered through it.
func TestVersionsIsACopy(t *testing.T) {
	Versions()[0] = nil
	if v, ok := Version("1"); !ok || v == nil {
		t.Error("the table was changed")
	}
}
