package interop

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// startTimeout bounds the wait for a server's first answer. squid takes
	// some 100 ms, and a loaded machine many times that.
	startTimeout = 30 * time.Second

	// stopTimeout is what a server gets to stop by itself, as it must for its
	// logs to be complete and for its shared memory to be removed. squid
	// takes 2 s.
	stopTimeout = 10 * time.Second

	// pollInterval is the pause between two looks at a server that starts.
	pollInterval = 5 * time.Millisecond

	// maxLogShown bounds what is shown of each log of a failed test.
	maxLogShown = 8 << 10
)

// A Command says how to run a server.
type Command struct {
	// Path and Args are the program and its arguments. It has to stay in the
	// foreground.
	Path string
	Args []string

	// Env is added to the environment of the tests.
	Env []string

	// Dir is the server's directory.
	Dir *Dir

	// Privileged says that it runs as the user of the tests, whoever that is.
	Privileged bool

	// Addrs are the TCP addresses on which the server listens once it is
	// ready.
	Addrs []string

	// Socket, if not empty, is the path of the Unix socket on which the server listens
	// once it is ready.
	Socket string

	// Files are handed to the server, from descriptor 3.
	Files []*os.File

	// Gracefully says that the server is asked, in Apache's way, to finish what
	// it does before it stops.
	Gracefully bool

	// Ready, if not empty, is what the first of Logs says when the server is
	// ready, which is after it has begun to listen.
	Ready string

	// Logs are the names of the server's log files in Dir, for failed tests.
	// What it prints is shown in any case.
	Logs []string
}

// A Process is a server that runs.
type Process struct {
	command Command
	output  bytes.Buffer
	stop    func()
	done    chan struct{}
}

// Start starts a server and waits until it listens. It is stopped at the end of
// the test at the latest.
func Start(t testing.TB, command Command) *Process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, command.Path, command.Args...)
	p := &Process{command: command, done: make(chan struct{})}
	cmd.Dir = command.Dir.path
	cmd.Env = append(os.Environ(), command.Env...)
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	cmd.ExtraFiles = command.Files
	cmd.Cancel = func() error { return terminate(cmd.Process, command.Gracefully) }
	cmd.WaitDelay = stopTimeout
	if err := setAttributes(cmd, command.Privileged); err != nil {
		cancel()
		require.NoError(t, err)
	}
	if err := cmd.Start(); err != nil {
		cancel()
		require.NoError(t, err)
	}
	go func() {
		defer close(p.done)
		// How a server ends tells nothing that its logs don't.
		_ = cmd.Wait()
		killGroup(cmd.Process)
	}()
	p.stop = sync.OnceFunc(func() {
		cancel()
		<-p.done
	})
	t.Cleanup(func() { p.end(t) })
	p.waitReady(t)
	return p
}

// Stop stops the server. When it returns, the logs are complete.
func (p *Process) Stop() { p.stop() }

func (p *Process) end(t testing.TB) {
	p.Stop()
	if t.Failed() {
		p.showLogs(t)
	}
}

func (p *Process) waitReady(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for !p.listens(ctx) || !p.saysReady() {
		select {
		case <-tick.C:
		case <-p.done:
			t.Fatalf("%s ended instead of listening", filepath.Base(p.command.Path))
		case <-ctx.Done():
			t.Fatalf("%s does not listen on %q", filepath.Base(p.command.Path), p.command.Addrs)
		}
	}
}

// listens sends nothing: a request would stand in the access log.
func (p *Process) listens(ctx context.Context) bool {
	var dialer net.Dialer
	for _, addr := range p.command.Addrs {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			return false
		}
		conn.Close()
	}
	if p.command.Socket == "" {
		return true
	}
	conn, err := dialer.DialContext(ctx, "unix", p.command.Socket)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

func (p *Process) saysReady() bool {
	if p.command.Ready == "" {
		return true
	}
	content, err := os.ReadFile(p.command.Dir.Path(p.command.Logs[0]))
	return err == nil && bytes.Contains(content, []byte(p.command.Ready))
}

func (p *Process) showLogs(t testing.TB) {
	showLog(t, "output of "+p.command.Path, p.output.Bytes())
	for _, name := range p.command.Logs {
		// A server that did not start has no log.
		if content, err := os.ReadFile(p.command.Dir.Path(name)); err == nil {
			showLog(t, name, content)
		}
	}
}

func showLog(t testing.TB, name string, content []byte) {
	if len(content) > 0 {
		t.Logf("%s:\n%s", name, content[max(0, len(content)-maxLogShown):])
	}
}
