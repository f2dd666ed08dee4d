package krb

import (
	"sync"
	"time"
)

// maxIdentities bounds the identities. One that has not been used for idleTime
// is destroyed when another one comes, and so is the one that has been idle
// longest when there are too many.
const (
	maxIdentities = 128
	idleTime      = 30 * time.Minute
)

// A table holds the identities of secrets. The zero value is empty.
type table struct {
	mu  sync.Mutex
	ids map[fingerprint]*identity
}

// identity returns the identity of a secret, and destroys those that are idle.
func (t *table) identity(print fingerprint) *identity {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	id := t.ids[print]
	if id == nil {
		t.sweep(now)
		id = &identity{}
		if t.ids == nil {
			t.ids = map[fingerprint]*identity{}
		}
		t.ids[print] = id
	}
	id.used = now
	return id
}

func (t *table) sweep(now time.Time) {
	var oldest fingerprint
	for print, id := range t.ids {
		if now.Sub(id.used) > idleTime {
			delete(t.ids, print)
		} else if first := t.ids[oldest]; first == nil || id.used.Before(first.used) {
			oldest = print
		}
	}
	if len(t.ids) >= maxIdentities {
		delete(t.ids, oldest)
	}
}

func (t *table) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.ids)
}
