package media

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// List walks the folders one by one, so that it holds the names of one at a time.
func (d *Disk) List(ctx context.Context, fn func(tenant int64, prefix []byte, digests [][]byte) error) error {
	tenants, err := names(d.root)
	if err != nil {
		return fmt.Errorf("list media: %w", err)
	}
	for _, name := range tenants {
		tenant, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			continue // tmp and away
		}
		if err := d.listTenant(ctx, tenant, fn); err != nil {
			return fmt.Errorf("list media: %w", err)
		}
	}
	return nil
}

func (d *Disk) listTenant(ctx context.Context, tenant int64, fn func(int64, []byte, [][]byte) error) error {
	root := filepath.Join(d.root, strconv.FormatInt(tenant, 10))
	firsts, err := names(root)
	if err != nil {
		return err
	}
	for _, first := range firsts {
		seconds, err := names(filepath.Join(root, first))
		if err != nil {
			return err
		}
		for _, second := range seconds {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			prefix, err := hex.DecodeString(first + second)
			if err != nil {
				continue
			}
			digests, err := digestsIn(filepath.Join(root, first, second))
			if err != nil || len(digests) == 0 {
				continue
			}
			if err := fn(tenant, prefix, digests); err != nil {
				return err
			}
		}
	}
	return nil
}

// names lists a folder; one that is gone has nothing.
func names(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, ignoreMissing(err)
	}
	list, err := f.Readdirnames(-1)
	return list, errors.Join(err, f.Close())
}

func digestsIn(path string) ([][]byte, error) {
	list, err := names(path)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, name := range list {
		if digest, err := hex.DecodeString(name); err == nil && len(digest) == 32 {
			out = append(out, digest)
		}
	}
	return out, nil
}

// Clean removes old unfinished files, and puts back what a deletion moved away and left there.
func (d *Disk) Clean(_ context.Context, before time.Time) error {
	tmp := filepath.Join(d.root, "tmp")
	list, err := names(tmp)
	if err != nil {
		return fmt.Errorf("clean media: %w", err)
	}
	var errs []error
	for _, name := range list {
		path := filepath.Join(tmp, name)
		if old, err := olderThan(path, before); err != nil || !old {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, ignoreMissing(d.files.Remove(path)))
	}
	return errors.Join(append(errs, d.putBack(before))...)
}

// putBack gives files that a deletion moved away their names again: the process that was to decide has ended. With an
// instant, only those that were put before it.
func (d *Disk) putBack(before time.Time) error {
	list, err := names(filepath.Join(d.root, "away"))
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range list {
		number, text, _ := strings.Cut(name, "-")
		tenant, err := strconv.ParseInt(number, 10, 64)
		digest, bad := hex.DecodeString(text)
		if err != nil || bad != nil || len(digest) != 32 {
			continue
		}
		path := filepath.Join(d.root, "away", name)
		if old, err := olderThan(path, before); !before.IsZero() && (err != nil || !old) {
			continue
		}
		errs = append(errs, ignoreMissing(d.move(path, d.path(tenant, digest))))
	}
	return errors.Join(errs...)
}
