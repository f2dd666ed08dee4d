package proxyauth

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/connpool"
	"github.com/go-proxyauth/proxyauth/internal/floor"
	"github.com/go-proxyauth/proxyauth/internal/lru"
	"github.com/go-proxyauth/proxyauth/internal/onecall"
	"github.com/go-proxyauth/proxyauth/internal/proxyaddr"
	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
)

const (
	// maxRefused bounds the refused credentials that a provider is shown.
	maxRefused = 8

	// maxExempt bounds the hosts that are known to be exempt at one proxy.
	maxExempt = 1 << 10

	// maxUnprobed bounds the hosts whose challenges are known from requests alone.
	maxUnprobed = 1 << 6

	// firstContact is how long a request waits for another one that is the first
	// at a proxy.
	firstContact = 2 * time.Second

	// strongerEvery is how often a stronger scheme that could not be carried out
	// is tried again.
	strongerEvery = time.Minute
)

// A site is what all proxies with one host and port have in common, whatever the
// scheme and the user info of their URLs.
type site struct {
	mu sync.Mutex // guards the site and its proxies

	floor floor.Floor
}

// A proxy is what is known of one proxy, under one user info.
type proxy struct {
	*state
	*site
	key           proxyKey
	url           *url.URL // canonical
	name          string   // url as text
	address       string   // canonical host and port
	user          *Credentials
	count         *counters
	dialer        *proxyconn.Dialer
	forward       *connpool.Pool // for forwarded requests
	preauthorized *connpool.Pool // for those with a Proxy-Authorization of the program
	asks          onecall.Group[question, *login]

	// Guarded by the table.
	entry     *lru.Entry[proxyKey, *proxy]
	at        *lru.Entry[string, *site]
	inUse     int
	forgotten bool

	oneConnect   atomic.Bool // the proxy takes no second CONNECT on a connection (nghttpx)
	channelBound atomic.Bool // an authorization was

	// Guarded by site.mu.
	tunnels   *tunnels
	login     *login        // in use, nil if none is
	best      int           // least rank that the site had accepted when login came into use
	contacted bool          // the proxy has answered something
	first     chan struct{} // closed when the first exchange ends, nil while there is none
	refusals  []Credentials // the last ones
	refused   *login        // the last one, nil if none was
	failed    failedAsk     // the last
	fallback  error         // why nothing stronger was tried then, nil if it was
	exempt    map[string]bool
	probes    map[string][]Challenge // to requests, by the host for which probes are not challenged
	lastTLS   *tls.ConnectionState
	stronger  time.Time // when a stronger scheme than the login's is tried again
}

func newProxy(s *state, key proxyKey, at *lru.Entry[string, *site]) *proxy {
	p := &proxy{state: s, site: at.Value, at: at, key: key, url: proxyaddr.Canonical(key.scheme, key.host)}
	p.name, p.address = p.url.String(), proxyaddr.Site(p.url)
	if key.hasUser {
		p.user = &Credentials{Username: key.username, Password: NewSecret(key.password)}
	}
	p.count = s.stats.of(p.name, p.address)
	p.dialer = &proxyconn.Dialer{Base: s.base, Proxy: p.url, TLS: s.proxyTLS}
	p.forward, p.preauthorized = p.newPool(), p.newPool()
	return p
}

// newPool returns a pool of connections for forwarded requests.
func (p *proxy) newPool() *connpool.Pool {
	return connpool.New(connpool.Config{Base: p.base, Addr: p.url.Host, Dial: p.dial})
}

// dial connects to the proxy. The error is an *Error, or why ctx has ended.
func (p *proxy) dial(ctx context.Context) (net.Conn, *tls.ConnectionState, error) {
	leg, cancel := p.withTimeout(ctx)
	defer cancel()
	conn, state, err := p.dialer.Dial(leg)
	if err != nil {
		if ended := endOf(ctx); ended != nil {
			return nil, nil, ended
		}
		return nil, nil, &Error{Cause: CauseProxyUnreachable, Op: opDial, Proxy: p.name, Err: err}
	}
	if state != nil {
		p.mu.Lock()
		p.lastTLS = state
		p.mu.Unlock()
	}
	return conn, state, nil
}

// endOf returns why ctx has ended, nil if it has not. A net.Dialer notices the deadline by itself,
// perhaps a moment earlier.
func endOf(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if end, ok := ctx.Deadline(); ok && !time.Now().Before(end) {
		return context.DeadlineExceeded
	}
	return nil
}

// withTimeout limits ctx to one leg.
func (s *state) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, s.timeout)
}

// shownURL returns a copy of the proxy's URL, for a hook of the program.
func (p *proxy) shownURL() *url.URL {
	u := *p.url
	return &u
}

// current returns the login in use, nil if there is none.
func (p *proxy) current() *login {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.currentLocked()
}

// currentLocked is current for a caller that holds p.mu. It gives up a login that is weaker than
// what the site has accepted since, under another spelling or user info.
func (p *proxy) currentLocked() *login {
	if p.login != nil && p.floor.Best() < min(p.best, p.login.rank) {
		p.login = nil
	}
	return p.login
}

// use makes l the login in use and returns it, unless that has the same credentials: the provider
// may be asked two questions at once. Connections of another user are closed.
func (p *proxy) use(l *login) *login {
	p.mu.Lock()
	before := p.login
	if before != nil && before.rank == l.rank && before.sameSecret(l) && !before.expired() && !l.knownRefused() {
		p.mu.Unlock()
		return before
	}
	p.login, p.best, p.contacted = l, p.floor.Best(), true
	var old *tunnels
	if p.tunnels != nil && !p.tunnels.belongTo(l) {
		old, p.tunnels = p.tunnels, nil
	}
	p.mu.Unlock()
	if before == nil || !before.sameUser(l) {
		p.forward.CloseFunc(func(c *connpool.Conn) bool {
			other, _ := c.Login.(*login)
			return other != nil && !other.sameUser(l)
		})
	}
	if old != nil {
		old.Retire()
	}
	return l
}

// drop gives l up, if it is in use.
func (p *proxy) drop(l *login) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.login == l {
		p.login = nil
	}
}

// accept notes that the proxy has accepted l, by a ticket or not, and reports whether
// the provider has not been told yet.
func (p *proxy) accept(l *login, s Session, a Authorization) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.floor.Accept(l.rank, a.Strength)
	news, l.accepted = !l.accepted, true
	if l.byTicket.Load() != a.Ticket {
		l.byTicket.Store(a.Ticket)
	}
	if news { // unlocked, or changed back
		p.refusals = slices.DeleteFunc(p.refusals, func(c Credentials) bool { return sameCredentials(c, l.creds) })
	}
	if !l.props.BindsConnection {
		l.session = s
	}
	return news
}

// knownFor returns the login in use, nil if there is none, whether the proxy is known to ask
// nothing for host, and how many questions the provider has failed to answer.
func (p *proxy) knownFor(host string) (l *login, exempt bool, unanswered int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.currentLocked(), p.exempt[host], p.failed.n
}

// passed notes that a request without authorization was let pass for host.
func (p *proxy) passed(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contacted = true
	if p.exempt == nil || len(p.exempt) >= maxExempt {
		p.exempt = make(map[string]bool)
	}
	p.exempt[host] = true
}

// asked notes that a request without authorization was challenged for host, by the
// schemes with the ranks given.
func (p *proxy) asked(host string, ranks []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contacted = true
	delete(p.exempt, host)
	p.floor.Offer(ranks)
}

// offered notes the ranks of the schemes in a challenge to an authorization.
func (p *proxy) offered(ranks []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.floor.Offer(ranks)
}

// challengeUnprobed notes the challenges to a request for host, in whose place a probe was
// answered without one.
func (p *proxy) challengeUnprobed(host string, challenges []Challenge) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.probes == nil || len(p.probes) >= maxUnprobed {
		p.probes = make(map[string][]Challenge)
	}
	p.probes[host] = challenges
}

// unprobed returns the last challenges to a request for host that probes did not get.
func (p *proxy) unprobed(host string) []Challenge {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.probes[host]
}

// enter lets the first request at a proxy find out what it wants; the others wait for
// that, though not for long. leave must be called if it is not nil.
func (p *proxy) enter(ctx context.Context) (leave func()) {
	p.mu.Lock()
	first := p.first
	if first == nil && !p.contacted {
		p.first = make(chan struct{})
		p.mu.Unlock()
		return sync.OnceFunc(p.leave)
	}
	p.mu.Unlock()
	if first == nil {
		return nil
	}
	timer := time.NewTimer(firstContact)
	defer timer.Stop()
	select {
	case <-first:
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// leave ends the first contact.
func (p *proxy) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.first)
	p.first = nil
}

// showRefusal adds c to the refused credentials that the provider is shown, and reports
// whether it was not among them.
func (p *proxy) showRefusal(c Credentials) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.ContainsFunc(p.refusals, func(r Credentials) bool { return sameCredentials(r, c) }) {
		return false
	}
	p.refusals = append(p.refusals, c)
	if n := len(p.refusals); n > maxRefused {
		p.refusals = slices.Delete(p.refusals, 0, n-maxRefused)
	}
	return true
}

// noteFallback notes that l was refused, and why nothing stronger was tried.
func (p *proxy) noteFallback(l *login, fallback error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused, p.fallback = l, fallback
}

// fallbackOf returns why nothing stronger was tried when the credentials of l were refused,
// nil if it was.
func (p *proxy) fallbackOf(l *login) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused == nil || !p.refused.sameSecret(l) {
		return nil
	}
	return p.fallback
}

// wasAccepted reports whether the proxy has accepted l, now or once.
func (p *proxy) wasAccepted(l *login) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return l.accepted
}

// mayChallenge reports whether the proxy has asked for authentication, or has not answered
// yet.
func (p *proxy) mayChallenge() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.contacted || p.login != nil || p.floor.Strongest() < len(p.schemes)
}

// closeIdle closes the connections that are not in use.
func (p *proxy) closeIdle() {
	p.forward.CloseIdle()
	p.preauthorized.CloseIdle()
	p.mu.Lock()
	t := p.tunnels
	p.mu.Unlock()
	if t != nil {
		t.CloseIdleConnections()
	}
}

// ended notes that a request ended with e.
func (p *proxy) ended(ctx context.Context, e *Error) {
	if isCallback(ctx, p.state) {
		return
	}
	p.count.fail(e)
	p.log.failed(inCallback(ctx, p.state), e)
}
