package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// manifestName is the file that lists a backup. It is written last, so a folder without it is no complete backup.
const manifestName = "manifest.json"

// manifest lists what a backup holds.
type manifest struct {
	Version    string         `json:"version"`
	ServerName string         `json:"server_name"`
	Created    string         `json:"created"`
	Files      []manifestFile `json:"files"`
}

type manifestFile struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// write lists every file of the folder with its digest. Folders are not listed: uploaded files bear their digests as names.
func (m *manifest) write(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("list backup: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		digest, err := digestOf(filepath.Join(folder, e.Name()))
		if err != nil {
			return err
		}
		m.Files = append(m.Files, manifestFile{Name: e.Name(), SHA256: digest})
	}
	m.Created = time.Now().UTC().Format(time.RFC3339)
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(folder, manifestName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// readManifest reads the list and checks every file against it.
func readManifest(folder string) (*manifest, error) {
	text, err := os.ReadFile(filepath.Join(folder, manifestName))
	if err != nil {
		return nil, fmt.Errorf("%s is no complete backup: %w", folder, err)
	}
	m := new(manifest)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestName, err)
	}
	for _, f := range m.Files {
		if f.Name != filepath.Base(f.Name) {
			return nil, fmt.Errorf("the backup lists %q, which is no plain file name", f.Name)
		}
		digest, err := digestOf(filepath.Join(folder, f.Name))
		if err != nil {
			return nil, err
		}
		if digest != f.SHA256 {
			return nil, fmt.Errorf("%s in the backup is damaged: its content is not what was written", f.Name)
		}
	}
	return m, nil
}

func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read backup: %w", err)
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read backup: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
