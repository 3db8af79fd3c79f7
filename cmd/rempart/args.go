package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rempart/config"
)

// flags makes a flag set that leaves talking to run.
func flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return f
}

// parse reads flags that may stand before or after the words, and returns exactly n words.
func parse(f *flag.FlagSet, args []string, n int) ([]string, error) {
	var words []string
	for {
		if err := f.Parse(args); err != nil {
			return nil, &misuse{err, f}
		}
		if f.NArg() == 0 {
			break
		}
		words, args = append(words, f.Arg(0)), f.Args()[1:]
	}
	if len(words) != n {
		return nil, &misuse{fmt.Errorf("%d arguments, where it takes %d", len(words), n), f}
	}
	return words, nil
}

// misuse is an errUsage that knows what is wrong, and which flags there are.
type misuse struct {
	cause error
	flags *flag.FlagSet
}

func (m *misuse) Error() string   { return m.cause.Error() }
func (m *misuse) Unwrap() []error { return []error{errUsage, m.cause} }

func asksForHelp(arg string) bool {
	return slices.Contains([]string{"-h", "--h", "-help", "--help"}, arg)
}

// explain tells the person at the console how a command is used, and returns the exit status.
func (cmd command) explain(args []string, err error, c console) int {
	var m *misuse
	known := errors.As(err, &m)
	if slices.ContainsFunc(args, asksForHelp) {
		c.say("usage: rempart %s %s\n\n%s%s.\n", cmd.name, cmd.args, strings.ToUpper(cmd.help[:1]), cmd.help[1:])
		if known {
			m.flags.SetOutput(c.out)
			m.flags.PrintDefaults()
		}
		return 0
	}
	if known {
		_, _ = fmt.Fprintf(c.err, "rempart %s: %v\n", cmd.name, m.cause)
	}
	_, _ = fmt.Fprintf(c.err, "usage: rempart %s %s\n", cmd.name, cmd.args)
	return 2
}

// configFlag adds -config. Its value is completed by configPath.
func configFlag(f *flag.FlagSet) *string {
	return f.String("config", os.Getenv("REMPART_CONFIG"), "configuration `file`; REMPART_CONFIG names it too (else data/rempart.yaml)")
}

// configPath is the file that was named, or the default one.
func configPath(named string) string {
	if named != "" {
		return named
	}
	return filepath.Join(config.DefaultDir, config.DefaultFile)
}

// loadConfig reads the configuration of a command that is not the first to run here.
func loadConfig(named string) (*config.Config, error) {
	return config.Load(configPath(named))
}

// configured reads the arguments of a command that takes n words, and the configuration that they name.
func configured(f *flag.FlagSet, args []string, n int) (*config.Config, []string, error) {
	named := configFlag(f)
	words, err := parse(f, args, n)
	if err != nil {
		return nil, nil, err
	}
	cfg, err := loadConfig(*named)
	return cfg, words, err
}

func fields(s string) []string { return strings.Fields(s) }
