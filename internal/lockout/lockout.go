// Package lockout limits how often, and by how many requests at once, a secret is
// sent to a proxy, so that a wrong password doesn't lock the account and a right one
// is hardly ever delayed.
//
// A secret is tentative until the proxy accepts it: then one authorization at a time
// is under way, up to four after answers that settle nothing. Once accepted it is
// trusted, without a limit. A refusal or three losses in a row put a trusted secret
// in doubt, and it is tentative again. See [Outcome] for what each answer means.
package lockout

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// A Secret is what a [Limiter] limits. Two logins with equal Secrets share one limit.
type Secret struct {
	// Proxy is the canonical host:port of the proxy, without a scheme; for a
	// Kerberos password, the realm.
	Proxy string
	// User is the user's name as the proxy counts it.
	User string
	// Password is the secret, or the name of the auth-scheme for a login whose
	// secret is unknown (SSPI). Only a keyed hash of it is kept.
	Password string `json:"-"`
}

// Format hides the password from every verb of package fmt.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "lockout.Secret(hidden)")
}

// A State is what is known of a secret.
type State int

const (
	// Tentative: never accepted, or in doubt. It is sent in answer to a challenge
	// of the same exchange only.
	Tentative State = iota
	// Trusted: accepted. It may be sent unasked.
	Trusted
	// Barred: refused. No turn is given before [HeldError.Until].
	Barred
)

// A Limiter keeps what is known of secrets. Its zero value knows nothing and is ready
// for use. It is safe for concurrent use and must not be copied after first use. It
// starts no goroutines but timers, and calls nothing of the program.
type Limiter struct {
	mu       sync.Mutex // guards all below, and every secret, account, pair, Handle and Turn
	seed     []byte
	secrets  map[key]*secret
	accounts map[key]*account
	pairs    map[key]*pair
	clock    uint64 // grows with each use of a secret
}

// A Handle gives turns for one secret. It is safe for concurrent use and stays valid
// after [Limiter.Reset]. Handles of equal Secrets share one limit.
type Handle struct {
	l                     *Limiter
	proxy                 string
	secret, account, pair key
	s                     *secret // of l.secrets; nil or evicted: look it up
}

// Handle returns a handle for s. It hashes the secret; keep it for as long as the
// secret is in use.
func (l *Limiter) Handle(s Secret) *Handle {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &Handle{
		l:       l,
		proxy:   s.Proxy,
		secret:  l.hash("secret", s.Proxy, s.User, s.Password),
		account: l.hash("account", s.Proxy, s.User),
		pair:    l.hash("pair", s.User, s.Password),
	}
}

// Acquire returns a turn to send the secret for target, a name for scheme, host,
// port and method (CONNECT or not). It waits for at most 15 s. It waits for nothing
// where the secret is trusted. [Turn.Done] must be called.
//
// The error is a *[HeldError], or context.Cause(ctx) if ctx ends first.
func (h *Handle) Acquire(ctx context.Context, target string) (*Turn, error) {
	h.l.mu.Lock()
	s := h.record()
	if s.trusted(target) {
		t := new(s.newTurn(target))
		h.l.mu.Unlock()
		return t, nil
	}
	now := time.Now()
	w := &waiter{name: target, deadline: now.Add(maxWait)}
	if s.admit(w, now) {
		h.l.mu.Unlock()
		return w.turn, w.err
	}
	s.enqueue(w)
	s.arm(now)
	h.l.mu.Unlock()
	return s.wait(ctx, w)
}

// TryAcquire is Acquire where nothing has to be waited for, and reports whether that is so.
func (h *Handle) TryAcquire(target string) (turn *Turn, err error, ok bool) {
	h.l.mu.Lock()
	defer h.l.mu.Unlock()
	now := time.Now()
	w := &waiter{name: target, deadline: now.Add(maxWait)}
	ok = h.record().admit(w, now)
	return w.turn, w.err, ok
}

// AcquireTrusted is Acquire for a secret that is trusted: it sets t, which must not be in
// use, and reports whether it did.
func (h *Handle) AcquireTrusted(t *Turn, target string) bool {
	h.l.mu.Lock()
	defer h.l.mu.Unlock()
	s := h.record()
	if !s.trusted(target) {
		return false
	}
	*t = s.newTurn(target)
	return true
}

// State reports what is known of the secret, without waiting.
func (h *Handle) State() State {
	h.l.mu.Lock()
	defer h.l.mu.Unlock()
	s := h.record()
	switch {
	case s.level == Trusted:
		return Trusted
	case s.final, s.pair.forbids(s):
		return Barred
	case s.level == Barred && s.underWay == 0 && s.notBefore().After(time.Now()):
		return Barred
	}
	return Tentative
}

// WasAccepted reports whether the secret was ever accepted since Reset.
func (h *Handle) WasAccepted() bool {
	h.l.mu.Lock()
	defer h.l.mu.Unlock()
	return h.record().accepted
}

// Reset forgets every verdict. An authorization that is under way still counts
// against the limit, and its answer settles nothing; a refusal denies its target.
func (l *Limiter) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.accounts {
		a.accept()
	}
	for _, p := range l.pairs {
		p.refused, p.accepted = 0, false
	}
	now := time.Now()
	for k, s := range l.secrets {
		if s.underWay == 0 && s.waiting == 0 {
			l.drop(k, s)
			continue
		}
		s.forget()
		s.grantAll(now)
	}
}

// Counts is a snapshot of what a [Limiter] knows of the secrets for one proxy.
type Counts struct {
	Waiting int // requests that wait for a turn
	Doubted int // secrets that were accepted and are in doubt
	Paused  int // secrets that are not sent before a pause ends
	Barred  int // secrets that were refused
}

// Counts returns how many requests wait and how many secrets are limited, by
// Secret.Proxy.
func (l *Limiter) Counts() map[string]Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	all := make(map[string]Counts)
	for _, s := range l.secrets {
		c := all[s.account.proxy]
		c.Waiting += s.waiting
		switch {
		case s.level == Barred:
			c.Barred++
		case s.level == Tentative && s.notBefore().After(now):
			c.Paused++
		}
		if s.level == Tentative && s.accepted {
			c.Doubted++
		}
		all[s.account.proxy] = c
	}
	return all
}
