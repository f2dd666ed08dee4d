package proxyauth

import (
	"container/list"
	"net"
	"net/url"
	"strings"
	"sync"
)

// maxProxies bounds the table of proxies: a crawler may go through any number of
// them. What is in use is kept beyond it.
const maxProxies = 1024

// A table holds the proxies that a Transport knows, the ones used last first.
// Its zero value is empty.
type table struct {
	mu    sync.Mutex
	byKey map[proxyKey]*list.Element // of *proxy
	order list.List
}

// A proxyKey tells proxies and identities apart: another host, port, scheme or
// user info shares nothing with this one.
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
	p, evicted, err := t.lookUp(s, u)
	for _, old := range evicted {
		old.pools.closeIdle()
	}
	return p, err
}

func (t *table) lookUp(s *state, u *url.URL) (_ *proxy, evicted []*proxy, err error) {
	key := keyOf(u)
	t.mu.Lock()
	defer t.mu.Unlock()
	if el, ok := t.byKey[key]; ok {
		t.order.MoveToFront(el)
		p := el.Value.(*proxy)
		p.inUse++
		return p, nil, nil
	}
	if err := checkHost(u.Host); err != nil {
		return nil, nil, err
	}
	p := newProxy(s, key)
	p.inUse = 1
	if t.byKey == nil {
		t.byKey = make(map[proxyKey]*list.Element)
	}
	t.byKey[key] = t.order.PushFront(p)
	return p, t.evict(), nil
}

// put ends a use that take began.
func (t *table) put(p *proxy) {
	t.mu.Lock()
	p.inUse--
	last := p.forgotten && p.inUse == 0
	t.mu.Unlock()
	if last {
		p.pools.closeIdle() // nobody else will
	}
}

// evict forgets the proxies whose last use is the longest ago, if there are too
// many, and returns them. The caller holds t.mu.
func (t *table) evict() (evicted []*proxy) {
	for el := t.order.Back(); el != nil && t.order.Len() > maxProxies; {
		p, prev := el.Value.(*proxy), el.Prev()
		if p.inUse == 0 {
			t.order.Remove(el)
			delete(t.byKey, p.key)
			evicted = append(evicted, p)
		}
		el = prev
	}
	return evicted
}

// clear empties the table and returns what was in it.
func (t *table) clear() (ps []*proxy) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for el := t.order.Front(); el != nil; el = el.Next() {
		p := el.Value.(*proxy)
		p.forgotten = true
		ps = append(ps, p)
	}
	t.byKey = nil
	t.order.Init()
	return ps
}

// canonical returns the URL that the key names as it is shown to schemes,
// providers and users: host in lower case, with a port, and no user info.
func (k proxyKey) canonical() *url.URL {
	u := &url.URL{Scheme: k.scheme, Host: strings.ToLower(k.host)}
	if u.Port() == "" {
		port := "80"
		if u.Scheme == "https" {
			port = "443"
		}
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return u
}
