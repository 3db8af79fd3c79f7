package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startWithin bounds how long a server may take to answer for the first time.
const startWithin = 60 * time.Second

// startCluster makes a cluster in a temporary folder, starts its server and leaves both to the watchdog.
func startCluster() (adminURL string, err error) {
	bin, err := findBinaries()
	if err != nil {
		return "", err
	}
	// Why not under TMPDIR: a unix socket's path is at most 107 bytes long.
	dir, err := os.MkdirTemp("/tmp", "rempart-pg-")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	own, err := ownUser(dir)
	if err != nil {
		return "", err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--locale=C",
		"--encoding=UTF8", "--no-sync", "--no-instructions", "--wal-segsize=4")
	initdb.SysProcAttr, initdb.Dir = own, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := serve(bin, dir, data, own); err != nil {
		return "", err
	}
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres",
		RawQuery: url.Values{"host": {dir}, "sslmode": {"disable"}}.Encode()}
	return u.String(), awaitServer(u.String())
}

// serve starts the server through the watchdog: a shell that waits for the end of a pipe which only this process
// holds open, then stops the server at once and removes the folder.
// Why a shell of its own session: it must outlive a panic, a kill and Ctrl-C of the test process.
func serve(bin, dir, data string, own *syscall.SysProcAttr) error {
	hold, lifeline, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = hold.Close() }()
	const script = `"$1/postgres" -D "$2" -k "$3" -c listen_addresses= -c max_connections=200 -c shared_buffers=64MB \
		-c max_wal_size=512MB -c log_min_messages=fatal -c autovacuum_naptime=5s </dev/null >"$3/log" 2>&1 &
pg=$!; cat >/dev/null; kill -INT $pg; n=0
while kill -0 $pg 2>/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n+1)); done
kill -QUIT $pg 2>/dev/null; wait $pg; rm -rf "$3"`
	dog := exec.Command("/bin/sh", "-c", script, "pgtest", bin, data, dir)
	dog.Stdin, dog.Dir = hold, "/"
	attr := *own
	attr.Setsid = true
	dog.SysProcAttr = &attr
	if err := dog.Start(); err != nil {
		return err
	}
	keepOpen(lifeline)
	return nil
}

// keepOpen hands the descriptor to the process itself: it is closed by the kernel when the process ends.
// Why: a finalizer of the file would close it and thereby stop the server in the middle of a test.
func keepOpen(f *os.File) {
	syscall.ForkLock.RLock() // no child may inherit it
	defer syscall.ForkLock.RUnlock()
	if fd, err := syscall.Dup(int(f.Fd())); err == nil {
		syscall.CloseOnExec(fd)
	}
	_ = f.Close()
}

func awaitServer(adminURL string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	for {
		err := Run(ctx, adminURL, "SELECT 1")
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// findBinaries gives the folder of the newest installed server.
func findBinaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		if path, err := exec.LookPath("initdb"); err == nil {
			return filepath.Dir(path), nil
		}
		return "", ErrNotInstalled
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	return filepath.Dir(found[0]), nil
}

// ownUser gives the attributes under which the server runs, and the folder to that user: PostgreSQL refuses root.
func ownUser(dir string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}
