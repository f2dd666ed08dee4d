package credentials

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"time"
)

const (
	// maxCommandOutput is far beyond any answer.
	maxCommandOutput = 64 << 10

	// maxCommandErrors is how much of standard error is looked at.
	maxCommandErrors = 8 << 10

	// commandGrace is how long a program that was told to end has for it, and
	// how long others it has started may keep its output open.
	commandGrace = time.Second
)

var (
	errTooMuchOutput = errors.New("it printed too much")
	errTookTooLong   = errors.New("it took too long")
	errCutShort      = errors.New("its output ends in the middle of a line")
)

// A run is one run of a Command's program.
type run struct {
	*Command
	action  string
	input   []byte
	env     []string
	secrets []string // kept out of the log
}

// output runs the program and returns its standard output. secretsIn finds the
// secrets in it, to keep them out of the log; nil means that there are none.
func (r *run) output(ctx context.Context, secretsIn func([]byte) []string) ([]byte, error) {
	if len(r.Args) == 0 {
		return nil, errors.New("proxyauth: command: no Args are given")
	}
	if err := ended(ctx); err != nil {
		return nil, err
	}
	runCtx, timedOut := context.WithTimeoutCause(ctx, cmp.Or(r.Timeout, DefaultCommandTimeout), errTookTooLong)
	defer timedOut()
	runCtx, cancel := context.WithCancelCause(runCtx)
	defer cancel(nil)

	stdout := &boundedBuffer{max: maxCommandOutput, full: func() { cancel(errTooMuchOutput) }}
	stderr := &boundedBuffer{max: maxCommandErrors, full: func() {}}
	cmd := r.command(runCtx)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := newGroup(cmd).run(runCtx)
	output := bytes.TrimPrefix(stdout.kept.Bytes(), []byte("\ufeff")) // programs on Windows put it first
	err = r.explain(runCtx, err, output)
	if secretsIn != nil {
		r.secrets = secretsIn(output)
	}
	r.logErrors(ctx, stderr.kept.String())
	return output, err
}

func (r *run) command(ctx context.Context) *exec.Cmd {
	args := r.Args[1:len(r.Args):len(r.Args)]
	if r.action != "" {
		args = append(args, r.action)
	}
	cmd := exec.CommandContext(ctx, r.Args[0], args...)
	cmd.Stdin = bytes.NewReader(r.input)
	cmd.Env = r.Env
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)], r.env...)
	cmd.WaitDelay = commandGrace
	return cmd
}

// explain returns why the run failed, if it did.
func (r *run) explain(ctx context.Context, err error, output []byte) error {
	if cause := context.Cause(ctx); cause != nil {
		return r.errorf("%w", cause)
	}
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, exec.ErrWaitDelay):
		return r.errorf("%w", err)
	case len(output) > 0 && output[len(output)-1] != '\n' && !r.JSON:
		return r.errorf("%w", errCutShort) // by half a password, maybe
	}
	return nil // a helper may leave a daemon behind that keeps the output open
}

// A boundedBuffer keeps the first max bytes of what is written to it. It calls
// full with each write that goes beyond. The buffer is not embedded, since its
// ReadFrom knows no bound.
type boundedBuffer struct {
	kept bytes.Buffer
	max  int
	full func()
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	room := b.max - b.kept.Len()
	if len(p) <= room {
		return b.kept.Write(p)
	}
	b.kept.Write(p[:room])
	b.full()
	return len(p), nil
}
