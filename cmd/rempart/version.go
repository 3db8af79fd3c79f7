package main

import (
	"context"
	"runtime"
	"runtime/debug"
)

// release is the version to come; the commit tells builds apart.
const release = "0.1.0-dev"

// version is the release with the commit it was built from, where the build knows it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return release
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return release + "+" + s.Value[:12]
		}
	}
	return release
}

func printVersion(_ context.Context, args []string, c console) error {
	if _, err := parse(flags("version"), args, 0); err != nil {
		return err
	}
	c.say("rempart %s (%s %s/%s)", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
