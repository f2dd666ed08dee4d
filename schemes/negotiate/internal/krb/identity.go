package krb

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/lru"
	"github.com/go-proxyauth/proxyauth/internal/onecall"
)

// callTimeout bounds an exchange with KDCs, whoever waits for it. That for a ticket-granting
// ticket and that for a service's have it each.
const callTimeout = 30 * time.Second

// retryInterval is for how long a ticket that is still good is used without
// another try to renew it, after one has failed.
const retryInterval = 30 * time.Second

// KDCs that can't be reached at all are tried again by the same call after each of retries, so
// that a KDC that is restarted fails nobody, but no longer than retryFor after it began: who
// waits may have another scheme. Then requests fail at once for minUnanswered, twice as long
// each further time up to maxUnanswered. After that one request makes another call, for which
// it waits no longer than probeWait. When nobody has asked for staleAfter, it is as if
// nothing were known.
const (
	retryFor      = 3 * time.Second
	minUnanswered = 200 * time.Millisecond
	maxUnanswered = 5 * time.Second
	probeWait     = time.Second
	staleAfter    = 30 * time.Second
)

var retries = []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond}

// A login gets a new ticket-granting ticket.
type login func(ctx context.Context) (*credential, error)

// An identity holds the tickets of one user from one source. It gets them when
// they are asked for. One that ends soon is renewed beside the request that asks for it, which
// uses the old one. Nothing runs without a request, while nobody looks: that would lock the
// account after a change of the password.
type identity struct {
	calls onecall.Group[string, *credential] // by the ticket's name

	mu       sync.Mutex
	entry    *lru.Entry[fingerprint, *identity] // guarded by the table, nil for a ticket cache's
	used     time.Time                          // guarded by the table
	initial  slot
	services lru.Table[string, *slot]
}

// A slot holds a ticket, or why there is none.
type slot struct {
	cred  *credential
	err   error         // that no KDC has answered, nil if there is a ticket
	pause time.Duration // after err
	retry time.Time     // no other call before
	busy  bool          // a call is made beside
}

// known returns the ticket, or why there is none, and whether it is time for another call
// beside; neither if there is nothing to do but to wait for a call.
func (s *slot) known(now time.Time) (cred *credential, err error, due bool) {
	due = !now.Before(s.retry) && !s.busy
	switch {
	case s.cred.fresh(now):
		return s.cred, nil, false
	case s.cred.valid(now):
		return s.cred, nil, due
	case s.err != nil && now.Sub(s.retry) < staleAfter:
		return nil, s.err, due
	}
	return nil, nil, false
}

// maxServices bounds the tickets of an identity: one for each proxy in use.
const maxServices = 256

// slot returns the slot of a service. The caller holds id.mu.
func (id *identity) slot(name string) *slot {
	if name == "" {
		return &id.initial
	}
	s, found := id.services.Get(name)
	if !found {
		s = &slot{}
		id.services.Max = maxServices
		id.services.Put(name, s)
	}
	return s
}

// get returns the ticket of that name. If that is needed it gets a new one by fetch: beside, if
// there is one that still is good, or if there was no answer a moment ago.
func (id *identity) get(ctx context.Context, name string, fetch login) (*credential, error) {
	id.mu.Lock()
	s := id.slot(name)
	cred, err, due := s.known(time.Now())
	s.busy = s.busy || due
	id.mu.Unlock()
	switch {
	case due && cred != nil:
		go id.beside(ctx, s, fetch)
		return cred, nil
	case due:
		return id.probe(ctx, s, err, fetch)
	case cred != nil || err != nil:
		return cred, err
	}
	return fetch(ctx)
}

// beside calls fetch for a request that may have ended.
func (id *identity) beside(ctx context.Context, s *slot, fetch login) (*credential, error) {
	defer func() {
		id.mu.Lock()
		defer id.mu.Unlock()
		s.busy = false
	}()
	return fetch(context.WithoutCancel(ctx))
}

// probe calls fetch after there was no answer, as known says, and does not wait for it for long.
func (id *identity) probe(ctx context.Context, s *slot, known error, fetch login) (*credential, error) {
	waiting, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	cred, err, left := onecall.Go(waiting, func() (*credential, error) { return id.beside(ctx, s, fetch) }, func(*credential) {})
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case left:
		return nil, known
	}
	return cred, err
}

// call returns what fetch returns, which is shared by all who ask for the ticket of that name
// at the same time. If it fails, the old ticket will do for as long as it lasts.
func (id *identity) call(ctx context.Context, name string, fetch login) (*credential, error) {
	return id.calls.Do(ctx, name, onecall.Options{Limit: callTimeout, NoValues: true}, func(ctx context.Context) (*credential, error) {
		id.mu.Lock()
		s := id.slot(name)
		cred, err := s.cred, s.err
		early := time.Now().Before(s.retry)
		id.mu.Unlock()
		if early && (cred.valid(time.Now()) || err != nil) {
			return cred, err // by a call that has just ended
		}
		cred, err = persist(ctx, fetch)
		return id.put(name, cred, overdue(ctx, err))
	})
}

// persist calls fetch, and again for as long as no KDC can be reached.
func persist(ctx context.Context, fetch login) (*credential, error) {
	begin := time.Now()
	for _, pause := range retries {
		cred, err := recovered(func() (*credential, error) { return fetch(ctx) })
		if !errors.Is(err, ErrKDCUnreachable) || !isUnanswered(err) || time.Since(begin)+pause > retryFor {
			return cred, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return recovered(func() (*credential, error) { return fetch(ctx) })
}

// overdue returns the error for an exchange that has reached callTimeout.
func overdue(ctx context.Context, err error) error {
	if errors.Is(err, context.DeadlineExceeded) && context.Cause(ctx) == context.DeadlineExceeded {
		return because(ErrKDCUnreachable, "no answer within %v", callTimeout)
	}
	return err
}

func (id *identity) put(name string, cred *credential, err error) (*credential, error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	now, s := time.Now(), id.slot(name)
	switch {
	case err == nil && cred.valid(now):
		s.cred, s.err, s.pause, s.retry = cred, nil, 0, now.Add(retryInterval)
		return cred, nil
	case s.cred.valid(now):
		s.retry = now.Add(retryInterval)
		return s.cred, nil
	case isUnanswered(err):
		s.cred, s.err = nil, err
		s.pause = min(max(2*s.pause, minUnanswered), maxUnanswered)
		s.retry = now.Add(s.pause)
		return nil, err
	case err != nil:
		s.err = nil
		return nil, err
	}
	return nil, ErrTicketExpired
}

// isUnanswered reports whether err says that there is no KDC that answers, or none but one in
// trouble. What holds a secret back has a pause of its own.
func isUnanswered(err error) bool {
	unanswered := errors.Is(err, ErrKDCUnreachable) || errors.Is(err, ErrNoKDC) || errors.Is(err, errTrouble)
	return unanswered && !errors.Is(err, errPaused)
}

// ticket returns a ticket for a service.
func (id *identity) ticket(ctx context.Context, s service, x *tgsExchange, in login) (*credential, error) {
	return id.get(ctx, s.key(), func(ctx context.Context) (*credential, error) {
		cred, tgt, err := id.serviceTicket(ctx, s, x, in)
		if tgt != nil && errors.Is(err, ErrTicketExpired) && !tgt.isNew() {
			// The KDC no longer takes it: a new one is needed.
			id.forget("", tgt)
			cred, _, err = id.serviceTicket(ctx, s, x, in)
		}
		return cred, err
	})
}

func (id *identity) serviceTicket(ctx context.Context, s service, x *tgsExchange, in login) (cred, tgt *credential, err error) {
	tgt, err = id.get(ctx, "", func(ctx context.Context) (*credential, error) { return id.call(ctx, "", in) })
	if err != nil {
		return nil, nil, err
	}
	cred, err = id.call(ctx, s.key(), func(ctx context.Context) (*credential, error) { return x.run(ctx, tgt, s) })
	return cred, tgt, err
}

func (s service) key() string { return s.String() + "@" + s.realm }

// forget drops a ticket that was refused, so that the next one to ask gets
// another.
func (id *identity) forget(name string, cred *credential) {
	id.mu.Lock()
	defer id.mu.Unlock()
	if s := id.slot(name); s.cred == cred {
		s.cred, s.err, s.pause, s.retry = nil, nil, 0, time.Time{}
	}
}
