// Command rempart is a Matrix homeserver in one binary.
//
// This package only wires: it reads arguments and configuration, builds the parts, hands them to one another and
// starts and stops them. Rules live in the packages that it wires.
//
// # Where things are
//
// Commands: main lists them, args reads their words, status is how they end. user, useradmin, userimport; mission in missioncmd; roomcmd; callscmd; policycmd, policywhatif and whatifcmd with replay
// and flips (what a policy would have decided), geocmd and geofile, exportcmd; ledgercmd, verifycmd, witnesscmd; keys; backup, restore, manifest; databasecmd, databasenew, postgres; checkconfig;
// doctor, doctor_federation, doctor_push; version; coverage, coverage_admin (the pages of make docs).
//
// serve: serve and server start and stop; lock, threads, memory, program_pages, pprof, tls, welcome, health and notices are around it; ground is what each command stands on (database, policy, way out, ledger),
// build puts the core and the entrances on it. admin, account, people, media, previews, retention, appservices, calls, callrecord, outside and answers hand one part to another.
//
// The policy at work: policyfile reads and watches it, judge and judge_* are asked (judge_data what may pass, judge_places where servers are, judge_push, judge_rooms, judge_supposed, judge_recent
// what was decided); places_kept, published, grants; recorder and observer note what left, ledger opens the record, measures counts, policyadmin shows.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"rempart/core/users"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	code := run(ctx, os.Args[1:], console{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}

// console is where a command reads and writes.
type console struct {
	in       io.Reader
	out, err io.Writer
}

// say writes one line to the person at the console.
func (c console) say(format string, args ...any) {
	_, _ = fmt.Fprintf(c.out, format+"\n", args...) // nobody is left to tell when the console is gone
}

// command is one thing that the binary does.
type command struct {
	name, args, help string
	run              func(ctx context.Context, args []string, c console) error
}

// commands lists them in the order of the help text.
func commands() []command {
	return append(append([]command{
		{"serve", "[-config FILE] [-name SERVER]", "run the server; without a configuration it makes ./data", serve},
		{"check-config", "[-config FILE]", "say what the configuration means, or every mistake in it", checkConfig},
		{"user create", "[-config FILE] [-admin] NAME", "make an account; the password is asked for", userCreate},
		{"user list", "[-config FILE] [-like TEXT]", "list the accounts", userList},
		{"user show", "[-config FILE] NAME", "say what is known of an account", userShow},
		{"user reset-password", "[-config FILE] [-link] NAME", "set a new password, or make a link to choose one", userResetPassword},
		{"user lock", "[-config FILE] NAME", "keep an account from being used", userShut("lock", users.Locked, true, "is locked")},
		{"user unlock", "[-config FILE] NAME", "let a locked account be used again", userShut("unlock", users.Locked, false, "can be used again")},
		{"user suspend", "[-config FILE] NAME", "let an account read but not write", userShut("suspend", users.Suspended, true, "may only read now")},
		{"user unsuspend", "[-config FILE] NAME", "let a suspended account write again", userShut("unsuspend", users.Suspended, false, "may write again")},
		{"user renew", "[-config FILE] [-days N] NAME", "set when an account ends", userRenew},
		{"user deactivate", "[-config FILE] [-erase] NAME", "close an account for ever", userDeactivate},
		{"user import", "[-config FILE] [-server NAME] [-mail] [-links FILE] CSV", "make accounts without passwords, with activation links", userImport},
		{"key rotate", "[-config FILE] [-server NAME] [-lost]", "make a new signing key; the old one stays known to others", keyRotate},
		{"backup", "[-config FILE] [-media=false] FOLDER", "copy database, keys, configuration and files of a running server", backup},
		{"restore", "FOLDER DATA-FOLDER", "put a backup into a new data folder", restore},
		{"database new", "[-config FILE]", "make an empty database where keys of a server are, whose database is lost", databaseNew},
		{"database move", "[-config FILE] URL", "move from SQLite to an empty PostgreSQL database, while no server runs; - reads the URL", databaseMove},
		{"doctor", "[-config FILE] [-federation NAME]", "look for what would keep the server from working well", doctor},
		{"docs spec-coverage", "[-operations FILE]", "list which operations of the specification are served", specCoverage},
		{"calls", "[-config FILE]", "list the calls under way", callsList},
		{"sfu selftest", "[-config FILE]", "connect two participants to the running media server", sfuSelftest},
		{"sfu-child", "", "the media process; the server starts it", sfuChild},
		{"version", "", "print the version", printVersion},
	}, policyCommands()...), append(append(append(geoCommands(), missionCommands()...), ledgerCommands()...), roomCommands()...)...)
}

// errUsage ends a command whose arguments make no sense; the help has been printed.
var errUsage = errors.New("wrong arguments")

// run carries out one command line and returns the exit status: 1 for a failure, 2 for wrong arguments, [statusMisconfigured].
func run(ctx context.Context, args []string, c console) int {
	for _, cmd := range commands() {
		rest, ok := cmd.matches(args)
		if !ok {
			continue
		}
		err := cmd.run(ctx, rest, c)
		switch {
		case errors.Is(err, errUsage) || errors.Is(err, flag.ErrHelp):
			return cmd.explain(rest, err, c)
		case err != nil:
			_, _ = fmt.Fprintln(c.err, err)
			return statusOf(err)
		}
		return 0
	}
	if len(args) > 0 && (args[0] == "help" || asksForHelp(args[0])) {
		usage(c.out, args[1:])
		return 0
	}
	usage(c.err, args)
	return 2
}

// matches compares the command's words with the first arguments and returns the others.
func (cmd command) matches(args []string) ([]string, bool) {
	words := fields(cmd.name)
	if len(args) < len(words) {
		return nil, false
	}
	for i, w := range words {
		if args[i] != w {
			return nil, false
		}
	}
	return args[len(words):], true
}

// usage lists the commands that begin with the first word of about, or all.
func usage(w io.Writer, about []string) {
	_, _ = fmt.Fprintln(w, "Rempart, a Matrix homeserver.")
	list := commands()
	if len(about) > 0 {
		of := slices.DeleteFunc(slices.Clone(list), func(cmd command) bool { return fields(cmd.name)[0] != about[0] })
		if len(of) > 0 {
			list = of
		} else {
			_, _ = fmt.Fprintf(w, "There is no command %q.\n", about[0])
		}
	}
	for _, cmd := range list {
		_, _ = fmt.Fprintf(w, "\n  rempart %s %s\n        %s\n", cmd.name, cmd.args, cmd.help)
	}
	_, _ = fmt.Fprintln(w, "\nWith -h a command explains its flags.")
}
