package proxyauth

import (
	"context"
	"crypto/tls"
	"errors"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A proxy is what is known of one proxy, under one user info.
type proxy struct {
	*state
	key   proxyKey
	url   *url.URL     // canonical
	name  string       // url as text
	user  *Credentials // the user info, nil if there is none
	pools pools
	count *counters

	// Guarded by the table.
	inUse     int  // requests
	forgotten bool // no longer in the table, though in use

	// flight is held by the one request that finds out what the proxy wants,
	// or that proves credentials; the others wait for it.
	flight chan struct{}
	late   atomic.Int32 // proofs without an answer for which nobody waits any longer

	mu        sync.Mutex
	contacted bool                 // the proxy has answered something
	open      bool                 // the last request without authorization has passed
	method    *method              // nil while none is known
	proved    bool                 // the proxy has accepted method
	told      *method              // the last one that was accepted, as the provider knows
	accepted  Session              // the last one of method, nil if there is none
	idle      []*session           // those that no request uses
	refusals  []Credentials        // the last ones
	floor     int                  // index of the scheme last chosen of those offered: what is weaker is a downgrade
	held      bool                 // the proxy has accepted the scheme of the floor
	lastHost  string               // of the last forwarded request
	lastTLS   *tls.ConnectionState // of the last connection to an https:// proxy

	habits []habit // of the proxy, by scheme
	free   freeHosts

	// tried says why no scheme could be begun, when that was last found out.
	tried   []*SchemeError
	triedAt time.Time
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

	// guess says that the proxy had not offered the scheme.
	guess bool

	// until is when the credentials may no longer be sent; zero means never.
	until time.Time

	habit *habit
}

// binds reports whether the scheme authenticates connections of this proxy.
func (m *method) binds() bool {
	return properties(m.scheme).BindsConnection && !m.habit.perRequest.Load()
}

const (
	// maxIdleSessions bounds the sessions kept for later requests.
	maxIdleSessions = 256

	// maxRefused bounds the refused credentials that a provider is shown.
	maxRefused = 8
)

func newProxy(s *state, key proxyKey) *proxy {
	p := &proxy{state: s, key: key, url: key.canonical(), flight: make(chan struct{}, 1), floor: len(s.schemes), habits: make([]habit, len(s.schemes))}
	p.name = p.url.String()
	if key.hasUser {
		p.user = &Credentials{Username: key.username, Password: NewSecret(key.password)}
	}
	p.pools.proxy = p
	p.count = s.stats.of(p.name)
	return p
}

// shownURL returns a copy of the proxy's URL, for a hook of the program.
func (p *proxy) shownURL() *url.URL {
	u := *p.url
	return &u
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

// acceptedSession returns a session of m that the proxy has accepted, or nil.
func (p *proxy) acceptedSession(m *method) Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.method != m {
		return nil
	}
	return p.accepted
}

// checkOut returns an accepted session of m that no other request uses, or nil.
func (p *proxy) checkOut(m *method) *session {
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

// checkIn keeps an accepted session of m for later requests.
func (p *proxy) checkIn(m *method, s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.method != m {
		return
	}
	if p.accepted = s.Session; len(p.idle) < maxIdleSessions {
		p.idle = append(p.idle, s)
	}
}

// choose makes m the method in use, not proved yet.
func (p *proxy) choose(m *method) {
	p.mu.Lock()
	before := p.told
	p.contacted, p.open = true, false
	p.method, p.proved, p.accepted, p.idle = m, false, nil, nil
	if !m.guess {
		p.held = p.held && p.floor == m.index
		p.floor = m.index
	}
	p.mu.Unlock()
	// Connections that are authenticated for one user are not for another.
	switch {
	case before == nil || before.print == m.print:
	case before.lapsed() && before.creds.Username == m.creds.Username:
		// The secret was good, and so is what it has opened.
	case before.creds.Username != m.creds.Username:
		p.pools.retire(tunnelPool)
		fallthrough
	default:
		p.pools.retire(boundPool)
	}
}

// prove notes that the proxy has accepted m.
func (p *proxy) prove(ctx context.Context, m *method) {
	p.mu.Lock()
	// A late answer does not bring back what has been refused meanwhile.
	first := p.method == m && !p.proved
	news := first && p.told != m && !m.ambient
	if first {
		p.proved, p.told = true, m
		p.floor, p.held = m.index, true
	}
	p.mu.Unlock()
	if !first {
		return
	}
	if p.trace != nil {
		call(askFor(ctx, p), p.trace.Accepted, TraceInfo{Proxy: p.name, Scheme: m.scheme.Name()})
	}
	if o, ok := p.provider.(CredentialsObserver); ok && news {
		o.Accepted(ctx, m.req, m.creds)
	}
}

// doubt notes that the proxy no longer accepts what a session of m knew, so that
// one request proves it again.
func (p *proxy) doubt(m *method) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.method == m {
		p.proved, p.accepted, p.idle = false, nil, nil
	}
}

// abandon notes that m can't be carried out.
func (p *proxy) abandon(m *method) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.method == m {
		p.method, p.proved, p.accepted, p.idle = nil, false, nil, nil
	}
}

// refuse notes that the proxy has refused the credentials of m.
func (p *proxy) refuse(ctx context.Context, m *method) {
	first := p.refused.add(m.print)
	p.lost.forget(m.print)
	p.mu.Lock()
	if p.method == m {
		p.method, p.proved, p.accepted, p.idle = nil, false, nil, nil
	}
	p.showRefusal(m.creds)
	p.mu.Unlock()
	if !first {
		return
	}
	p.count.rejections.Add(1)
	if p.trace != nil {
		call(askFor(ctx, p), p.trace.Refused, TraceInfo{Proxy: p.name, Scheme: m.scheme.Name(), Err: ErrRejected})
	}
	if o, ok := p.provider.(CredentialsObserver); ok {
		o.Rejected(askFor(ctx, p), m.req, m.creds)
	}
}

// showRefusal adds c to the refused credentials that the provider is shown. It
// returns false if it is among them. The caller holds p.mu.
func (p *proxy) showRefusal(c Credentials) bool {
	if slices.ContainsFunc(p.refusals, func(r Credentials) bool {
		return r.Username == c.Username && r.Password.Reveal() == c.Password.Reveal()
	}) {
		return false
	}
	p.refusals = append(p.refusals, c)
	if n := len(p.refusals); n > maxRefused {
		p.refusals = slices.Delete(p.refusals, 0, n-maxRefused)
	}
	return true
}

// noteTried notes why no scheme can be begun.
func (p *proxy) noteTried(tried []*SchemeError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tried, p.triedAt = slices.Clone(tried), time.Now()
}

// triedSince returns why no scheme can be begun, if that was found out after t, and
// nil if it wasn't: who has waited for another request that was told by a KDC
// that does not answer, say, does not wait for that once more.
func (p *proxy) triedSince(t time.Time) []*SchemeError {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.triedAt.After(t) {
		return nil
	}
	return slices.Clone(p.tried)
}

// asked notes that a request without authorization was challenged.
func (p *proxy) asked() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contacted, p.open = true, false
}

// isKnown reports whether the proxy has answered anything.
func (p *proxy) isKnown() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.contacted
}

// isOpen reports whether the last request without authorization has passed.
func (p *proxy) isOpen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// passed notes that a request without authorization was let pass.
func (p *proxy) passed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contacted = true
	p.open = p.method == nil
}

// credentials returns the credentials for a scheme: the ones in use, or else the
// provider's. The caller holds the flight. guess says that the proxy has not
// offered the scheme.
func (p *proxy) credentials(ctx context.Context, index int, realm string, guess bool) (*method, error) {
	if m, _ := p.current(); m != nil && m.index == index && !m.lapsed() && !p.refused.has(m.print) {
		return m, nil
	}
	why := ErrRejected
	for range maxAnswers {
		m, err := p.ask(ctx, index, realm, guess)
		if err != nil || m.ambient || !p.refused.has(m.print) {
			return m, err
		}
		why = p.refused.why(m.print)
		// The provider has not been shown what was refused before this
		// proxy's entry was made, or under another user info.
		p.mu.Lock()
		news := p.showRefusal(m.creds)
		p.mu.Unlock()
		if !news {
			break
		}
	}
	return nil, why
}

// ask asks the provider.
func (p *proxy) ask(ctx context.Context, index int, realm string, guess bool) (*method, error) {
	scheme := p.schemes[index]
	req := &CredentialsRequest{Proxy: p.shownURL(), UserInfo: p.user, Scheme: scheme.Name(), Realm: realm}
	p.mu.Lock()
	req.Rejected = slices.Clone(p.refusals)
	p.mu.Unlock()
	start := time.Now()
	ctx, end := untilCaller(ctx)
	creds, err := p.provider.Credentials(askFor(ctx, p), req)
	if err == nil && !creds.Expires.IsZero() && !time.Now().Before(creds.Expires) {
		err = errLapsed
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // whatever the provider makes of it
	}
	end()
	if p.trace != nil {
		call(askFor(ctx, p), p.trace.CredentialsAsked, TraceInfo{Proxy: p.name, Scheme: req.Scheme, Duration: time.Since(start), Err: err})
	}
	ambient := errors.Is(err, ErrNoCredentials) && isAmbient(scheme)
	if err != nil && !ambient {
		return nil, err
	}
	return &method{
		scheme:  scheme,
		index:   index,
		creds:   creds,
		print:   p.refused.fingerprint(p.name, creds),
		req:     req,
		ambient: ambient,
		guess:   guess,
		until:   creds.Expires,
		habit:   &p.habits[index],
	}, nil
}

func isAmbient(scheme Scheme) bool {
	return properties(scheme).Ambient
}

// ended notes that a request ended with err.
func (p *proxy) ended(ctx context.Context, err error) {
	p.count.fail(err)
	p.log.failed(ctx, err)
}
