package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"rempart/config"
	"rempart/storage"
)

// keyless refuses to fill an empty database where a server has run already. Why: a server that has forgotten everything and signs as
// before has two histories, and so has its record of what left.
func keyless(cfg *config.Config) func() error {
	return func() error {
		for _, file := range append(keyFiles(cfg), ledgerFiles(cfg)...) {
			if exists(file) {
				return misconfigured(fmt.Errorf("the database is empty, and by %s a server has run here before: put its database back from a backup, or name the right one in %s; "+
					"if it is lost, or the key was brought from elsewhere, %q makes an empty one", file, cfg.File, "rempart database new"))
			}
		}
		return nil
	}
}

// ledgerFiles are the key of the record, its public half, and the newest checkpoint.
func ledgerFiles(cfg *config.Config) []string {
	return []string{ledgerKey(cfg), ledgerKey(cfg) + ".pub", anchorOf(cfg)}
}

var errNotNew = errors.New("the database holds a server's data: nothing was changed")

// databaseNew makes an empty database beside the keys of a server whose database is lost. The record of what left begins anew by
// another key: what the old one signed must not be contradicted by it.
func databaseNew(ctx context.Context, args []string, c console) (err error) {
	cfg, _, err := configured(flags("database new"), args, 0)
	if err != nil {
		return err
	}
	if cfg.Database.URL == "" {
		release, err := lockFolder(cfg.Server.DataDir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	g, err := openedDoor(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.egress.Close()) }()
	fresh := false
	db, err := storage.Open(ctx, storage.Options{Dial: g.dialStore, URL: databaseURL(cfg), Fresh: func() error {
		fresh = true
		return setAside(ledgerFiles(cfg), time.Now(), c)
	}})
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil || !fresh {
		return errors.Join(err, errNotNew)
	}
	c.say("The database is empty and ready. Its accounts and rooms are gone, and other servers do not know that: whoever is given a name here is to them the person who had it. "+
		"Make the accounts before you let anybody register in %s.", cfg.File)
	return nil
}

// setAside renames files that are there, so that their time is in their names.
func setAside(files []string, now time.Time, c console) error {
	for _, file := range files {
		if !exists(file) {
			continue
		}
		kept := file + ".until-" + now.UTC().Format("20060102T150405Z")
		if err := os.Rename(file, kept); err != nil {
			return err
		}
		c.say("%s is now %s: keep it, what the record said before is checked by it.", file, kept)
	}
	return nil
}
