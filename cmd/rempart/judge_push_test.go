package main

import (
	"fmt"
	"testing"

	"rempart/gateway/pushgateway"
	"rempart/internal/egress"
	"rempart/policy"
)

// BenchmarkRejudgeGateways judges 50,000 push gateways, of which the policy refuses half, as after a reload.
func BenchmarkRejudgeGateways(b *testing.B) {
	allow := make([]string, 25)
	for i := range allow {
		allow[i] = fmt.Sprintf("push%d.fr", i)
	}
	j := judgeOf(b, policy.Simple{Push: allow})
	out := egress.New(egress.Options{Judge: j})
	b.Cleanup(func() { _ = out.Close() })
	gates := namedGateways{pushgateway.New(out, "x"), j}
	for b.Loop() {
		refused := 0
		for i := range 50_000 {
			if gates.Admit(b.Context(), fmt.Sprintf("https://push%d.fr/_matrix/push/v1/notify?up=%d", i%50, i)) != nil {
				refused++
			}
		}
		if refused != 25_000 {
			b.Fatalf("%d are refused", refused)
		}
	}
}
