package main

import (
	"log/slog"
	"testing"

	"rempart/internal/matrix"
	"rempart/policy"
)

// A request of a partner whose place nobody knows, as behind a unix socket, is refused where there is a territory, and where there is none it is not.
func TestARequestFromNowhere(t *testing.T) {
	for text, admitted := range map[string]bool{
		"version: 1\nterritory: {within: [france], lab: true}\npartners: [{server: a.lab}]\n": false,
		"version: 1\npartners: [{server: a.lab}]\n":                                           true,
	} {
		g, err := policy.Compile([]byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		j := &judge{policy: policy.NewJudge(g), log: slog.New(slog.DiscardHandler)}
		if err := j.accept(t.Context(), "a.lab", "us.lab"); (err == nil) != admitted || err != nil && !matrix.HasCode(err, matrix.CodeForbidden) {
			t.Errorf("%s%v", text, err)
		}
	}
}
