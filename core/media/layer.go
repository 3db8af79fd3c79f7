package media

import (
	"errors"
	"io"
	"os"
)

// layer is what a [Disk] does to the file system. Tests put a layer in its place that loses what was not synced.
type layer interface {
	// Create makes a new file; it fails when there is one.
	Create(path string) (openFile, error)
	Rename(from, to string) error
	Mkdir(path string) error
	Remove(path string) error
	// SyncDir returns when the names in a folder are on disk.
	SyncDir(path string) error
}

// openFile is a file that is being written.
type openFile interface {
	io.WriteCloser
	Sync() error
}

// osFiles is the operating system.
type osFiles struct{}

func (osFiles) Create(path string) (openFile, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}
func (osFiles) Rename(from, to string) error { return os.Rename(from, to) }
func (osFiles) Mkdir(path string) error      { return os.Mkdir(path, 0o700) }
func (osFiles) Remove(path string) error     { return os.Remove(path) }

func (osFiles) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
