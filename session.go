package proxyauth

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"sync"
	"time"
)

// A proxy is what is known of one proxy, under one user info.
type proxy struct {
	*state
	key   proxyKey
	url   *url.URL     // canonical
	name  string       // url as text
	user  *Credentials // the user info, nil if there is none
	inUse int          // requests; guarded by the table
	pools pools

	// flight is held by the one request that finds out what the proxy wants,
	// or that proves credentials; the others wait for it.
	flight chan struct{}

	mu        sync.Mutex
	contacted bool          // the proxy has answered something
	open      bool          // the last request without authorization has passed
	method    *method       // nil while none is known
	proved    bool          // the proxy has accepted method
	idle      []Session     // accepted sessions that serve the next requests
	refusals  []Credentials // the last ones
	lastHost  string        // of the last forwarded request
}

// A method is a scheme with the credentials for it. It does not change.
type method struct {
	scheme Scheme
	index  int // of scheme in Transport.Schemes
	creds  Credentials
	print  fingerprint
	req    *CredentialsRequest // what the provider was asked

	// ambient says that the scheme has credentials of its own, such as
	// tickets, of which a refusal costs nothing.
	ambient bool
}

// binds reports whether the scheme authenticates connections.
func (m *method) binds() bool {
	b, ok := m.scheme.(ConnectionBinder)
	return ok && b.BindsConnection()
}

const (
	// maxIdleSessions bounds the sessions kept for later requests, of which
	// each may hold a nonce.
	maxIdleSessions = 256

	// maxRefused bounds the refused credentials that a provider is shown.
	maxRefused = 8
)

func newProxy(s *state, key proxyKey) *proxy {
	p := &proxy{state: s, key: key, url: key.canonical(), flight: make(chan struct{}, 1)}
	p.name = p.url.String()
	if key.hasUser {
		p.user = &Credentials{Username: key.username, Password: NewSecret(key.password)}
	}
	p.pools.proxy = p
	return p
}

// current returns the method in use and whether the proxy has accepted it.
func (p *proxy) current() (m *method, proved bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.method, p.proved
}

// accepts reports whether the proxy has accepted m.
func (p *proxy) accepts(m *method) bool {
	current, proved := p.current()
	return current == m && proved
}

// noteHost notes where requests go, for the opening legs of connections.
func (p *proxy) noteHost(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastHost = host
}

// checkOut returns an idle session of m, or nil.
func (p *proxy) checkOut(m *method) Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if p.method != m || n == 0 {
		return nil
	}
	s := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return s
}

// checkIn keeps an accepted session of m for a later request.
func (p *proxy) checkIn(m *method, s Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.method == m && len(p.idle) < maxIdleSessions {
		p.idle = append(p.idle, s)
	}
}

// choose makes m the method in use, not proved yet.
func (p *proxy) choose(m *method) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contacted, p.open = true, false
	p.method, p.proved, p.idle = m, false, nil
}

// prove notes that the proxy has accepted m.
func (p *proxy) prove(ctx context.Context, m *method) {
	p.mu.Lock()
	// A late answer does not bring back what has been refused meanwhile.
	first := p.method == m && !p.proved
	if first {
		p.proved = true
	}
	p.mu.Unlock()
	if !first {
		return
	}
	if p.trace != nil {
		call(p.trace.Authenticated, TraceInfo{Proxy: p.name, Scheme: m.scheme.Name()})
	}
	if o, ok := p.provider.(CredentialsObserver); ok {
		o.Accepted(ctx, m.req, m.creds)
	}
}

// doubt notes that the proxy no longer accepts what a session of m knew, so that
// one request proves it again.
func (p *proxy) doubt(m *method) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.method == m {
		p.proved, p.idle = false, nil
	}
}

// abandon notes that m can't be carried out.
func (p *proxy) abandon(m *method) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.method == m {
		p.method, p.proved, p.idle = nil, false, nil
	}
}

// refuse notes that the proxy has refused the credentials of m.
func (p *proxy) refuse(ctx context.Context, m *method) {
	first := p.refused.add(m.print)
	p.mu.Lock()
	if p.method == m {
		p.method, p.proved, p.idle = nil, false, nil
	}
	if first {
		p.refusals = append(p.refusals, m.creds)
		if n := len(p.refusals); n > maxRefused {
			p.refusals = slices.Delete(p.refusals, 0, n-maxRefused)
		}
	}
	p.mu.Unlock()
	if !first {
		return
	}
	if p.trace != nil {
		call(p.trace.Rejected, TraceInfo{Proxy: p.name, Scheme: m.scheme.Name(), Err: ErrRejected})
	}
	if o, ok := p.provider.(CredentialsObserver); ok {
		o.Rejected(ctx, m.req, m.creds)
	}
}

// asked notes that a request without authorization was challenged.
func (p *proxy) asked() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contacted, p.open = true, false
}

// passed notes that a request without authorization was let pass.
func (p *proxy) passed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contacted = true
	p.open = p.method == nil
}

// credentials returns the credentials for a scheme: the ones in use, or else the
// provider's. The caller holds the flight.
func (p *proxy) credentials(ctx context.Context, index int, challenges []Challenge) (*method, error) {
	if m, _ := p.current(); m != nil && m.index == index && !p.refused.has(m.print) {
		return m, nil
	}
	scheme := p.schemes[index]
	req := &CredentialsRequest{Proxy: p.url, UserInfo: p.user, Scheme: scheme.Name()}
	if len(challenges) > 0 {
		req.Realm = challenges[0].Params["realm"]
	}
	p.mu.Lock()
	req.Rejected = slices.Clone(p.refusals)
	p.mu.Unlock()
	start := time.Now()
	creds, err := p.provider.Credentials(ctx, req)
	if p.trace != nil {
		call(p.trace.CredentialsAsked, TraceInfo{Proxy: p.name, Scheme: req.Scheme, Duration: time.Since(start), Err: err})
	}
	ambient := errors.Is(err, ErrNoCredentials) && isAmbient(scheme)
	if err != nil && !ambient {
		return nil, err
	}
	m := &method{ambient: ambient, scheme: scheme, index: index, creds: creds, req: req, print: p.refused.fingerprint(p.name, creds)}
	if !ambient && p.refused.has(m.print) {
		return nil, ErrRejected
	}
	return m, nil
}

func isAmbient(scheme Scheme) bool {
	a, ok := scheme.(AmbientScheme)
	return ok && a.Ambient()
}
