package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"rempart/internal/matrix"
)

// newAccount is what `user create` asks for.
type newAccount struct {
	User     matrix.UserID
	Password string
	Admin    bool
}

// userCreate makes an account in the database of the configuration; the server may run.
func userCreate(ctx context.Context, args []string, c console) error {
	f := flags("user create")
	admin := f.Bool("admin", false, "may administer the server")
	cfg, words, err := configured(f, args, 1)
	if err != nil {
		return err
	}
	user, err := accountName(words[0], cfg.Server.Name)
	if err != nil {
		return err
	}
	password, err := askPassword(c)
	if err != nil {
		return err
	}
	if err := createAccount(ctx, cfg, newAccount{User: user, Password: password, Admin: *admin}); err != nil {
		return err
	}
	c.say("%s can sign in now.", user)
	return nil
}

// accountName completes "alice" or "@alice" to "@alice:server".
func accountName(name, server string) (matrix.UserID, error) {
	local, domain, _ := strings.Cut(strings.TrimPrefix(name, "@"), ":")
	if domain != "" {
		server = domain
	}
	if !matrix.ValidLocalpart(local) {
		return "", fmt.Errorf("%q is no name for an account: use a-z, 0-9 and . _ = - / +", local)
	}
	return matrix.ParseUserID("@" + local + ":" + server)
}

// minPassword is the least length of a password.
const minPassword = 8

// askPassword reads a password: twice and unseen from a terminal, else one line.
func askPassword(c console) (string, error) {
	lines := bufio.NewReader(c.in)
	terminal := isTerminal(c.in)
	password, err := readSecret(c, lines, terminal, "Password: ")
	if err != nil {
		return "", err
	}
	if len(password) < minPassword {
		return "", fmt.Errorf("the password is too short: at least %d characters", minPassword)
	}
	if terminal {
		again, err := readSecret(c, lines, terminal, "Once more: ")
		if err != nil {
			return "", err
		}
		if again != password {
			return "", errors.New("the two passwords differ")
		}
	}
	return password, nil
}

// readSecret reads one line, with the terminal's echo off.
func readSecret(c console, lines *bufio.Reader, terminal bool, prompt string) (string, error) {
	if terminal {
		_, _ = fmt.Fprint(c.err, prompt)
		restore := echoOff(c.in)
		defer func() {
			restore()
			_, _ = fmt.Fprintln(c.err)
		}()
	}
	line, err := lines.ReadString('\n')
	if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
		return "", errors.New("no password was given")
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func isTerminal(in io.Reader) bool {
	f, ok := in.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// echoOff hides what is typed until the returned function is called.
func echoOff(in io.Reader) (restore func()) {
	f, ok := in.(*os.File)
	if !ok {
		return func() {}
	}
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return func() {}
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	_ = unix.IoctlSetTermios(fd, unix.TCSETS, &hidden) // at worst the password is seen
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }
}
