package credentials

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials/internal/memo"
)

// DefaultCommandTimeout is how long a [Command] may run if it does not say.
const DefaultCommandTimeout = 30 * time.Second

// Command is a provider that runs a program. By default it speaks git's protocol
// for credential helpers (see gitcredentials(7)), so that every helper for git is
// one for proxies:
//
//	&credentials.Command{Args: []string{"git", "credential-store"}}
//
// The program is run with "get" as a further argument, and is told protocol, host
// (with the port, unless it is the protocol's default) and, if the proxy's URL
// has one, username. No output, or none with a password, means that it has no
// credentials. It is run with "store" when the proxy has accepted credentials,
// and with "erase" when it has refused them, unless "get" has another password
// for the user by then. It is asked again after a refusal; what it answers then
// is tried at once, if it is something else.
//
// With JSON set, the program is run as it is and prints one object:
//
//	{"username": "ann", "password": "s3cret", "expires": "2026-01-02T15:04:05Z"}
//
// expires may be missing; no output, or none with a password, means that there
// are no credentials. Text that is not UTF-8 is an error. The environment tells
// the program PROXYAUTH_PROXY, the proxy's URL; PROXYAUTH_USERNAME, the user in it;
// and PROXYAUTH_SCHEME, the auth-scheme. It is not told what became of its answer.
//
// There is no shell in between. A program that exits with an error, prints what
// is no answer or more than 64 KiB, or takes too long, is an error with its name,
// not one with its output.
//
// A program that takes too long, or whose request has ended, is told to end, and killed
// a second later; on Windows it is killed at once. The processes that it has started end with
// it, on Windows as one job and on Unix as one process group, but not where this program runs
// in the foreground of a terminal of Unix: a program in a group of its own could not ask there.
// A Command must not be copied after first use.
type Command struct {
	// Args holds the program, looked up in PATH if its name has no slash, and
	// its arguments.
	Args []string

	// JSON selects the second of the two forms.
	JSON bool

	// Env is the program's environment, each entry of the form key=value. Nil
	// means that of the process.
	Env []string

	// Timeout bounds each run. Zero means DefaultCommandTimeout. A program
	// that asks its user something needs more.
	Timeout time.Duration

	// Logger is where the first 8 KiB of the program's standard error go, line
	// by line, at [slog.LevelInfo], without the password, whatever looks like one,
	// and lines with the password in an encoding, and at [slog.LevelWarn] the failures
	// of store and erase. Where the output has no password in its place, any word of it
	// may be one. Nil means nowhere.
	Logger *slog.Logger

	// answers holds what else the program has said of an answer, to be given
	// back to it with store.
	answers memo.Table[[]field]
}

// Credentials implements [proxyauth.CredentialsProvider].
func (c *Command) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	a, err := c.ask(ctx, req)
	if err == nil && !a.found {
		err = none(c, "no credentials for "+req.Proxy.Host)
	}
	if err == nil && a.expired(time.Now()) {
		err = none(c, "its credentials for "+req.Proxy.Host+" have expired")
	}
	if err != nil {
		return proxyauth.Credentials{}, err
	}
	c.answers.Put(memo.Answer(req, a.credentials), a.extra)
	return a.credentials, nil
}

func (c *Command) ask(ctx context.Context, req *proxyauth.CredentialsRequest) (*answer, error) {
	if c.JSON {
		return c.askJSON(ctx, req)
	}
	question, err := gitQuestion(req)
	if err != nil {
		return nil, c.errorf("%w", err)
	}
	r := run{Command: c, action: "get", input: encodeFields(question)}
	output, err := r.output(ctx, secretsInFields)
	if err != nil {
		return nil, err
	}
	a, err := parseGitAnswer(output, question, req)
	if err != nil {
		return nil, c.errorf("%w", err)
	}
	return a, nil
}

func (c *Command) askJSON(ctx context.Context, req *proxyauth.CredentialsRequest) (*answer, error) {
	r := run{Command: c, env: jsonEnvironment(req)}
	output, err := r.output(ctx, secretsInJSON)
	if err != nil {
		return nil, err
	}
	a, err := parseJSONAnswer(output, req)
	if err != nil {
		return nil, c.errorf("%w", err)
	}
	return a, nil
}

// Accepted implements [proxyauth.CredentialsObserver].
func (c *Command) Accepted(ctx context.Context, req *proxyauth.CredentialsRequest, answer proxyauth.Credentials) {
	c.tell(ctx, "store", req, answer)
}

// Rejected implements [proxyauth.CredentialsObserver].
func (c *Command) Rejected(ctx context.Context, req *proxyauth.CredentialsRequest, answer proxyauth.Credentials) {
	if c.replaced(ctx, req, answer) {
		return
	}
	c.tell(ctx, "erase", req, answer)
}

// replaced reports whether the program has another password for the user by now.
// The helpers of git before 2.41 would erase that, as they do not compare it.
func (c *Command) replaced(ctx context.Context, req *proxyauth.CredentialsRequest, answer proxyauth.Credentials) bool {
	if c.JSON {
		return false
	}
	same := *req
	same.UserInfo = &proxyauth.Credentials{Username: answer.Username}
	now, err := c.ask(ctx, &same)
	return err == nil && now.found && !memo.Same(now.credentials, answer)
}

func (c *Command) tell(ctx context.Context, action string, req *proxyauth.CredentialsRequest, answer proxyauth.Credentials) {
	if c.JSON {
		return
	}
	extra, _ := c.answers.Get(memo.Answer(req, answer))
	input, err := gitReport(req, answer, extra)
	if err == nil {
		r := run{Command: c, action: action, input: input, secrets: secretsInFields(input)}
		_, err = r.output(ctx, nil)
	}
	if err != nil {
		c.logger().WarnContext(ctx, "credential helper failed", "helper", c.String(), "action", action, "error", err)
	}
}

// String returns the provider's name, with that of the program but not its
// arguments, of which one may be a secret.
func (c *Command) String() string {
	if len(c.Args) == 0 {
		return "command"
	}
	name := filepath.Base(c.Args[0])
	if name == "git" && len(c.Args) > 1 && strings.HasPrefix(c.Args[1], "credential") {
		name += " " + c.Args[1]
	}
	return "command " + name
}

func (c *Command) errorf(format string, args ...any) error {
	return fmt.Errorf("proxyauth: %v: %w", c, fmt.Errorf(format, args...))
}

func (c *Command) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

// An answer is what a program has printed.
type answer struct {
	found       bool
	credentials proxyauth.Credentials
	extra       []field
}

func (a *answer) expired(now time.Time) bool {
	return !a.credentials.Expires.IsZero() && !now.Before(a.credentials.Expires)
}

// complete fills in the user name, and sees whether there is enough.
func (a *answer) complete(user, password string, req *proxyauth.CredentialsRequest) error {
	if user == "" && req.UserInfo != nil {
		user = req.UserInfo.Username
	}
	if password == "" {
		return nil
	}
	if user == "" {
		return errors.New("it printed a password without a user name")
	}
	a.found = true
	a.credentials.Username, a.credentials.Password = user, proxyauth.NewSecret(password)
	return nil
}
