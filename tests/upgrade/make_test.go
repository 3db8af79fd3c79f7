package upgrade

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rempart/internal/testkit/live"
	"rempart/internal/testkit/mx"
	"rempart/internal/testkit/pgtest"
)

// TestMakeOldData makes testdata with the server that REMPART_OLD names; pg_dump is needed.
func TestMakeOldData(t *testing.T) {
	old, name := os.Getenv("REMPART_OLD"), os.Getenv("REMPART_OLD_NAME")
	if old == "" || name == "" {
		t.Skip("REMPART_OLD and REMPART_OLD_NAME name no older server")
	}
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			o := live.Options{Binary: old, Dir: t.TempDir()}
			if engine == "postgres" {
				o.Postgres = pgtest.New(t)
			}
			server := live.Start(t, o)
			k := tell(t, server.URL)
			k.Answers = map[string]string{}
			for _, l := range k.looks() {
				text, err := k.answer(t.Context(), l)
				if err != nil || text == "null" || text == "[]" {
					t.Errorf("%s: %s %v", l.name, text, err)
				}
				k.Answers[l.name] = text
			}
			server.Stop()
			raw, err := json.MarshalIndent(k, "", " ")
			mx.Must(t, err)
			mx.Must(t, os.WriteFile(filepath.Join(o.Dir, "told.json"), raw, 0o600))
			if engine == "postgres" {
				cmd := exec.Command("pg_dump", "--dbname="+o.Postgres, "--inserts", "--no-owner", "--no-privileges", "--file="+filepath.Join(o.Dir, dump))
				if said, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v %s", err, said)
				}
			}
			if !t.Failed() {
				pack(t, o.Dir, filepath.Join("testdata", name+"-"+engine+".tar.gz"))
			}
		})
	}
}

// load fills an empty database. Lines that begin with a backslash are psql's own.
func load(t *testing.T, url, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	mx.Must(t, err)
	var text strings.Builder
	for line := range strings.Lines(string(raw)) {
		if !strings.HasPrefix(line, `\`) {
			text.WriteString(line)
		}
	}
	mx.Must(t, pgtest.Run(t.Context(), url, text.String()))
}

// pack writes the files of a folder into a tar, without the configuration and the lock, which belong to one process.
func pack(t *testing.T, dir, file string) {
	t.Helper()
	f, err := os.Create(file)
	mx.Must(t, err)
	zip := gzip.NewWriter(f)
	to := tar.NewWriter(zip)
	mx.Must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || e.Name() == "rempart.yaml" || e.Name() == "rempart.lock" {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		return errors.Join(err, to.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(raw))}), wholly(to, raw))
	}))
	mx.Must(t, errors.Join(to.Close(), zip.Close(), f.Close()))
}

func wholly(to io.Writer, raw []byte) error {
	_, err := to.Write(raw)
	return err
}

// unpack puts the files of a tar into a folder.
func unpack(t *testing.T, file, dir string) {
	t.Helper()
	f, err := os.Open(file)
	mx.Must(t, err)
	defer func() { _ = f.Close() }()
	zip, err := gzip.NewReader(f)
	mx.Must(t, err)
	for from := tar.NewReader(zip); ; {
		h, err := from.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		mx.Must(t, err)
		raw, err := io.ReadAll(from)
		mx.Must(t, err)
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		mx.Must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		mx.Must(t, os.WriteFile(path, raw, 0o600))
	}
}
