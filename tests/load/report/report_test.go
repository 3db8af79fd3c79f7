package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func example() *Report {
	return &Report{Targets: []*Target{
		{Name: "ours", Engine: "sqlite", Results: []Result{
			{Scenario: "send8", Values: []Value{{"rate", "events/s", 2400}, {"server CPU per event", "ms", 0.31}}},
			{Scenario: "lonely", Error: "no answer", Notes: []string{"tried twice"}, Values: []Value{{"send p50", "ms", 1.5}}},
		}},
		{Name: "theirs", Results: []Result{{Scenario: "send8", Values: []Value{{"rate", "events/s", 64.25}, {"extra", "x", 1}, {"server CPU per event", "ms", 20}}}}},
	}}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := example().WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(b.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"scenario measure unit ours theirs goal Dendrite Synapse",
		"send8 rate events/s 2400! 64.25 >=2500 64 50",
		"send8 extra x - 1",
		"send8 server CPU per event ms 0.31 20 <=0.4 20 22",
		"lonely send p50 ms 1.50 - <=1.50",
		"ours, lonely: FAILED: no answer",
		"ours, lonely: tried twice",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("table\n%s", b.String())
	}
	if !example().Failed() {
		t.Error("a run with a failed scenario counts as good")
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 3: "3", 0.01234: "0.0123", 1.234: "1.23", 123.45: "123.5", 12345.6: "12346"} {
		if got := Number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

func TestGoalsBoundInTheRightDirection(t *testing.T) {
	for _, c := range []struct {
		g    goal
		v    float64
		want bool
	}{{atLeast(10), 9, false}, {atLeast(10), 10, true}, {atMost(10), 10, true}, {atMost(10), 11, false}, {goal{}, 1, true}} {
		if c.g.met(c.v) != c.want {
			t.Errorf("%s met by %v: %v", c.g, c.v, !c.want)
		}
	}
}

func TestJSONComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	if err := example().WriteJSON(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(text, &back); err != nil || back.Targets[0].Results[0].Values[0].Value != 2400 {
		t.Errorf("%v %+v", err, back)
	}
}
