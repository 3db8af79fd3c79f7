package storage

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestPowerLossLosesNothingAcknowledged writes over a file layer that keeps a log, then looks at the database as it
// would be found had the power failed at some point of that log and all that was not synced been lost or torn.
func TestPowerLossLosesNothingAcknowledged(t *testing.T) {
	points, writes := 25, 40
	if os.Getenv("REMPART_PROVE") == "1" {
		points, writes = 400, 300
	}
	log := recordWrites(t, writes)
	acknowledged := map[int64]bool{}
	seen := 0
	for i := range points {
		until := len(log) * (i + 1) / points
		if i < points-1 {
			until -= rand.IntN(len(log)/points + 1)
		}
		for ; seen < until; seen++ {
			if log[seen].kind == 'a' {
				acknowledged[log[seen].at] = true
			}
		}
		if until < seen || len(acknowledged) == 0 {
			continue
		}
		dir := t.TempDir()
		afterPowerLoss(t, log[:until], dir)
		checkAfterCrash(t, filepath.Join(dir, "rempart.db"), acknowledged)
		if t.Failed() {
			t.Fatalf("power lost after %d of %d steps", until, len(log))
		}
		_ = os.RemoveAll(dir)
	}
	t.Logf("%d steps, %d acknowledged writes, %d points", len(log), len(acknowledged), points)
}

// recordWrites lets some writers write and gives the log of the file layer with their acknowledgements in it.
func recordWrites(t *testing.T, each int) []fileOp {
	t.Helper()
	registerRecorder()
	path := filepath.Join(t.TempDir(), "rempart.db")
	r := openRig(t, Options{URL: path, vfs: recorderName})
	fileOp{file: path + "-journal", kind: 's'}.record() // Open has synced the folder, past the file layer
	var wait sync.WaitGroup
	const writers = 8
	for w := range int64(writers) {
		wait.Go(func() {
			for i := range int64(each) {
				id := w*1_000_000 + i
				c := &Change{}
				at := c.Live(Live{Kind: KindProfile, User: 1}) + 1
				c.Add(&sample{At: At{Live: at}, id: id, text: fmt.Sprint(id), data: make([]byte, 3000)})
				if err := r.Commit(context.Background(), c); err != nil {
					t.Error(err)
					return
				}
				fileOp{kind: 'a', at: id}.record()
			}
		})
	}
	wait.Wait()
	recorder.mu.Lock()
	defer recorder.mu.Unlock()
	log := recorder.log
	recorder.log = nil
	return log
}
