package enginetest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/enginetest"
)

const (
	proxySPN = "HTTP/proxy.example.com"

	// chosen is the variable with the fault of the engine that a process tests.
	chosen = "PROXYAUTH_ENGINETEST_FAULT"
)

// An engine is the built-in one with a fault.
type engine struct {
	negotiate.Engine
	fault
	open  atomic.Int64
	mu    sync.Mutex
	first []byte          // the first token of all
	taken map[string]bool // the answers that were verified
}

// A fault is what is wrong with an engine.
type fault struct {
	desc string
	want string // in the output of the test

	begin     func(e *engine, ctx context.Context, t negotiate.Target) (negotiate.Context, error) // in place of NewContext
	step      func(x *engineContext, ctx context.Context, in []byte) (out []byte, done bool, err error)
	close     func(x *engineContext) error
	mechanism string
	prints    string
	waits     bool // for ever
}

type engineContext struct {
	negotiate.Context
	e   *engine
	ctx context.Context // that of NewContext
}

// newContext is NewContext without a fault.
func (e *engine) newContext(ctx context.Context, t negotiate.Target) (negotiate.Context, error) {
	x, err := e.Engine.NewContext(ctx, t)
	if err != nil {
		return nil, err
	}
	e.open.Add(1)
	return &engineContext{x, e, ctx}, nil
}

func (e *engine) NewContext(ctx context.Context, t negotiate.Target) (negotiate.Context, error) {
	if e.begin != nil {
		return e.begin(e, ctx, t)
	}
	return e.newContext(ctx, t)
}

func (x *engineContext) Step(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	if x.e.step != nil {
		return x.e.step(x, ctx, in)
	}
	return x.Context.Step(ctx, in)
}

func (x *engineContext) Mechanism() string {
	if x.e.mechanism != "" {
		return x.e.mechanism
	}
	return x.Context.Mechanism()
}

func (x *engineContext) Close() error {
	if x.e.fault.close != nil {
		return x.e.fault.close(x)
	}
	x.e.open.Add(-1)
	return x.Context.Close()
}

func (x *engineContext) Format(f fmt.State, verb rune) { io.WriteString(f, "context"+x.e.prints) }

// openedWith returns a step that has token in place of the first one.
func openedWith(token []byte) func(*engineContext, context.Context, []byte) ([]byte, bool, error) {
	return func(x *engineContext, ctx context.Context, in []byte) ([]byte, bool, error) {
		out, done, err := x.Context.Step(ctx, in)
		if in == nil {
			out = token
		}
		return out, done, err
	}
}

var faults = []fault{
	{desc: "no context", want: "neither a context nor an error", begin: func(*engine, context.Context, negotiate.Target) (negotiate.Context, error) {
		return nil, nil
	}},
	{desc: "no token", want: "none of SPNEGO", step: openedWith(nil)},
	{desc: "token of nothing", want: "none of SPNEGO", step: openedWith([]byte("token"))},
	{desc: "NTLM called Kerberos", want: "one of NTLM", step: openedWith([]byte("NTLMSSP\x00\x01\x00\x00\x00"))},
	{desc: "unknown mechanism", want: `the mechanism is "krb5"`, mechanism: "krb5"},
	{desc: "established at once", want: "established by its first token", step: func(x *engineContext, ctx context.Context, in []byte) ([]byte, bool, error) {
		out, _, err := x.Context.Step(ctx, in)
		return out, true, err
	}},
	{desc: "never established", want: "not established by its answer", step: func(x *engineContext, ctx context.Context, in []byte) ([]byte, bool, error) {
		out, _, err := x.Context.Step(ctx, in)
		return out, false, err
	}},
	{desc: "one token for all", want: "two contexts have the same token", step: func(x *engineContext, ctx context.Context, in []byte) ([]byte, bool, error) {
		out, done, err := x.Context.Step(ctx, in)
		x.e.mu.Lock()
		defer x.e.mu.Unlock()
		if in == nil && x.e.first == nil {
			x.e.first = out
		}
		if in == nil {
			out = x.e.first
		}
		return out, done, err
	}},
	{desc: "the password shows", want: "prints the password", prints: " of s3cret"},
	{desc: "takes anything", want: "is accepted", step: func(x *engineContext, ctx context.Context, in []byte) ([]byte, bool, error) {
		if in != nil {
			return nil, true, nil
		}
		return x.Context.Step(ctx, in)
	}},
	{desc: "verifies nothing", want: "octet 1 from the end is changed", step: func(x *engineContext, ctx context.Context, in []byte) ([]byte, bool, error) {
		out, done, err := x.Context.Step(ctx, in)
		if len(in) > 50 && err != nil {
			return nil, true, nil
		}
		return out, done, err
	}},
	{desc: "takes another exchange's answer", want: "that of another exchange", step: func(x *engineContext, ctx context.Context, in []byte) ([]byte, bool, error) {
		x.e.mu.Lock()
		defer x.e.mu.Unlock()
		if x.e.taken[string(in)] {
			return nil, true, nil
		}
		out, done, err := x.Context.Step(ctx, in)
		if done {
			x.e.taken[string(in)] = true
		}
		return out, done, err
	}},
	{desc: "no code where nothing is verified", want: "want NotVerified", step: func(x *engineContext, ctx context.Context, in []byte) ([]byte, bool, error) {
		out, done, err := x.Context.Step(ctx, in)
		if in != nil && err != nil {
			err = errors.New("engine: failed")
		}
		return out, done, err
	}},
	{desc: "another's ticket", want: "somebody else's", begin: func(e *engine, ctx context.Context, t negotiate.Target) (negotiate.Context, error) {
		t.User = ""
		return e.newContext(ctx, t)
	}},
	{desc: "one ticket for all services", want: "a service that does not exist", begin: func(e *engine, ctx context.Context, t negotiate.Target) (negotiate.Context, error) {
		t.SPN = proxySPN
		return e.newContext(ctx, t)
	}},
	{desc: "no code for an unknown service", want: "has no negotiate.Code", begin: func(e *engine, ctx context.Context, t negotiate.Target) (negotiate.Context, error) {
		x, err := e.newContext(ctx, t)
		if err != nil && ctx.Err() == nil {
			err = errors.New("engine: failed")
		}
		return x, err
	}},
	{desc: "an error of its own for an ended context", want: "want context.Canceled", begin: func(e *engine, ctx context.Context, t negotiate.Target) (negotiate.Context, error) {
		if ctx.Err() != nil {
			return nil, errors.New("engine: timeout")
		}
		return e.newContext(ctx, t)
	}},
	{desc: "waits past its context", want: "goes on waiting", waits: true, begin: func(e *engine, ctx context.Context, t negotiate.Target) (negotiate.Context, error) {
		if ctx.Err() != nil {
			select {}
		}
		return e.newContext(ctx, t)
	}},
	{desc: "keeps its context", want: "that of Step has not", step: func(x *engineContext, _ context.Context, in []byte) ([]byte, bool, error) {
		if err := x.ctx.Err(); err != nil {
			return nil, false, err
		}
		return x.Context.Step(x.ctx, in)
	}},
	{desc: "leaks", want: "handles", close: func(x *engineContext) error { return x.Context.Close() }},
	{desc: "fails to close", want: "can't be closed", close: func(x *engineContext) error {
		x.e.open.Add(-1)
		return errors.New("engine: can't be closed")
	}},
}

func TestEachFaultIsFound(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		t.Run(f.desc, func(t *testing.T) {
			t.Parallel()
			output, err := runWith(t, f.desc)
			require.Error(t, err, "the engine passes")
			require.Contains(t, output, f.want)
			require.NotContains(t, output, "panic:")
		})
	}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		output, err := runWith(t, "none")
		require.NoError(t, err, output)
	})
}

// runWith tests an engine with a fault in a process of its own.
func runWith(t *testing.T, desc string) (output string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEngineWithFault$", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), chosen+"="+desc)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// TestEngineWithFault is run by TestEachFaultIsFound.
func TestEngineWithFault(t *testing.T) {
	desc := os.Getenv(chosen)
	if desc == "" {
		t.Skip("no fault is chosen")
	}
	e := &engine{taken: map[string]bool{}}
	for _, f := range faults {
		if f.desc == desc {
			e.fault = f
		}
	}
	if e.waits {
		enginetest.SetEnough(time.Millisecond)
	}
	k := kdc.Start(t, kdc.Config{Principals: []kdc.Principal{{Name: "ann", Password: "s3cret"}, {Name: proxySPN}}})
	dir := t.TempDir()
	cache, err := k.CCache(kdc.CCache{Client: "ann"})
	require.NoError(t, err)
	scheme := &negotiate.Scheme{
		Realm: k.Realm(), KDCs: []string{k.Addr()}, ConfigFile: os.DevNull,
		TicketCache: filepath.Join(dir, "cc"), Sources: []negotiate.Source{negotiate.TicketCache},
	}
	require.NoError(t, os.WriteFile(scheme.TicketCache, cache, 0o600))
	e.Engine = scheme
	proxy := &spnegoserver.Server{Keytab: k.Keytab(proxySPN), Service: proxySPN}
	enginetest.Test(t, enginetest.Config{
		Engine:      e,
		Target:      negotiate.Target{Host: "proxy.example.com", SPN: proxySPN, User: "ann", Password: func() string { return "s3cret" }},
		NewAcceptor: func() enginetest.Acceptor { return proxy.NewContext(nil) },
		Handles:     func() int { return int(e.open.Load()) },
	})
}
