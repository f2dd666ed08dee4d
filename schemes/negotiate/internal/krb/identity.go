package krb

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/lru"
	"github.com/go-proxyauth/proxyauth/internal/onecall"
)

// callTimeout bounds an exchange with KDCs, whoever waits for it.
const callTimeout = 30 * time.Second

// retryInterval is for how long a ticket that is still good is used without
// another try to renew it, after one has failed, and for how long nobody waits
// again for KDCs that did not answer.
const retryInterval = 30 * time.Second

// A login gets a new ticket-granting ticket.
type login func(ctx context.Context) (*credential, error)

// An identity holds the tickets of one user from one source. It gets them when
// they are asked for: nothing runs in the background, where a password that was
// changed would lock the account while nobody looks.
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
	err   error     // that the KDC did not answer, nil if there is a ticket
	retry time.Time // not to be renewed before
}

// known returns the ticket if there is no need, or no point, to renew it, or why
// there is no point in asking for one; neither if it is to be asked for.
func (s *slot) known(now time.Time) (*credential, error) {
	early := now.Before(s.retry)
	switch {
	case s.cred.fresh(now), s.cred.valid(now) && early:
		return s.cred, nil
	case early:
		return nil, s.err
	}
	return nil, nil
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

// get returns the ticket of that name, and gets a new one by fetch if it is
// needed. If that fails the old one will do for as long as it lasts.
func (id *identity) get(ctx context.Context, name string, fetch login) (*credential, error) {
	if cred, err := id.known(name); cred != nil || err != nil {
		return cred, err
	}
	return id.calls.Do(ctx, name, onecall.Options{Limit: callTimeout}, func(ctx context.Context) (*credential, error) {
		if cred, err := id.known(name); cred != nil || err != nil {
			return cred, err // by a call that has just ended
		}
		cred, err := guard(func() (*credential, error) { return fetch(ctx) })
		return id.put(name, cred, overdue(ctx, err))
	})
}

// known returns the ticket of that name, or why there is none, if a new one is not needed.
func (id *identity) known(name string) (*credential, error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.slot(name).known(time.Now())
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
		*s = slot{cred: cred, retry: now.Add(retryInterval)}
		return cred, nil
	case s.cred.valid(now):
		s.retry = now.Add(retryInterval)
		return s.cred, nil
	case isUnanswered(err):
		*s = slot{err: err, retry: now.Add(retryInterval)}
		return nil, err
	case err != nil:
		return nil, err
	}
	return nil, ErrTicketExpired
}

// isUnanswered reports whether err says that there is no KDC that answers. What holds
// a secret back has a pause of its own.
func isUnanswered(err error) bool {
	return (errors.Is(err, ErrKDCUnreachable) || errors.Is(err, ErrNoKDC)) && !errors.Is(err, errPaused)
}

// ticket returns a ticket for a service.
func (id *identity) ticket(ctx context.Context, s service, x *tgsExchange, in login) (*credential, error) {
	cred, err := id.get(ctx, s.key(), func(ctx context.Context) (*credential, error) {
		tgt, err := id.get(ctx, "", in)
		if err != nil {
			return nil, err
		}
		cred, err := x.run(ctx, tgt, s)
		if errors.Is(err, ErrTicketExpired) {
			// The KDC no longer takes it: a new one is needed.
			id.forget("", tgt)
		}
		return cred, err
	})
	return cred, err
}

func (s service) key() string { return s.String() + "@" + s.realm }

// forget drops a ticket that was refused, so that the next one to ask gets
// another.
func (id *identity) forget(name string, cred *credential) {
	id.mu.Lock()
	defer id.mu.Unlock()
	if s := id.slot(name); s.cred == cred {
		*s = slot{}
	}
}
