package e2e_test

import (
	"context"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
)

// A watchedScheme tells the model which secret an authorization proves.
type watchedScheme struct {
	proxyauth.Scheme
	model *model
}

func (s watchedScheme) Properties() proxyauth.SchemeProperties {
	if d, ok := s.Scheme.(proxyauth.Describer); ok {
		return d.Properties()
	}
	return proxyauth.SchemeProperties{}
}

func (s watchedScheme) NewSession(ctx context.Context, ex proxyauth.Exchange) (proxyauth.Session, error) {
	if w, ok := ex.Accepted.(interface{ unwatched() proxyauth.Session }); ok {
		ex.Accepted = w.unwatched()
	}
	session, err := s.Scheme.NewSession(ctx, ex)
	if err != nil {
		return nil, err
	}
	secret := accountSecret{account{ex.Proxy.Host, ex.Credentials.Username}, ex.Credentials.Password.Reveal()}
	w := watchedSession{session, func(authorization string) { s.model.made(authorization, secret) }}
	switch session := session.(type) {
	case digestSession:
		return watchedDigest{w, session, session}, nil
	case proxyauth.Continuer:
		return watchedHandshake{w, session}, nil
	}
	return w, nil
}

type watchedSession struct {
	proxyauth.Session
	made func(authorization string)
}

func (s watchedSession) unwatched() proxyauth.Session { return s.Session }

// Authorization tells the model. What opens a handshake proves nothing, and is the
// same for everybody.
func (s watchedSession) Authorization(ctx context.Context, leg proxyauth.Leg) (proxyauth.Authorization, error) {
	a, err := s.Session.Authorization(ctx, leg)
	if !a.More {
		s.made(a.Value)
	}
	return a, err
}

type continuer interface {
	Continue(context.Context, []proxyauth.Challenge) (proxyauth.Next, error)
}

type verifier interface {
	Verify(*http.Response) error
}

type digestSession interface {
	proxyauth.Session
	continuer
	verifier
}

type watchedDigest struct {
	watchedSession
	continuer
	verifier
}

type watchedHandshake struct {
	watchedSession
	continuer
}

// A watchedMechanism tells the model what becomes of each authorization, and can
// be switched off.
type watchedMechanism struct {
	testproxy.Mechanism
	model *model
	off   atomic.Bool
}

func (m *watchedMechanism) Challenge(c *testproxy.Conn) []string {
	if m.off.Load() {
		return nil
	}
	return m.Mechanism.Challenge(c)
}

func (m *watchedMechanism) Verify(r *testproxy.Request) testproxy.Verdict {
	if n, ok := m.Mechanism.(*changingNTLM); m.off.Load() && !(ok && n.midway(r.Conn)) {
		return testproxy.Reject()
	}
	v := m.Mechanism.Verify(r)
	m.model.judged(m.Scheme()+" "+r.Credentials, r.Header.Get(idField), v)
	return v
}

func (m *watchedMechanism) Forgets(c *testproxy.Conn) bool {
	f, ok := m.Mechanism.(testproxy.Forgetter)
	return ok && f.Forgets(c)
}

// changingNTLM is NTLM whose passwords change, and whose connections can be made
// to lose their authentication, without harm to a handshake under way.
type changingNTLM struct {
	mu      sync.Mutex
	current *ntlmAge
}

// An ntlmAge is NTLM for as long as nothing changes.
type ntlmAge struct {
	testproxy.NTLM
	forgotten atomic.Bool
}

// An ntlmState is that of a connection.
type ntlmState struct {
	age    *ntlmAge
	midway bool
}

// change puts other passwords in force. Connections keep their authentication
// unless forget is set.
func (n *changingNTLM) change(passwords map[string]string, forget bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.current != nil && forget {
		n.current.forgotten.Store(true)
	}
	next := new(ntlmAge)
	next.Server = &ntlmserver.Server{RequireMIC: true, Users: maps.Clone(passwords)}
	n.current = next
}

func (n *changingNTLM) state(c *testproxy.Conn) *ntlmState {
	s, _ := c.State(n).(*ntlmState)
	if s == nil {
		s = new(ntlmState)
		c.SetState(n, s)
	}
	if !s.midway && c.User() == "" {
		n.mu.Lock()
		s.age = n.current
		n.mu.Unlock()
	}
	return s
}

func (n *changingNTLM) midway(c *testproxy.Conn) bool { return n.state(c).midway }

func (*changingNTLM) Scheme() string { return "NTLM" }

func (n *changingNTLM) Challenge(c *testproxy.Conn) []string {
	s := n.state(c)
	s.midway = false
	return s.age.Challenge(c)
}

func (n *changingNTLM) Verify(r *testproxy.Request) testproxy.Verdict {
	s := n.state(r.Conn)
	v := s.age.Verify(r)
	s.midway = v.Only
	return v
}

// Forgets is asked of authenticated connections, which NTLM may not have done.
func (n *changingNTLM) Forgets(c *testproxy.Conn) bool {
	s := n.state(c)
	return s.age != nil && s.age.forgotten.Load()
}

// A numberedConn knows which of the proxy's connections it is: both ends count
// from 1.
type numberedConn struct {
	net.Conn
	proxy  string
	number int
}

// A numberingDialer dials one at a time, so that proxies accept in its order.
type numberingDialer struct {
	network *testproxy.Network
	mu      sync.Mutex
	dialed  map[string]int
}

func (d *numberingDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	conn, err := d.network.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	d.dialed[addr]++
	return &numberedConn{conn, addr, d.dialed[addr]}, nil
}

// checkLegs checks who the proxy took each request for.
func (m *model) checkLegs(p *testproxy.Proxy) {
	m.mu.Lock()
	defer m.mu.Unlock()
	tunnels := make(map[int]string) // users by connection
	for _, leg := range p.Legs() {
		if s, ok := m.secrets[leg.Header.Get("Proxy-Authorization")]; ok && s.proxy != p.Addr() {
			m.complain("%s has reached %s", s.password, p.Addr())
		}
		if leg.Method == http.MethodConnect && leg.Status == http.StatusOK {
			tunnels[leg.Conn] = leg.User
		}
		c := m.call(leg.Header.Get(idField))
		if c == nil || leg.Status != http.StatusOK {
			continue
		}
		if c.proxy != p.Addr() || p.Addr() != open && leg.User != c.who.user {
			m.complain("%v: is let pass as %q by %s", c, leg.User, p.Addr())
		}
	}
	for _, c := range m.calls {
		for _, conn := range c.tunnels {
			if conn.proxy == p.Addr() && p.Addr() != open && tunnels[conn.number] != c.who.user {
				m.complain("%v: goes through a tunnel of %q", c, tunnels[conn.number])
			}
			if conn.proxy != c.proxy {
				m.complain("%v: goes through %s", c, conn.proxy)
			}
		}
	}
}

// checkOrigin checks what has arrived.
func (m *model) checkOrigin(requests []testproxy.OriginRequest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range requests {
		if r.Header["Proxy-Authorization"] != nil {
			m.complain("Proxy-Authorization has reached an origin")
		}
		if c := m.call(r.Header.Get(idField)); c != nil {
			c.arrived = append(c.arrived, r)
		}
	}
}
