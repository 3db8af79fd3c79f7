package authrules_test

import (
	"testing"

	"rempart/internal/matrix"
	"rempart/internal/matrix/authrules"
)

// TestMessageAllocatesNothing: the rules for a plain message cost no memory once the state's contents are parsed.
func TestMessageAllocatesNothing(t *testing.T) {
	v := version(t, "12")
	r := newRoom(t, v)
	e := event(t, v, "x", "m.room.message", "-", user, `{"body":"hello"}`)
	var s authrules.State = r
	if n := testing.AllocsPerRun(100, func() { _ = authrules.Check(e, s) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkCheckMessage(b *testing.B) {
	v := version(b, "12")
	r := newRoom(b, v)
	e := event(b, v, "x", "m.room.message", "-", user, `{"body":"hello"}`)
	b.ReportAllocs()
	for b.Loop() {
		if authrules.Check(e, r) != nil {
			b.Fatal("refused")
		}
	}
}

// FuzzCheck: whatever contents a server signs, the rules answer.
func FuzzCheck(f *testing.F) {
	f.Add(byte(12), "m.room.member", other, `{"membership":"join"}`, `{"users":{"@a:b":1}}`, `{"additional_creators":["x"]}`, `{"join_rule":"public"}`)
	f.Add(byte(3), "m.room.power_levels", "", `{"users":{"@a:b":"1.5"},"ban":1e400}`, `{"users":[]}`, `{"creator":3}`, `{"join_rule":7}`)
	f.Add(byte(10), "m.room.member", user, `{"membership":"invite","third_party_invite":{"signed":{"mxid":"`+user+`","token":"t","signatures":{"a":{"ed25519:1":"x"}}}}}`, `{`, `null`, ``)
	f.Add(byte(1), "m.room.redaction", "-", `[]`, `0`, `"`, `{"allow":[{}]}`)
	f.Fuzz(func(t *testing.T, n byte, typ, key, content, levels, create, rules string) {
		versions := matrix.Versions()
		v := versions[int(n)%len(versions)]
		loose := func(typ, key, content string) *matrix.Event {
			e := &matrix.Event{ID: "$create", RoomID: "!create", Sender: user, Type: typ, Content: []byte(content), Version: v, PrevEvents: []matrix.EventID{"$create"}}
			if key != "-" {
				e.StateKey = &key
			}
			return e
		}
		r := room{}
		for _, e := range []*matrix.Event{
			loose("m.room.create", "", create), loose("m.room.power_levels", "", levels), loose("m.room.join_rules", "", rules),
			loose("m.room.member", user, `{"membership":"join"}`), loose("m.room.third_party_invite", "t", content),
		} {
			r.set(e)
		}
		e := loose(typ, key, content)
		_ = authrules.Check(e, r)
		authrules.NeededBy(e)
		authrules.NeededAuthTypes(e.Sender, e.Type, e.StateKey, e.Content, v)
		first := authrules.Check(r[matrix.StateTuple{Type: "m.room.create"}], r)
		if second := authrules.Check(r[matrix.StateTuple{Type: "m.room.create"}], r); (first == nil) != (second == nil) {
			t.Error("the same question has two answers")
		}
		_ = authrules.CheckAgainstOwnAuthEvents(e, []*matrix.Event{r[matrix.StateTuple{Type: "m.room.create"}]})
	})
}
