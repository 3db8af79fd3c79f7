package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestBackupWhileOthersWrite(t *testing.T) {
	dir := t.TempDir()
	r := openRig(t, Options{URL: filepath.Join(dir, "rempart.db")})
	stop := make(chan struct{})
	begun := make(chan int64, 4)
	var wait sync.WaitGroup
	for w := range int64(4) {
		wait.Go(func() {
			for i := int64(0); ; i++ {
				id := w*1_000_000 + i
				c := &Change{}
				at := c.Live(Live{Kind: KindProfile}) + 1
				c.Add(&sample{At: At{Live: at}, id: id, text: fmt.Sprint(id), data: make([]byte, 500)})
				if err := r.Commit(context.Background(), c); err != nil {
					t.Error(err)
					return
				}
				if i == 20 {
					begun <- w
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	before := map[int64]bool{}
	for range 4 {
		w := <-begun
		for i := range int64(21) {
			before[w*1_000_000+i] = true
		}
	}
	file := filepath.Join(dir, "copy.db")
	err := r.Backup(t.Context(), file)
	close(stop)
	wait.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy: %v, %v", info.Mode(), err)
	}
	checkAfterCrash(t, file, before)
	if err := r.Backup(t.Context(), file); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second copy of that name: %v", err)
	}
}
