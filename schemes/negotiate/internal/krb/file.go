package krb

import (
	"sync"
	"time"
)

// A cacheFile is the ticket cache in use. It is read again when it has changed,
// and what came of the old one is dropped with it.
type cacheFile struct {
	mu   sync.Mutex
	st   stamp
	held *cache
	id   *identity
}

func (f *cacheFile) load(path string) (*cache, *identity, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held != nil && f.st.name == path && f.st.current() {
		return f.held, f.id, nil
	}
	f.held, f.id = nil, nil
	data, st, err := readFile(path, maxCacheSize)
	if err != nil {
		return nil, nil, err
	}
	held, err := parseCache(path, data)
	if err != nil {
		return nil, nil, err
	}
	f.st, f.held, f.id = st, held, held.identity()
	return f.held, f.id, nil
}

// forget makes the file be read again.
func (f *cacheFile) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held, f.id = nil, nil
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

// A keytabFile is the keytab in use, read again when it has changed.
type keytabFile struct {
	mu  sync.Mutex
	st  stamp
	tab keytab
}

func (f *keytabFile) load(path string) (keytab, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tab != nil && f.st.name == path && f.st.current() {
		return f.tab, nil
	}
	f.tab = nil
	data, st, err := readFile(path, maxKeytabSize)
	if err != nil {
		return nil, err
	}
	tab, err := parseKeytab(path, data)
	if err != nil {
		return nil, err
	}
	f.st, f.tab = st, tab
	return tab, nil
}
