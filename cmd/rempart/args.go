package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
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
			return nil, errors.Join(errUsage, err)
		}
		if f.NArg() == 0 {
			break
		}
		words, args = append(words, f.Arg(0)), f.Args()[1:]
	}
	if len(words) != n {
		return nil, errUsage
	}
	return words, nil
}

// configFlag adds -config. Its value is completed by configPath.
func configFlag(f *flag.FlagSet) *string {
	return f.String("config", os.Getenv("REMPART_CONFIG"), "configuration file")
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
