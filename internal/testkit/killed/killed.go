// Package killed lets a test run another one of its binary in a process of its own, which says what it has done, and kills it in the middle of
// that: what it said is done must be there afterwards.
package killed

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const (
	prefix = "done: "
	suffix = " ." // a line without it was cut short by the kill
)

// Done says, in the process that is to be killed, that something is done. text is one line.
func Done(text string) error {
	_, err := io.WriteString(os.Stdout, prefix+text+suffix+"\n")
	return err
}

// Child runs a test with more of an environment, kills its process once that has done enough things, and gives all that it said it had done.
func Child(t testing.TB, test string, env []string, enough int) (done []string) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^"+test+"$")
	child.Env = append(os.Environ(), env...)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		text, told := strings.CutPrefix(lines.Text(), prefix)
		text, whole := strings.CutSuffix(text, suffix)
		if !told || !whole {
			continue
		}
		if done = append(done, text); len(done) == enough {
			_ = child.Process.Kill()
		}
	}
	if err := child.Wait(); err == nil || len(done) < enough {
		t.Fatalf("the process ended by itself after it had done %d things: %v", len(done), err)
	}
	return done
}
