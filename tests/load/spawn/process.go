package spawn

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// process is a child that stop ends and waits for.
type process struct {
	cmd   *exec.Cmd
	log   string
	quit  os.Signal
	ended chan struct{}
}

// launch starts a program whose output goes to a file. as may be nil.
func launch(log string, quit os.Signal, as *syscall.Credential, name string, args ...string) (*process, error) {
	out, err := os.Create(filepath.Clean(log))
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	// Why no CommandContext: a stop by signal must reach the server after the
	// load, in the order of Stop, and an interrupt at the terminal must not.
	p := &process{cmd: exec.Command(name, args...), log: log, quit: quit, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Dir = filepath.Dir(log)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: as}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(name), err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// await repeats check until it succeeds, the process ends, or startTime is over.
func (p *process) await(ctx context.Context, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended at once (%s):\n%s", filepath.Base(p.cmd.Path), p.cmd.ProcessState, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w\n%s", filepath.Base(p.cmd.Path), err, p.tail())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// stop asks the process to end, and kills its group when it does not.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(p.quit)
	select {
	case <-p.ended:
	case <-time.After(stopTime):
		_ = syscall.Kill(-p.pid(), syscall.SIGKILL)
		<-p.ended
	}
}

// tail is the end of the process's output.
func (p *process) tail() string {
	f, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if st, err := f.Stat(); err == nil && st.Size() > 4000 {
		_, _ = f.Seek(-4000, io.SeekEnd)
	}
	text, _ := io.ReadAll(f)
	return string(text)
}
