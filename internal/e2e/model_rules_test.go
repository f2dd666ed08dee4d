package e2e_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// An accountSecret is what proves a user to one proxy, or not. No two are alike.
type accountSecret struct {
	account
	password string
}

const (
	// nonces stands for all proxies that do Digest, when they forget their nonces.
	nonces = "nonces"

	// turns stands for the turncoat, when it offers another scheme.
	turns = "turns"
)

// A trouble is what may make requests fail that are under way at a proxy.
type trouble struct {
	proxy      string
	begin, end int64
}

// A history is what has become of a secret.
type history struct {
	accepted int
	refused  []*call // by the proxy
	known    int64   // since when the Transport knows that it is refused, or 0
	resets   int     // of the Transport
	leased   bool    // by the provider, for a time
	until    time.Time
}

// A model knows what is allowed to happen, and notes what is not.
type model struct {
	mu        sync.Mutex
	clock     int64
	calls     []*call
	secrets   map[string]accountSecret // by authorization
	histories map[accountSecret]*history
	troubles  []*trouble
	wrong     []string
}

func newModel() *model {
	return &model{secrets: make(map[string]accountSecret), histories: make(map[accountSecret]*history)}
}

func (m *model) complain(format string, args ...any) {
	m.wrong = append(m.wrong, fmt.Sprintf(format, args...))
}

func (m *model) now() int64 {
	m.clock++
	return m.clock
}

func (m *model) begin(c *call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.id = len(m.calls)
	c.begin = m.now()
	m.calls = append(m.calls, c)
}

func (m *model) ended(c *call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.end = m.now()
}

// during notes that f may disturb what is under way at the proxy.
func (m *model) during(proxy string, f func()) {
	t := &trouble{proxy: proxy}
	m.mu.Lock()
	t.begin = m.now()
	m.troubles = append(m.troubles, t)
	m.mu.Unlock()
	f()
	m.mu.Lock()
	t.end = m.now()
	m.mu.Unlock()
}

// disturbed reports whether there was trouble of a name while c was under way.
func (m *model) disturbed(c *call, name string) bool { return m.disturbances(c, name) > 0 }

// disturbances returns how often there was.
func (m *model) disturbances(c *call, name string) (n int) {
	for _, t := range m.troubles {
		if t.proxy == name && t.begin < c.end && t.end > c.begin {
			n++
		}
	}
	return n
}

// disturbedYet is disturbed, by its proxy's trouble, of a call that is under way.
func (m *model) disturbedYet(c *call) bool {
	return slices.ContainsFunc(m.troubles, func(t *trouble) bool {
		return t.proxy == c.proxy && (t.end == 0 || t.end > c.begin)
	})
}

func (m *model) history(s accountSecret) *history {
	h := m.histories[s]
	if h == nil {
		h = new(history)
		m.histories[s] = h
	}
	return h
}

// leased notes that the provider has answered with s, which is good until then, or
// for ever.
func (m *model) leased(s accountSecret, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.history(s)
	h.leased = !until.IsZero()
	if until.After(h.until) {
		h.until = until
	}
}

// made notes that a session has made an authorization.
func (m *model) made(authorization string, s accountSecret) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.secrets[authorization] = s
}

// checkLease complains of what is done with a secret that has run out.
func (m *model) checkLease(s accountSecret, what string) {
	if h := m.history(s); h.leased && !time.Now().Before(h.until) {
		m.complain("%s %s %v after it has run out", s.password, what, time.Since(h.until))
	}
}

func (m *model) call(id string) *call {
	if n, err := strconv.Atoi(id); err == nil && n < len(m.calls) {
		return m.calls[n]
	}
	return nil
}

// judged takes the verdict of a proxy.
func (m *model) judged(authorization, id string, v testproxy.Verdict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, known := m.secrets[authorization]
	if !known {
		if !v.Only {
			m.complain("an authorization that no session has made is judged")
		}
		return
	}
	c := m.call(id)
	if c == nil {
		m.complain("%s is proved by a request of nobody's", s.user)
		return
	}
	h := m.history(s)
	// Else net/http reads of the body first, or sends it again over another connection.
	if strings.HasPrefix(authorization, "NTLM ") || c.body == "" && !m.disturbedYet(c) {
		m.checkLease(s, "has arrived")
	}
	if h.known != 0 && h.known < c.begin {
		m.complain("%v: sends %s again, known to be refused since %d (begun at %d)", c, s.password, h.known, c.begin)
	}
	switch {
	case v.Accepted:
		h.accepted++
		h.known = 0 // one that was under way at the same time: the secret is trusted again
		if v.User != c.who.user || s.user != v.User {
			m.complain("%v: is taken for %s", c, v.User)
		}
	case strings.Contains(strings.Join(v.Challenges, ""), "stale=true"):
	default:
		h.refused = append(h.refused, c)
	}
}

// rejected notes that a Transport knows of a refusal. One that has been reset
// while the call was under way may have forgotten it again.
func (m *model) rejected(ctx context.Context, s accountSecret) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := ctx.Value(callKey{}).(*call)
	switch {
	case !ok:
		m.complain("%s is rejected without a call", s.password)
	case c.begin < c.who.program.reset:
	default:
		m.history(s).known = m.now()
	}
}

// reset notes that p is about to forget, or has forgotten.
func (m *model) reset(p *program) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.reset = m.now()
	for s, h := range m.histories {
		if slices.ContainsFunc(p.users, func(user string) bool { return user == s.user }) {
			h.known = 0
			h.resets++
		}
	}
}

// check checks what has become of all calls.
func (m *model) check() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.calls {
		if why := m.unexplained(c); why != "" {
			m.complain("%v: %s", c, why)
		}
		if c.took > maxCall {
			m.complain("%v: took %v", c, c.took)
		}
		if c.closed != nil && !c.closed() {
			m.complain("%v: the body was not closed (%v)", c, c.err)
		}
		m.checkArrival(c)
	}
	for s, h := range m.histories {
		m.checkRefusals(s, h)
	}
	return m.wrong
}

// maxCall is longer than any call should take: some that wait for each other, each
// no longer than the patience of the one behind it.
const maxCall = 30 * time.Second

// checkRefusals holds a secret that was never right to one refusal, but for the
// ones of which the Transport can't know, or has been told to forget.
func (m *model) checkRefusals(s accountSecret, h *history) {
	if h.accepted > 0 {
		return
	}
	told := 0
	for _, c := range h.refused {
		if !c.gone && !m.disturbed(c, c.proxy) {
			told++
		}
	}
	if told > 1+h.resets {
		m.complain("%s was refused by %s %d times", s.password, s.proxy, told)
	}
}

// checkArrival checks that the request has arrived whole if the caller was told
// so, and once if it could have effects.
func (m *model) checkArrival(c *call) {
	if c.body != "" && len(c.arrived) > 1 {
		m.complain("%v: has arrived %d times", c, len(c.arrived))
	}
	if c.err != nil {
		return
	}
	hash := sha256.Sum256([]byte(c.body))
	if !slices.ContainsFunc(c.arrived, func(r testproxy.OriginRequest) bool { return r.BodySHA256 == hex.EncodeToString(hash[:]) }) {
		m.complain("%v: has not arrived whole", c)
	}
}

// unexplained returns what is wrong with the outcome of c.
func (m *model) unexplained(c *call) string {
	e, ok := errors.AsType[*proxyauth.Error](c.err)
	switch {
	case c.err == nil:
		return ""
	case c.gone && (errors.Is(c.err, context.Canceled) || errors.Is(c.err, errGone)):
		return ""
	case !ok && m.disturbed(c, c.proxy), isUnusedHTTP2(c.err):
		return ""
	case !ok:
		return c.err.Error()
	}
	explained := false
	switch e.Cause {
	case proxyauth.CauseCredentialsRejected, proxyauth.CauseDenied:
		for s, h := range m.histories {
			explained = explained || s.proxy == c.proxy && s.user == c.who.user && len(h.refused) > 0
		}
		// A 407 that names other schemes is a refusal as well.
		explained = explained || c.proxy == turncoat && m.turned(c)
	case proxyauth.CauseNoCredentials:
		explained = c.who.user == "" && c.proxy != open
	case proxyauth.CauseBodyNotReplayable:
		explained = c.body != "" && !c.replayable
	case proxyauth.CausePolicyForbids:
		explained = c.proxy == turncoat && !c.who.program.rt.InsecureAllowDowngrade
	case proxyauth.CauseHandshakeBroken, proxyauth.CauseProxyFailed, proxyauth.CauseProxyUnreachable:
		explained = m.disturbed(c, c.proxy) || strings.Contains(e.Error(), "session expired") && m.disturbed(c, nonces) ||
			m.lost(c) > 1 ||
			c.proxy == turncoat && m.disturbances(c, turns) >= maxBroken
	}
	if explained || strings.Contains(fmt.Sprint(e.Cause), "held") && m.lost(c) > 0 {
		return ""
	}
	return e.Error()
}

// turned reports whether the turncoat has offered another scheme while a call of the same
// user was under way that had ended, or not begun, before c.
func (m *model) turned(c *call) bool {
	return slices.ContainsFunc(m.calls, func(d *call) bool {
		return d.proxy == c.proxy && d.who == c.who && d.begin < c.end && m.disturbed(d, turns)
	})
}

// lost returns how many proofs of the credentials of c may have been lost, since a call
// was disturbed or nobody waited for its answer.
func (m *model) lost(c *call) (n int) {
	for _, d := range m.calls {
		if d.proxy != c.proxy || d.who != c.who || d.begin >= c.end {
			continue
		}
		n += m.disturbances(d, d.proxy)
		if d.gone {
			n++
		}
	}
	return n
}

// isUnusedHTTP2 reports whether net/http has found an HTTP/2 connection closed
// over which nothing had been sent: one that was made for a caller who had gone. It
// does not make another then.
func isUnusedHTTP2(err error) bool {
	return err != nil && strings.HasSuffix(err.Error(), "http2: client conn could not be established")
}
