package territory

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// Kinds lists the databases that can be read: by name, the files of each within its folder.
func Kinds() map[string][]string {
	return map[string][]string{
		"libloc": {"location.db"},
		"geoip":  {"GeoIP.dat", "GeoIPv6.dat"},
		"tor":    {"geoip", "geoip6"},
		"iploc":  {"ipv4be.bin", "ipv4.txt", "ipv6be.gz", "ipv6.txt"},
	}
}

// DebianFolders is where Debian's packages put their databases.
func DebianFolders() map[string]string {
	return map[string]string{
		"libloc": "/usr/share/libloc-location", "geoip": "/usr/share/GeoIP", "tor": "/usr/share/tor",
	}
}

// ReadSource reads one database: a folder by its kind, or for "mmdb" a file in the MaxMind format.
func ReadSource(kind, path string) (Ranges, error) {
	names, ok := Kinds()[kind]
	if kind == "mmdb" {
		names, ok, path = []string{filepath.Base(path)}, true, filepath.Dir(path)
	}
	if !ok {
		return Ranges{}, fmt.Errorf("there is no kind of database %q", kind)
	}
	var files [][]byte
	sum := sha256.New()
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(path, name)) //nolint:gosec // the administrator names the folder
		if err != nil {
			return Ranges{}, err
		}
		sum.Write(b)
		files = append(files, b)
	}
	r, err := parse(kind, path, files)
	if err != nil {
		return r, fmt.Errorf("%s in %s: %w", kind, path, err)
	}
	if r.SHA256 = hex.EncodeToString(sum.Sum(nil)); !ordered(r) {
		return r, fmt.Errorf("%s in %s: its ranges are not in order", kind, path)
	}
	return r, nil
}

func parse(kind, path string, files [][]byte) (Ranges, error) {
	switch kind {
	case "libloc":
		return readLOC(files[0])
	case "geoip":
		return readLegacy(files[0], files[1])
	case "tor":
		return readTor(files[0], files[1])
	case "iploc":
		date, err := versionDate(path)
		if err != nil {
			return Ranges{}, err
		}
		return readIPLoc(files[0], files[1], files[2], files[3], date)
	}
	return readMMDB(files[0])
}

// versionDate finds the date in the version of a Go module's folder.
func versionDate(path string) (time.Time, error) {
	b, err := os.ReadFile(filepath.Join(path, "version.go")) //nolint:gosec // as above
	found := regexp.MustCompile(`"v\d+\.\d+\.(\d{8})"`).FindSubmatch(b)
	if err != nil || found == nil {
		return time.Time{}, errors.Join(errors.New("no date in version.go"), err)
	}
	return time.Parse("20060102", string(found[1]))
}

func ordered(r Ranges) bool {
	return slices.IsSortedFunc(r.V4, func(a, b Range4) int { return int(int64(a.Start) - int64(b.Start)) }) &&
		slices.IsSortedFunc(r.V6, func(a, b Range6) int {
			switch {
			case a.Start < b.Start:
				return -1
			case a.Start > b.Start:
				return 1
			}
			return 0
		})
}
