package e2e_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// The budget of a secret that was never accepted, whatever a peer does. See SECURITY.md.
const (
	mostUnderWay  = 4
	lostInAMinute = 4  // turns
	lostInAnHour  = 10 // turns
	legsOfATurn   = 3  // an idle race and a stale nonce have the authorization sent once more each
)

// A verdict is what the answer to an authorization says of the secret.
type verdict string

const (
	refused   verdict = "refused"
	noVerdict verdict = "no verdict"
	lost      verdict = "lost"
)

// A reply is what a peer does with an authorization, and when. Without an action, the proxy
// judges the secret as it is.
type reply struct {
	after  time.Duration
	what   verdict
	action *testproxy.Action
}

func refuses(after time.Duration) reply { return reply{after, refused, nil} }

func answers(after time.Duration, status int) reply {
	return reply{after, noVerdict, &testproxy.Action{Status: status, Challenges: []string{}}}
}

func closes(after time.Duration, at testproxy.Point) reply {
	return reply{after, lost, testproxy.DropAt(at)}
}

// circle begins the exchange anew.
func circle(after time.Duration, scheme string, nonce uint64) reply {
	challenge := map[string]string{
		"Basic":     "", // has no such thing
		"Digest":    fmt.Sprintf(`Digest realm="lab", nonce="%d", qop="auth", stale=true`, nonce),
		"NTLM":      "NTLM " + type2,
		"Negotiate": "Negotiate " + type2,
	}[scheme]
	if challenge == "" {
		return refuses(after)
	}
	return reply{after, lost, &testproxy.Action{Status: http.StatusProxyAuthRequired, Challenges: []string{challenge}}}
}

// unanswerable asks for what no session can give after its proof.
func unanswerable(after time.Duration, scheme string) reply {
	// A NegTokenResp: accept-incomplete, and a mechListMIC of another key.
	wrongMIC := append([]byte{0xa1, 0x1b, 0x30, 0x19, 0xa0, 3, 10, 1, 1, 0xa3, 0x12, 4, 0x10}, "0123456789abcdef"...)
	challenge := map[string]string{
		"Digest":    `Digest realm="lab", nonce="n", algorithm=MD6, stale=true`,
		"Negotiate": "Negotiate " + base64.StdEncoding.EncodeToString(wrongMIC),
	}[scheme]
	return reply{after, lost, &testproxy.Action{Status: http.StatusProxyAuthRequired, Challenges: []string{challenge}}}
}

// A sending is one turn as a peer sees it: an authorization that could complete an exchange,
// and its repetitions at once if there are any.
type sending struct {
	call       string
	target     string
	begin, end time.Duration
	what       verdict
	legs       int
}

// A peer is a proxy that answers the nth authorization as reply says, and counts them.
type peer struct {
	*lab
	reply func(n int) reply
	start time.Time
	calls atomic.Int64
	good  atomic.Int64 // calls that succeeded

	mu       sync.Mutex
	legs     int
	sendings []*sending
	underWay int
	most     int // under way at once
}

// newPeer returns a peer to which every host is the origin.
func newPeer(t testing.TB, secret string, m testproxy.Mechanism, answer func(n int) reply) *peer {
	p := &peer{reply: answer, start: time.Now()}
	p.lab = newLab(t, testproxy.Config{
		Auth: []testproxy.Mechanism{m}, ConnectHeader: []string{idField}, Fault: p.fault, NoRecord: true,
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(addr)
			return p.network.DialContext(ctx, network, net.JoinHostPort(originHost, port))
		},
	})
	p.base.GetProxyConnectHeader = func(ctx context.Context, _ *url.URL, _ string) (http.Header, error) {
		return http.Header{idField: {ctx.Value(idKey{}).(string)}}, nil
	}
	p.rt.Logger = nil // thousands of requests
	p.rt.Credentials = &witness{answer: always(secret)}
	p.rt.Schemes = append([]proxyauth.Scheme{&negotiate.Scheme{Sources: []negotiate.Source{negotiate.Keytab}, ConfigFile: os.DevNull}}, p.rt.Schemes...)
	return p
}

// peerMechanism returns the mechanism of a scheme; that of Negotiate takes NTLM inside.
func peerMechanism(scheme string) testproxy.Mechanism {
	if scheme == "Negotiate" {
		return &spnegoserver.Mechanism{Server: withNTLM(nil, spnegoserver.Faults{})}
	}
	return mechanismOf(scheme)
}

// idKey is the context key of what is sent as idField.
type idKey struct{}

// reach makes a request that the peer knows again.
func (p *peer) reach(ctx context.Context, w way, host string) error {
	err := w.reach(context.WithValue(ctx, idKey{}, strconv.FormatInt(p.calls.Add(1), 10)), p.rt, host)
	if err == nil {
		p.good.Add(1)
	}
	return err
}

func (p *peer) fault(leg *testproxy.Leg) *testproxy.Action {
	if !isCompleting(leg) {
		return nil
	}
	s, r := p.begin(leg)
	time.Sleep(r.after)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.underWay--
	s.end, s.what = time.Since(p.start), r.what
	return r.action
}

func (p *peer) begin(leg *testproxy.Leg) (*sending, reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.legs++
	p.underWay++
	p.most = max(p.most, p.underWay)
	s := p.sendingOf(leg)
	s.legs++
	return s, p.reply(p.legs)
}

// sendingOf returns the turn of a leg. A repetition comes at once, a new turn of the same
// call after a pause.
func (p *peer) sendingOf(leg *testproxy.Leg) *sending {
	now, call := time.Since(p.start), leg.Header.Get(idField)
	for _, s := range p.sendings {
		if s.call == call && s.end == now {
			return s
		}
	}
	s := &sending{call: call, target: leg.Target, begin: now}
	p.sendings = append(p.sendings, s)
	return s
}

// count counts the turns with a verdict in the first d.
func (p *peer) count(what verdict, d time.Duration) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sendings {
		if s.what == what && s.end <= d {
			n++
		}
	}
	return n
}

// requireBudget requires what holds for a secret that was never accepted.
func (p *peer) requireBudget(t testing.TB, mostRefused int) {
	t.Helper()
	require.Zero(t, p.good.Load(), "answers of the origin")
	require.LessOrEqual(t, p.count(refused, time.Since(p.start)), mostRefused, "refused")
	require.LessOrEqual(t, p.count(lost, time.Minute), lostInAMinute, "lost in the first minute")
	require.LessOrEqual(t, p.count(lost, time.Hour), lostInAnHour, "lost in the first hour")
	require.LessOrEqual(t, p.most, mostUnderWay, "under way at once")
	for _, s := range p.sendings {
		require.NotEmpty(t, s.call, "the field by which a call is known")
		require.LessOrEqual(t, s.legs, legsOfATurn, "of a turn")
	}
}
