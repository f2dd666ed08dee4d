package proxyauth

import (
	"net/url"
	"sync"

	"github.com/go-proxyauth/proxyauth/internal/floor"
	"github.com/go-proxyauth/proxyauth/internal/lru"
	"github.com/go-proxyauth/proxyauth/internal/proxyaddr"
	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
)

// maxProxies bounds the table of proxies: a crawler may go through any number of
// them. What is in use is kept beyond it.
const (
	maxProxies = 1024
	maxSites   = 4 * maxProxies
)

// A table holds the proxies that a Transport knows. Its zero value is empty.
type table struct {
	mu      sync.Mutex
	proxies lru.Table[proxyKey, *proxy]
	sites   lru.Table[string, *site] // by canonical host and port; pinned by each of their proxies
}

// A proxyKey tells proxies and identities apart: another host, port, scheme or
// user info shares nothing with this one but the site.
type proxyKey struct {
	scheme, host, username, password string
	hasUser                          bool
}

func keyOf(u *url.URL) proxyKey {
	key := proxyKey{scheme: u.Scheme, host: u.Host, hasUser: u.User != nil}
	if u.User != nil {
		key.username = u.User.Username()
		key.password, _ = u.User.Password()
	}
	return key
}

// take returns the proxy that u names and counts it as in use.
func (t *table) take(s *state, u *url.URL) (*proxy, error) {
	if err := proxyconn.CheckHost(u.Host); err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.proxies.Max = maxProxies
	key := keyOf(u)
	entry, evicted := t.proxies.Pin(key, func() *proxy { return newProxy(s, key, t.pinSite(s, u)) })
	p := entry.Value
	p.entry = entry
	p.inUse++
	t.unpinSites(evicted)
	t.mu.Unlock()
	closeAll(evicted)
	return p, nil
}

// put ends a use that take began.
func (t *table) put(p *proxy) {
	t.mu.Lock()
	p.inUse--
	evicted := t.proxies.Unpin(p.entry)
	t.unpinSites(evicted)
	if p.forgotten && p.inUse == 0 {
		evicted = append(evicted, p) // nobody else will close its connections
	}
	t.mu.Unlock()
	closeAll(evicted)
}

func closeAll(ps []*proxy) {
	for _, p := range ps {
		p.closeIdle()
	}
}

// clear empties the table and returns what was in it.
func (t *table) clear() (ps []*proxy) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.proxies.All() {
		p.forgotten = true
		ps = append(ps, p)
	}
	t.proxies.Clear()
	t.sites.Clear()
	return ps
}

// all returns the proxies that are known.
func (t *table) all() (ps []*proxy) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.proxies.All() {
		ps = append(ps, p)
	}
	return ps
}

// pinSite returns the site of a proxy, which is kept as long as the proxy. The caller holds t.mu.
func (t *table) pinSite(s *state, u *url.URL) *lru.Entry[string, *site] {
	t.sites.Max = maxSites
	name := proxyaddr.Site(proxyaddr.Canonical(u.Scheme, u.Host))
	at, _ := t.sites.Pin(name, func() *site { return &site{floor: floor.New(len(s.schemes))} })
	return at
}

// unpinSites ends the use of their sites by proxies that have left the table. The caller
// holds t.mu.
func (t *table) unpinSites(ps []*proxy) {
	for _, p := range ps {
		t.sites.Unpin(p.at)
	}
}
