// Package enginetest tests implementations of [negotiate.Engine].
package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/spnego"
)

// A Config says what [Test] tests.
type Config struct {
	// Engine is the engine.
	Engine negotiate.Engine

	// Target is one for which the engine has credentials.
	Target negotiate.Target

	// NewAcceptor returns the proxy's side of an exchange over a connection with
	// Target.Bindings, such as one with a keytab of the system's GSS-API library. It
	// may be called by several goroutines at once. Nil leaves out what needs one.
	NewAcceptor func() Acceptor

	// Handles returns how many contexts, or handles of them, the engine holds. It is
	// compared before and after each test. Nil leaves that out.
	Handles func() int
}

// An Acceptor is the proxy's side of one exchange.
type Acceptor interface {
	// Accept takes a token of the client and returns the answer, which may be empty.
	// done reports that the client is authenticated.
	Accept(token []byte) (answer []byte, done bool, err error)
}

const (
	// maxLegs bounds the tokens of one exchange.
	maxLegs = 6

	// atOnce is how many contexts are used at once.
	atOnce = 64
)

// enough is how long an engine may take that need not wait any more.
var enough = 5 * time.Second

// Test tests an engine: that its tokens can be read and differ, that an exchange
// completes, that what is not a token of the proxy's for this exchange is refused, that
// nobody else's credentials are used, that contexts may be given up anywhere, outlast the
// context.Context that they were made with, and may be used at once.
func Test(t *testing.T, c Config) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Config)
	}{
		{"opening token", testOpening},
		{"exchange", testExchange},
		{"garbage", testGarbage},
		{"changed answer", testChanged},
		{"another exchange's answer", testReplayed},
		{"given up", testGivenUp},
		{"kept context", testKept},
		{"ended context", testEnded},
		{"another user", testAnotherUser},
		{"unknown service", testUnknownService},
		{"at once", testAtOnce},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := c.handles()
			test.run(t, c)
			if after := c.handles(); after != before {
				t.Errorf("the engine holds %d handles, and held %d before", after, before)
			}
		})
	}
}

func (c Config) handles() int {
	if c.Handles == nil {
		return 0
	}
	return c.Handles()
}

// newContext returns a context.
func (c Config) newContext(ctx context.Context) (negotiate.Context, error) {
	x, err := c.Engine.NewContext(ctx, c.Target)
	if err == nil && x == nil {
		err = errors.New("NewContext returns neither a context nor an error")
	}
	return x, err
}

// open returns a context and its first token.
func (c Config) open(ctx context.Context) (negotiate.Context, []byte, error) {
	x, err := c.newContext(ctx)
	if err != nil {
		return nil, nil, err
	}
	return begin(ctx, x)
}

// begin makes the first token of a context, which it closes after an error.
func begin(ctx context.Context, x negotiate.Context) (negotiate.Context, []byte, error) {
	token, done, err := x.Step(ctx, nil)
	switch {
	case err != nil:
	case !known(token):
		err = errors.New("the first token is none of SPNEGO, Kerberos or NTLM")
	case x.Mechanism() == negotiate.MechanismKerberos && isNTLM(token):
		err = errors.New("the mechanism is said to be Kerberos, and the token is one of NTLM")
	case x.Mechanism() != negotiate.MechanismKerberos && x.Mechanism() != negotiate.MechanismNTLM:
		err = fmt.Errorf("the mechanism is %q", x.Mechanism())
	case done:
		err = errors.New("the context is established by its first token: Kerberos has to ask for mutual authentication")
	}
	if err != nil {
		return nil, nil, errors.Join(err, x.Close())
	}
	return x, token, nil
}

func (c Config) mustOpen(t *testing.T) (negotiate.Context, []byte) {
	t.Helper()
	x, token, err := c.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return x, token
}

// known reports whether token begins as a token of SPNEGO, Kerberos or NTLM does.
func known(token []byte) bool {
	const application0 = 0x60 // the frame of RFC 2743, Section 3.1
	return len(token) > 0 && token[0] == application0 || isNTLM(token)
}

func isNTLM(token []byte) bool {
	kind, _ := spnego.KindOf(token)
	return kind == spnego.KindNTLM
}

func closeContext(t *testing.T, x negotiate.Context) {
	t.Helper()
	if err := x.Close(); err != nil {
		t.Error(err)
	}
}

func testOpening(t *testing.T, c Config) {
	x, first := c.mustOpen(t)
	defer closeContext(t, x)
	y, second := c.mustOpen(t)
	defer closeContext(t, y)
	if x.Mechanism() == negotiate.MechanismKerberos && bytes.Equal(first, second) {
		t.Error("two contexts have the same token: proxies take it for a replay")
	}
	if c.Target.Password != nil {
		secret := c.Target.Password()
		if text := fmt.Sprintf("%v %+v %#v", x, x, x); secret != "" && strings.Contains(text, secret) {
			t.Error("a context prints the password")
		}
	}
}

// exchange runs a whole exchange, in which change may change the proxy's answers.
func (c Config) exchange(ctx context.Context, change func([]byte) []byte) error {
	x, token, err := c.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(c.run(ctx, x, token, change), x.Close())
}

func (c Config) run(ctx context.Context, x negotiate.Context, token []byte, change func([]byte) []byte) error {
	acceptor := c.NewAcceptor()
	for range maxLegs {
		answer, accepted, err := acceptor.Accept(token)
		if err != nil {
			return fmt.Errorf("the acceptor: %w", err)
		}
		done := false
		if len(answer) > 0 {
			if token, done, err = x.Step(ctx, change(answer)); err != nil {
				return err
			}
		}
		switch {
		case accepted && len(answer) == 0:
			return nil // as squid does
		case accepted && !done && x.Mechanism() == negotiate.MechanismKerberos:
			return errors.New("the acceptor is done, and the context is not established by its answer")
		case accepted:
			return nil
		case len(token) == 0:
			return errors.New("the acceptor waits for a token, and there is none")
		}
	}
	return errors.New("the exchange does not end")
}

func unchanged(answer []byte) []byte { return answer }

func (c Config) needsAcceptor(t *testing.T) {
	t.Helper()
	if c.NewAcceptor == nil {
		t.Skip("no acceptor")
	}
}

func testExchange(t *testing.T, c Config) {
	c.needsAcceptor(t)
	for range 3 {
		if err := c.exchange(t.Context(), unchanged); err != nil {
			t.Fatal(err)
		}
	}
}

func testGarbage(t *testing.T, c Config) {
	for _, garbage := range [][]byte{{}, {0}, []byte("garbage"), {0x60, 0x84, 0xff, 0xff, 0xff, 0xff}, []byte("NTLMSSP\x00"), {0xa1, 0x03, 0x30, 0x01, 0xa0}} {
		x, _ := c.mustOpen(t)
		_, done, err := x.Step(t.Context(), garbage)
		if err == nil || done {
			t.Errorf("the token %x is accepted", garbage)
		}
		closeContext(t, x)
	}
}

// needsMutual skips a test of the proxy's answers.
func (c Config) needsMutual(t *testing.T) {
	t.Helper()
	c.needsAcceptor(t)
	x, _ := c.mustOpen(t)
	mechanism := x.Mechanism()
	closeContext(t, x)
	if mechanism != negotiate.MechanismKerberos {
		t.Skip("no mutual authentication in this mechanism")
	}
}

// testChanged changes each of the last octets of the answer, which stand in what is
// encrypted, or signed.
func testChanged(t *testing.T, c Config) {
	c.needsMutual(t)
	for i := 1; i <= 16; i++ {
		err := c.exchange(t.Context(), func(answer []byte) []byte {
			answer = bytes.Clone(answer)
			answer[len(answer)-i] ^= 1
			return answer
		})
		if !errors.Is(err, negotiate.NotVerified) && !errors.Is(err, proxyauth.ErrNotVerified) {
			t.Errorf("octet %d from the end is changed: got %v, want NotVerified", i, err)
		}
	}
}

// testReplayed answers with what was the answer in an exchange before.
func testReplayed(t *testing.T, c Config) {
	c.needsMutual(t)
	var before []byte
	if err := c.exchange(t.Context(), func(answer []byte) []byte { before = bytes.Clone(answer); return answer }); err != nil {
		t.Fatal(err)
	}
	if before == nil {
		t.Skip("the acceptor sends no answer")
	}
	err := c.exchange(t.Context(), func([]byte) []byte { return before })
	if !errors.Is(err, negotiate.NotVerified) && !errors.Is(err, proxyauth.ErrNotVerified) {
		t.Errorf("the answer is that of another exchange: got %v, want NotVerified", err)
	}
}

func testGivenUp(t *testing.T, c Config) {
	x, err := c.newContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	closeContext(t, x) // before the first token
	x, _ = c.mustOpen(t)
	closeContext(t, x) // before the answer
	x, _ = c.mustOpen(t)
	_, _, _ = x.Step(t.Context(), []byte("garbage"))
	closeContext(t, x) // after an error
}

// testKept ends the context.Context of NewContext before the first step.
func testKept(t *testing.T, c Config) {
	ctx, cancel := context.WithCancel(t.Context())
	x, err := c.newContext(ctx)
	cancel()
	if err != nil {
		t.Fatal(err)
	}
	if x, _, err = begin(t.Context(), x); err != nil {
		t.Fatalf("the context.Context of NewContext has ended, and that of Step has not: %v", err)
	}
	closeContext(t, x)
}

func testEnded(t *testing.T, c Config) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	errs := make(chan error, 1)
	go func() {
		x, _, err := c.open(ctx)
		if err == nil {
			err = x.Close() // it had no need to wait
		} else if errors.Is(err, context.Canceled) {
			err = nil
		} else {
			err = fmt.Errorf("got %w, want context.Canceled", err)
		}
		errs <- err
	}()
	select {
	case err := <-errs:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(enough):
		t.Error("the engine goes on waiting after the end of its context.Context")
	}
}

func testAnotherUser(t *testing.T, c Config) {
	c.Target.User, c.Target.Password = "nobody-of-this-name@NOWHERE.INVALID", nil
	x, _, err := c.open(t.Context())
	if err == nil {
		closeContext(t, x)
		t.Error("a user without credentials here has a token: it is somebody else's")
	}
}

func testUnknownService(t *testing.T, c Config) {
	x, _ := c.mustOpen(t)
	mechanism := x.Mechanism()
	closeContext(t, x)
	if mechanism != negotiate.MechanismKerberos {
		t.Skip("the mechanism knows no services")
	}
	c.Target.SPN, c.Target.Host = "HTTP/no-such-host.invalid", "no-such-host.invalid"
	x, _, err := c.open(t.Context())
	if err == nil {
		// NTLM may take its place.
		if x.Mechanism() == negotiate.MechanismKerberos {
			t.Error("there is a ticket for a service that does not exist")
		}
		closeContext(t, x)
		return
	}
	if code := codeOf(err); code == "" {
		t.Errorf("the error %q has no negotiate.Code", err)
	}
}

// codeOf returns the code of an error, "" if it has none.
func codeOf(err error) negotiate.Code {
	if e, ok := errors.AsType[*negotiate.Error](err); ok {
		return e.Code
	}
	code, _ := errors.AsType[negotiate.Code](err)
	return code
}

func testAtOnce(t *testing.T, c Config) {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		tokens = make(map[string]bool)
	)
	errs := make([]error, atOnce)
	for i := range errs {
		wg.Go(func() {
			x, token, err := c.open(t.Context())
			if err != nil {
				errs[i] = err
				return
			}
			mu.Lock()
			if x.Mechanism() == negotiate.MechanismKerberos && tokens[string(token)] {
				err = errors.New("two contexts have the same token")
			}
			tokens[string(token)] = true
			mu.Unlock()
			if err == nil && c.NewAcceptor != nil && i%2 == 0 { // the others are given up
				err = c.run(t.Context(), x, token, unchanged)
			}
			errs[i] = errors.Join(err, x.Close())
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}
