package krb

import (
	"sync"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/lru"
)

// maxIdentities bounds the identities that are not in use: all users of a program may come one
// after the other, and each proves a password anew that finds its tickets gone. One that has not
// been used for idleTime is destroyed when another one comes, and so is the one that has been idle
// for longest when there are too many.
const (
	maxIdentities = maxPauses
	idleTime      = 30 * time.Minute
)

// A table holds the identities of secrets. The zero value is empty.
type table struct {
	mu  sync.Mutex
	ids lru.Table[fingerprint, *identity]
}

// use returns the identity of a secret, which is in use until release is called. It
// destroys those that are idle.
func (t *table) use(print fingerprint) *identity {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, found := t.ids.Get(print); !found {
		t.sweep(time.Now())
	}
	t.ids.Max = maxIdentities
	e, _ := t.ids.Pin(print, func() *identity { return &identity{} })
	e.Value.entry = e
	return e.Value
}

// release ends a use. Identities of ticket caches are not in the table.
func (t *table) release(id *identity) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id.entry != nil {
		id.used = time.Now()
		t.ids.Unpin(id.entry)
	}
}

// sweep destroys the identities that have been idle for too long. The caller holds
// t.mu.
func (t *table) sweep(now time.Time) {
	for {
		print, id, found := t.ids.Oldest()
		if !found || now.Sub(id.used) <= idleTime {
			return
		}
		t.ids.Delete(print)
	}
}

func (t *table) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ids.Clear()
}
