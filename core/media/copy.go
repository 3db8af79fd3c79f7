package media

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Copied is what a copy of a media folder came to.
type Copied struct {
	Files, Bytes int64
	// Damaged are files whose content is not what their name says; they are not copied.
	Damaged []string
}

// Copy copies the files of a media folder, which a server may be using, to another; what is there already stays. With
// link a file gets a second name instead, wherever both folders are on one file system: files never change, and a
// deletion takes away just one name. A copy that is no link is checked against the file's name, its digest.
// It returns when all is on disk.
func Copy(ctx context.Context, from, to string, link bool) (Copied, error) {
	c := &copying{from: diskAt(from, osFiles{}), to: diskAt(to, osFiles{}), link: link}
	for _, dir := range []string{to, filepath.Join(to, "tmp")} {
		if err := c.to.makeDir(dir); err != nil {
			return c.Copied, fmt.Errorf("copy media: %w", err)
		}
	}
	// Why twice: a deletion that comes to nothing takes a file away for a moment, and may do so just when it is looked for.
	for range 2 {
		err := c.from.List(ctx, func(tenant int64, _ []byte, digests [][]byte) error { return c.group(ctx, tenant, digests) })
		if err == nil {
			err = c.away(ctx)
		}
		if err != nil {
			return c.Copied, err
		}
	}
	return c.Copied, c.to.files.SyncDir(filepath.Join(to, "tmp"))
}

type copying struct {
	Copied
	from, to *Disk
	link     bool
}

// group copies files that share a folder.
func (c *copying) group(ctx context.Context, tenant int64, digests [][]byte) error {
	for _, digest := range digests {
		if err := c.one(ctx, tenant, digest, c.from.path(tenant, digest)); err != nil {
			return fmt.Errorf("copy media: %w", err)
		}
	}
	return nil
}

// away copies what deletions are deciding upon: what is not put back is swept again.
func (c *copying) away(ctx context.Context) error {
	list, err := names(filepath.Join(c.from.root, "away"))
	if err != nil {
		return fmt.Errorf("copy media: %w", err)
	}
	for _, name := range list {
		number, text, _ := strings.Cut(name, "-")
		tenant, err := strconv.ParseInt(number, 10, 64)
		digest, bad := hex.DecodeString(text)
		if err != nil || bad != nil || len(digest) != 32 {
			continue
		}
		if err := c.one(ctx, tenant, digest, filepath.Join(c.from.root, "away", name)); err != nil {
			return fmt.Errorf("copy media: %w", err)
		}
	}
	return nil
}

// one copies one file. One that is gone was deleted, or is looked for elsewhere.
func (c *copying) one(ctx context.Context, tenant int64, digest []byte, from string) error {
	to := c.to.path(tenant, digest)
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	info, err := os.Stat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if c.link {
		err := c.to.makeDir(filepath.Dir(to))
		if err == nil {
			err = os.Link(from, to)
		}
		if err == nil {
			c.Files, c.Bytes = c.Files+1, c.Bytes+info.Size()
			return c.to.files.SyncDir(filepath.Dir(to))
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		c.link = false // another file system, or one without links
	}
	return c.stream(ctx, tenant, digest, from)
}

// stream copies the content of one file and checks it.
func (c *copying) stream(ctx context.Context, tenant int64, digest []byte, from string) error {
	in, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	blob, err := c.to.Put(ctx, tenant, in)
	if err != nil {
		return err
	}
	if !bytes.Equal(blob.Digest, digest) {
		if !c.seen(from) {
			c.Damaged = append(c.Damaged, from)
		}
		return nil // Why not removed: it is there under its true name, which another file may have too; the sweep knows
	}
	c.Files, c.Bytes = c.Files+1, c.Bytes+blob.Size
	return nil
}

func (c *copying) seen(path string) bool {
	for _, d := range c.Damaged {
		if d == path {
			return true
		}
	}
	return false
}
