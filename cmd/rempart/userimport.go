package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"rempart/core/users"
	"rempart/internal/matrix"
)

// importColumns are the columns that a list of people may have; username is needed.
func importColumns() []string { return []string{"username", "email", "displayname", "language"} }

// userImport makes accounts without passwords from a list, and prints who gets which activation link.
func userImport(ctx context.Context, args []string, c console) error {
	f := flags("user import")
	server := f.String("server", "", "server name of the accounts")
	letters := f.Bool("mail", false, "send the links to those who have an address")
	links := f.String("links", "", "write the links to this new file instead of printing them")
	cfg, words, err := configured(f, args, 1)
	if err != nil {
		return err
	}
	people, err := readPeople(words[0])
	if err != nil {
		return err
	}
	if *server == "" {
		*server = cfg.Server.Name
	}
	fill := func(out io.Writer) (made int, err error) {
		err = withAccounts(ctx, cfg, func(s *users.Service) error {
			if !s.Local(matrix.ServerName(*server)) {
				return fmt.Errorf("%s is no server name of this installation", *server)
			}
			list, err := s.Import(ctx, operator+" user import", matrix.ServerName(*server), people, *letters)
			if made = len(list); made > 0 {
				err = errors.Join(err, writeLinks(out, list))
			}
			return err
		})
		return made, err
	}
	made := 0
	if *links == "" {
		made, err = fill(c.out)
	} else {
		made, err = fillLinks(*links, fill)
	}
	if err == nil {
		_, _ = fmt.Fprintf(c.err, "%d accounts were made.\n", made)
	}
	return err
}

// fillLinks has a new file filled with links. It is made before the accounts are, so that no link is lost for want of it, and is gone again
// if there are none.
func fillLinks(path string, fill func(io.Writer) (int, error)) (made int, err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the administrator names it
	if err != nil {
		return 0, fmt.Errorf("file of links: %w", err)
	}
	made, err = fill(file)
	err = errors.Join(err, file.Close())
	if made == 0 {
		err = errors.Join(err, os.Remove(path))
	}
	return made, err
}

// readPeople reads a CSV file with a line of column names.
func readPeople(path string) ([]users.Person, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("list of people: %w", err)
	}
	defer func() { _ = file.Close() }()
	r := csv.NewReader(file)
	head, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("list of people: %w", err)
	}
	column := map[string]int{}
	for i, name := range head {
		name = strings.ToLower(strings.Trim(name, " \ufeff"))
		if !slices.Contains(importColumns(), name) {
			return nil, fmt.Errorf("list of people: there is no column %q; columns are %s", name, strings.Join(importColumns(), ", "))
		}
		column[name] = i
	}
	if _, ok := column["username"]; !ok {
		return nil, errors.New("list of people: the column username is missing")
	}
	var out []users.Person
	for {
		line, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list of people: %w", err)
		}
		get := func(name string) string {
			if i, ok := column[name]; ok {
				return strings.TrimSpace(line[i])
			}
			return ""
		}
		out = append(out, users.Person{Username: get("username"), Email: get("email"), DisplayName: get("displayname"), Language: get("language")})
	}
}

// writeLinks prints who gets which link.
func writeLinks(w io.Writer, made []users.Imported) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"user_id", "link"}) // Error below tells
	for _, m := range made {
		_ = out.Write([]string{string(m.User), m.Link})
	}
	out.Flush()
	return out.Error()
}
