package sspi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/lockout"
)

// A system is SSPI, or what stands for it in tests.
type system interface {
	// acquire returns a credentials handle, for the user who is logged in if id is nil.
	acquire(pkg Package, id *identity) (credential, status)
}

// A credential is a credentials handle. It may be used by several goroutines at once.
type credential interface {
	newContext() handle
	release()
}

// A handle is a context handle, which comes into being with the first step.
type handle interface {
	// step is InitializeSecurityContext. bindings is a SEC_CHANNEL_BINDINGS structure
	// or nil, and so is in the peer's token.
	step(target string, bindings, in []byte) (out []byte, attributes uint32, st status)
	release()
}

// The attributes of a context, of which the first is among those that are returned.
const (
	attrDelegate = 0x1
	attrMutual   = 0x2
)

// systemOr returns sys, or this computer's if it is nil.
func systemOr(sys system) system {
	if sys == nil {
		return native
	}
	return sys
}

// A security is a security context, of which the first step makes the handles. The calls of SSPI can't be cancelled: one that is
// under way when its caller leaves goes on, and what it uses is released after it.
type security struct {
	system   system
	logins   *logins
	pkg      Package
	id       *identity // nil for the user who is logged in
	target   string
	bindings []byte
	secret   *lockout.Handle // of a password that a domain controller sees, or nil

	mu     sync.Mutex // held by the call that is under way
	login  *login
	handle handle
	steps  int
}

// Format writes "SSPI context", whatever the verb.
func (s *security) Format(f fmt.State, verb rune) { io.WriteString(f, "SSPI context") }

// A result is that of one step.
type result struct {
	out    []byte
	mutual bool
	done   bool
	err    error
}

var errUnderWay = errors.New("proxyauth: sspi: the context is in use, or was given up")

// step makes a step and waits for it no longer than ctx.
func (s *security) step(ctx context.Context, in []byte) (result, error) {
	if err := ctx.Err(); err != nil {
		return result{}, context.Cause(ctx)
	}
	var turn *lockout.Turn
	if s.secret != nil && s.steps == 0 {
		var err error
		if turn, err = s.secret.Acquire(ctx, "ticket"); err != nil {
			return result{}, heldBack(err)
		}
	}
	if !s.mu.TryLock() {
		turn.Done(lockout.Unsent)
		return result{}, errUnderWay
	}
	s.steps++
	first := s.steps == 1
	results := make(chan result, 1)
	go func() {
		turn.Sent()
		r, st := s.call(in, first)
		outcome := verdict(st)
		turn.Done(outcome)
		if first && s.secret != nil && outcome == lockout.Lost {
			// The password may have been refused: nothing else is to send it now.
			r.err = fmt.Errorf("%w: %w", proxyauth.ErrHeldBack, r.err)
		}
		s.mu.Unlock() // before the caller may close s
		results <- r
	}()
	select {
	case r := <-results:
		return r, r.err
	case <-ctx.Done():
		return result{}, context.Cause(ctx)
	}
}

// call makes a step. It is called with s.mu held.
func (s *security) call(in []byte, first bool) (result, status) {
	if first {
		in, st := s.logins.take(s.system, s.pkg, s.id)
		if st != statusOK {
			return result{err: newFailure("AcquireCredentialsHandle", st, s.pkg, s.id != nil, false)}, st
		}
		s.login, s.handle = in, in.credential.newContext()
	}
	if s.handle == nil {
		return result{err: errOutOfTurn}, statusInvalidToken
	}
	out, attributes, st := s.handle.step(s.target, s.bindings, in)
	if first && st == statusInvalidToken && s.pkg == ntlmPackage && s.bindings != nil {
		out, attributes, st = s.handle.step(s.target, nil, in) // Wine takes them with the challenge alone
	}
	r := result{out: out, done: st == statusOK, mutual: attributes&attrMutual != 0}
	switch {
	case st != statusOK && st != statusContinue:
		r.err = newFailure("InitializeSecurityContext", st, s.pkg, s.id != nil, !first)
	case attributes&attrDelegate != 0:
		r.err = errors.New("proxyauth: sspi: the context delegates credentials, which was not asked for")
	}
	return r, st
}

// verdict returns what a first step says of the password.
func verdict(st status) lockout.Outcome {
	switch st {
	case statusOK, statusContinue, statusTargetUnknown, statusWrongPrincipal:
		return lockout.Accepted
	case statusLogonDenied:
		return lockout.Refused
	case statusNoAuthority:
		return lockout.Unsent
	case statusTimeSkew:
		return lockout.NoVerdict
	}
	return lockout.Lost
}

// Close releases the handles, after the call that may be under way.
func (s *security) Close() error {
	if s.mu.TryLock() {
		s.release()
		return nil
	}
	go func() {
		s.mu.Lock()
		s.release()
	}()
	return nil
}

// release is called once, with s.mu held for good.
func (s *security) release() {
	if s.login != nil {
		s.handle.release()
		s.logins.give(s.login)
	}
}
