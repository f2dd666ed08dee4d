package krb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/lru"
	"github.com/go-proxyauth/proxyauth/internal/onecall"
)

const (
	// cacheTimeout bounds how long ticket caches are looked at.
	cacheTimeout = 5 * time.Second

	// maxOpenCaches bounds the caches that are kept in memory, and those of a collection
	// that are looked at.
	maxOpenCaches = 64

	// settleTime is how long a cache that had tickets and is empty now is looked at
	// again: kinit fills a cache in several steps, of which the first one empties it.
	settleTime     = 250 * time.Millisecond
	settleInterval = 10 * time.Millisecond
)

// cacheTable holds the ticket caches in use. One is read again when it has changed, and
// what came of the old one is dropped with it. They are read while no lock is held.
type cacheTable struct {
	calls onecall.Group[wanted, found]

	mu     sync.Mutex
	caches lru.Table[string, *ticketCache] // by full name
	last   lru.Table[wanted, outcome]      // of the last look
}

// wanted is the name of a cache or a collection, and whose tickets are wanted of it, which
// is "" for anybody's.
type wanted struct{ name, principal string }

// An outcome is how a look for a cache ended.
type outcome struct {
	err   error     // nil if there was a ticket to be used
	retry time.Time // not to be looked for before: what keeps tickets did not answer
}

// A ticketCache is a ticket cache that was read. It is not changed once it is made.
type ticketCache struct {
	*cache
	id      *identity
	current func(context.Context) bool
}

// found is a ticket cache that was looked for, or why it can't be read.
type found struct {
	name  string // in full
	cache *ticketCache
	err   error
}

// open returns the cache of the wanted principal.
func (t *cacheTable) open(ctx context.Context, conf *conf, want wanted, meant func(principal) bool) (found, error) {
	return t.calls.Do(ctx, want, onecall.Options{Limit: cacheTimeout, NoValues: true}, func(ctx context.Context) (found, error) {
		last, ok := t.outcome(want)
		if time.Now().Before(last.retry) {
			return found{}, last.err
		}
		for end := time.Now().Add(settleTime); ; {
			f := choose(t.all(ctx, conf, want.name), want, meant)
			settling := ok && last.err == nil && f.empty() && ctx.Err() == nil && time.Now().Before(end)
			if f.err == nil || !settling {
				return f, t.note(ctx, want, f.err)
			}
			select {
			case <-time.After(settleInterval):
			case <-ctx.Done():
			}
		}
	})
}

func (t *cacheTable) outcome(want wanted) (outcome, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last.Get(want)
}

// note remembers how a look ended that was not broken off, and returns err.
func (t *cacheTable) note(ctx context.Context, want wanted, err error) error {
	o := outcome{err: err}
	switch {
	case err == nil:
	case isOverdue(ctx):
		o.retry = time.Now().Add(retryInterval)
	case ctx.Err() != nil:
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last.Max = maxOpenCaches
	t.last.Put(want, o)
	return err
}

// isOverdue reports whether cacheTimeout has passed.
func isOverdue(ctx context.Context) bool { return context.Cause(ctx) == context.DeadlineExceeded }

// empty reports whether the cache is not there, or is there without a ticket, as it is
// while kinit fills it.
func (f found) empty() bool { return f.cache == nil || len(f.cache.tickets) == 0 }

// choose returns the cache whose tickets can be used, or else the one whose error says most.
// Of a collection, the primary cache is the one if anybody's tickets are wanted.
func choose(all iter.Seq[found], want wanted, meant func(principal) bool) found {
	var best found
	for f := range all {
		f.err = f.usable(meant)
		owned := f.cache != nil && meant(f.cache.owner)
		if best.name == "" || owned && (best.cache == nil || !meant(best.cache.owner)) || f.err == nil {
			best = f
		}
		if f.err == nil || want.principal == "" {
			break
		}
	}
	return best
}

// usable returns why there is no ticket to be used, nil if there is one.
func (f found) usable(meant func(principal) bool) error {
	switch {
	case f.err != nil:
		return f.err
	case !meant(f.cache.owner):
		return because(ErrNoTicket, "%s is another user's", shown(f.name))
	case f.cache.expired(time.Now()):
		return because(ErrTicketExpired, "%s", shown(f.name))
	}
	return nil
}

// all yields the caches that a name stands for, the primary one first.
func (t *cacheTable) all(ctx context.Context, conf *conf, name string) iter.Seq[found] {
	return func(yield func(found) bool) {
		kind, rest, err := conf.cacheType(name)
		if err != nil {
			yield(found{name: name, err: err})
			return
		}
		n := 0
		for full, err := range kind.collection(ctx, rest) {
			if full == "" {
				full = name
			}
			f := found{name: full}
			if err == nil {
				f.cache, err = t.read(ctx, conf, full)
			}
			f.err = explainedCache(ctx, full, err)
			if n++; !yield(f) || n == maxOpenCaches {
				return
			}
		}
	}
}

// read returns what is in the cache of a full name.
func (t *cacheTable) read(ctx context.Context, conf *conf, name string) (*ticketCache, error) {
	opened := t.get(name)
	if opened != nil && opened.current(ctx) {
		return opened, nil
	}
	t.put(name, nil)
	kind, rest, err := conf.cacheType(name)
	if err != nil {
		return nil, err
	}
	got, err := kind.read(ctx, rest)
	if err != nil {
		return nil, err
	}
	parsed, err := parseCache(shown(name), got.data)
	if err != nil {
		return nil, err
	}
	opened = &ticketCache{cache: parsed, id: parsed.identity(), current: got.current}
	t.put(name, opened)
	return opened, nil
}

func (t *cacheTable) get(name string) *ticketCache {
	t.mu.Lock()
	defer t.mu.Unlock()
	opened, _ := t.caches.Get(name)
	return opened
}

// put sets the cache of a full name, nil for none.
func (t *cacheTable) put(name string, opened *ticketCache) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if opened == nil {
		t.caches.Delete(name)
		return
	}
	t.caches.Max = maxOpenCaches
	t.caches.Put(name, opened)
}

// forget makes all caches be read again.
func (t *cacheTable) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.caches.Clear()
	t.last.Clear()
}

// explainedCache returns the error for a cache that can't be read.
func explainedCache(ctx context.Context, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case isOverdue(ctx):
		return because(ErrNoTicket, "%s can't be read in time", shown(name))
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, fs.ErrNotExist):
		return because(ErrNoTicket, "there is no %s", shown(name))
	}
	return unreadable("ticket cache", err)
}

// shown returns a name as people know it: of a file, the path.
func shown(name string) string { return strings.TrimPrefix(name, "FILE:") }

// unreadable returns the error for what can't be read: another source may do, just as if it
// were not there.
func unreadable(what string, err error) error {
	for _, known := range []error{ErrNoTicket, ErrTicketExpired, ErrMalformedFile, ErrCacheType} {
		if errors.Is(err, known) {
			return err
		}
	}
	return detailed{
		fmt.Errorf("%w (%s: %w: check its path, its owner and its mode)", ErrNoTicket, what, err),
		About{What: fmt.Sprintf("%s: %v", what, err)},
	}
}

// identity returns an identity with the service tickets of the cache, which
// spare the KDC a question.
func (c *cache) identity() *identity {
	id := &identity{}
	now := time.Now()
	for _, cred := range c.tickets {
		if _, tgt := isTicketGranting(cred.ticket.SName); tgt || !cred.valid(now) {
			continue
		}
		// Whether or not krb5.conf tells the realm of the host.
		for _, realm := range []string{"", cred.ticket.Realm} {
			s := service{name: cred.ticket.SName, realm: realm}
			*id.slot(s.key()) = slot{cred: cred, retry: cred.end}
		}
	}
	return id
}
