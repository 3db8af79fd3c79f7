package config

import (
	_ "embed" // for the commented file
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed default.yaml
var commented string

// Commented is the configuration file of a first start, for a server of this name.
func Commented(serverName string) string {
	return strings.Replace(commented, "name: localhost\n", "name: "+serverName+"\n", 1)
}

// Create writes the commented file at path, and its folder, unless a file is there already. It reports whether it did.
func Create(path, serverName string) (bool, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, fmt.Errorf("create data folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("create configuration: %w", err)
	}
	_, err = f.WriteString(Commented(serverName))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return false, fmt.Errorf("write configuration: %w", err)
	}
	return true, nil
}
