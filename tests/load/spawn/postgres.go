package spawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// startPostgres makes a database cluster below dir and starts it on a Unix
// socket. Its durability settings stay as they are: fsync is part of the price.
func startPostgres(ctx context.Context, dir string) (*process, string, error) {
	initdb, err := findTool("initdb")
	if err != nil {
		return nil, "", err
	}
	bin := filepath.Dir(initdb)
	home := filepath.Join(dir, "postgres")
	as, err := postgresFolder(home)
	if err != nil {
		return nil, "", err
	}
	data := filepath.Join(home, "data")
	err = tool(ctx, as, home, initdb, "-D", data, "-U", "rempart", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions")
	if err != nil {
		return nil, "", err
	}
	p, err := launch(filepath.Join(dir, "postgres.log"), syscall.SIGINT, as, filepath.Join(bin, "postgres"),
		"-D", data, "-k", home, "-c", "listen_addresses=", "-c", "max_connections=100")
	if err != nil {
		return nil, "", err
	}
	ready := func() error { return tool(ctx, as, home, filepath.Join(bin, "pg_isready"), "-q", "-h", home) }
	if err = p.await(ctx, ready); err == nil {
		err = tool(ctx, as, home, filepath.Join(bin, "createdb"), "-h", home, "-U", "rempart", "rempart")
	}
	if err != nil {
		p.stop()
		return nil, "", err
	}
	return p, "postgres:///rempart?host=" + home + "&user=rempart&sslmode=disable", nil
}

// postgresFolder makes the folder, owned by the user that PostgreSQL runs as:
// its initdb refuses root.
func postgresFolder(home string) (*syscall.Credential, error) {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(home, int(uid), int(gid)); err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// findTool finds a program of PostgreSQL; Debian keeps them off the PATH. A link
// is followed, since its neighbours are needed too.
func findTool(name string) (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if slices.Sort(found); len(found) > 0 {
		return found[len(found)-1], nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", errors.New("PostgreSQL is not installed (Debian: apt-get install postgresql)")
	}
	return filepath.EvalSymlinks(path)
}

func tool(ctx context.Context, as *syscall.Credential, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, out)
	}
	return nil
}
