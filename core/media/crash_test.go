package media

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"rempart/internal/testkit/killed"
	"rempart/internal/testkit/pgtest"
	"rempart/storage"
	"rempart/storage/storagetest"
)

const (
	crashURL = "REMPART_MEDIA_CRASH_URL" // set in the process that is killed
	crashDir = "REMPART_MEDIA_CRASH_DIR"
)

// TestKilledProcessesKeepWhatTheyAcknowledged kills an uploading process again and again, sweeps what it left, and
// reads all that it had acknowledged.
func TestKilledProcessesKeepWhatTheyAcknowledged(t *testing.T) {
	kills := 3
	if os.Getenv("REMPART_PROVE") == "1" {
		kills = 50
	}
	pgtest.EachFilled(t, storagetest.Migrate, func(t *testing.T, url string) {
		dir := t.TempDir()
		acknowledged := map[string]string{} // digest by id
		for round := range kills {
			for _, upload := range killed.Child(t, "TestCrashChild", []string{crashURL + "=" + url, crashDir + "=" + dir}, 20+round*7) {
				id, digest, _ := strings.Cut(upload, " ")
				acknowledged[id] = digest
			}
			db := storagetest.Open(t, storage.Options{URL: url})
			r := newRig(t, db, dir, nil)
			r.ageAll()
			swept := r.sweep()
			for id, digest := range acknowledged {
				if data, err := r.content(Address{"hs1", id}); err != nil || hexDigest(data) != digest {
					t.Fatalf("round %d: %s was acknowledged, but %v (%d bytes)", round, id, err, len(data))
				}
			}
			r.Close()
			t.Logf("round %d: %d acknowledged so far, %d files swept", round, len(acknowledged), swept)
		}
	})
}

func hexDigest(data []byte) string {
	d := sha256.Sum256(data)
	return hex.EncodeToString(d[:])
}

// TestCrashChild uploads until it is killed. Every third file has content that others have too.
func TestCrashChild(t *testing.T) {
	url := os.Getenv(crashURL)
	if url == "" {
		t.Skip("runs in the process that is killed")
	}
	r := newRig(t, storagetest.Open(t, storage.Options{URL: url}), os.Getenv(crashDir), func(o *Options) { o.Quota = 0 })
	var count atomic.Uint64
	failed := make(chan error)
	for worker := range 4 {
		go func() {
			for {
				n := count.Add(1)
				if n%3 == 0 {
					n = 3
				}
				data := someBytes(int(n%7)*50_000+10, n)
				if n != 3 {
					copy(data, fmt.Sprint(os.Getpid(), n))
				}
				a, err := r.Upload(context.Background(), user(int64(worker)), file(data))
				if err != nil {
					failed <- err
					return
				}
				if err := killed.Done(a.ID + " " + hexDigest(data)); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	t.Fatal(<-failed)
}
