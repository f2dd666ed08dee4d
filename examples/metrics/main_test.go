package main

import (
	"context"
	"encoding/json"
	"expvar"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A lab is a proxy that wants Digest or Basic, an origin server behind it, and the
// program's Transport.
type lab struct {
	t         *testing.T
	users     *testproxy.Accounts
	digest    *testproxy.Digest
	proxy     *testproxy.Proxy
	origin    string
	transport *proxyauth.Transport
	client    *http.Client
}

func newLab(t *testing.T) *lab {
	l := &lab{t: t, users: &testproxy.Accounts{Passwords: map[string]string{"ann": "s3cret"}}}
	l.digest = &testproxy.Digest{Accounts: l.users, Realm: "lab"}
	network := testproxy.NewNetwork()
	l.proxy = testproxy.Start(t, testproxy.Config{Network: network, Auth: []testproxy.Mechanism{l.digest}})
	l.origin = testproxy.StartOrigin(t, testproxy.OriginConfig{Network: network}).URL()
	proxy := l.proxy.URL()
	proxy.User = url.UserPassword("ann", "s3cret")
	l.transport = newTransport(&http.Transport{Proxy: http.ProxyURL(proxy), DialContext: network.DialContext})
	l.transport.Logger = slog.New(slog.DiscardHandler)
	l.client = &http.Client{Transport: l.transport}
	t.Cleanup(l.client.CloseIdleConnections)
	return l
}

// visit makes n requests and requires them to pass, or not to.
func (l *lab) visit(n int, passes bool) {
	l.t.Helper()
	for range n {
		require.Equal(l.t, passes, visit(l.t.Context(), l.client, l.origin) == nil)
	}
}

func (l *lab) page(path string) string {
	w := httptest.NewRecorder()
	handler(l.transport).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	require.Equal(l.t, http.StatusOK, w.Code)
	return w.Body.String()
}

var (
	comment = regexp.MustCompile(`^# (HELP|TYPE) proxyauth_[a-z]+(_total)? [^\\]+$`)
	sample  = regexp.MustCompile(`^(proxyauth_[a-z]+(?:_total)?)\{proxy="((?:[^"\\]|\\["\\n])*)"(?:,cause="([^"\\]*)")?\} ([0-9]+)$`)
)

// scrape reads /metrics as Prometheus does, and returns the samples of the lab's
// proxy, without "proxyauth_" and "_total", with the cause.
func (l *lab) scrape() map[string]int {
	l.t.Helper()
	page := l.page("/metrics")
	require.True(l.t, strings.HasSuffix(page, "\n"))
	samples := make(map[string]int)
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if comment.MatchString(line) {
			continue
		}
		m := sample.FindStringSubmatch(line)
		require.NotNil(l.t, m, line)
		require.Equal(l.t, "http://proxy.example.com:3128", m[2])
		name := strings.TrimSuffix(strings.TrimPrefix(m[1], "proxyauth_"), "_total")
		if m[3] != "" {
			name += " " + m[3]
		}
		require.NotContains(l.t, samples, name)
		n, err := strconv.Atoi(m[4])
		require.NoError(l.t, err)
		samples[name] = n
	}
	return samples
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		require.Empty(t, l.scrape())
		l.visit(50, true)
		require.Equal(t, map[string]int{"requests": 50, "legs": 51, "challenges": 1, "handshakes": 1, "rejections": 0, "waiting": 0, "doubted": 0, "paused": 0, "refused": 0}, l.scrape())
	})
}

// A burst of 407s shows in the proportion of challenges to legs, be it that users
// notice nothing yet.
func TestBurst(t *testing.T) {
	for _, tt := range []struct {
		desc   string
		change func(l *lab)
		passes bool
		cause  string
	}{
		{"nonces that last for one request", func(l *lab) {
			l.digest = &testproxy.Digest{Accounts: l.users, Realm: "lab", NonceUses: 1}
			l.proxy.SetAuth(l.digest)
		}, true, ""},
		{"password changed", func(l *lab) { l.users.SetPassword("ann", "changed") }, false, "denied"},
		{"scheme changed", func(l *lab) { l.proxy.SetAuth(&testproxy.Basic{Accounts: l.users, Realm: "lab"}) }, false, "policy_forbids"},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.visit(50, true)
				calm := l.scrape()
				tt.change(l)
				l.visit(50, tt.passes)
				burst := l.scrape()
				share := func(before, after map[string]int) float64 {
					return float64(after["challenges"]-before["challenges"]) / float64(after["legs"]-before["legs"])
				}
				require.Less(t, share(nil, calm), 0.05)
				require.GreaterOrEqual(t, share(calm, burst), 0.49)
				if tt.cause == "" {
					require.NotContains(t, l.page("/metrics"), "cause=")
				} else {
					require.Equal(t, 50, burst["failures "+tt.cause])
				}
			})
		})
	}
}

// TestExpvar is the only one that publishes.
func TestExpvar(t *testing.T) {
	if expvar.Get("proxyauth") != nil {
		t.Skip("an earlier run has published, which can't be taken back")
	}
	l := newLab(t)
	publish(l.transport)
	l.visit(3, true)
	var vars struct{ Proxyauth []proxyauth.ProxyStats }
	require.NoError(t, json.Unmarshal([]byte(l.page("/debug/vars")), &vars))
	require.Len(t, vars.Proxyauth, 1)
	require.EqualValues(t, 3, vars.Proxyauth[0].Requests)
	require.EqualValues(t, 4, vars.Proxyauth[0].Legs)
}

func TestPrometheusFormat(t *testing.T) {
	text := prometheus([]proxyauth.ProxyStats{
		{Proxy: "http://a:80", Requests: 1, Legs: 2, Challenges: 3, Handshakes: 4, Rejections: 5, Failures: map[proxyauth.Cause]uint64{
			proxyauth.CauseDenied: 7, proxyauth.CauseNoCredentials: 6,
		}, Waiting: 8, Doubted: 9, Paused: 10, Refused: 11},
		{Proxy: "a \"quoted\\\n name", Requests: 1<<64 - 1},
	})
	require.Equal(t, `# HELP proxyauth_requests_total Forwarded requests and tunnels.
# TYPE proxyauth_requests_total counter
proxyauth_requests_total{proxy="http://a:80"} 1
proxyauth_requests_total{proxy="a \"quoted\\\n name"} 18446744073709551615
# HELP proxyauth_legs_total Requests sent to the proxy for them.
# TYPE proxyauth_legs_total counter
proxyauth_legs_total{proxy="http://a:80"} 2
proxyauth_legs_total{proxy="a \"quoted\\\n name"} 0
# HELP proxyauth_challenges_total Answers with status 407.
# TYPE proxyauth_challenges_total counter
proxyauth_challenges_total{proxy="http://a:80"} 3
proxyauth_challenges_total{proxy="a \"quoted\\\n name"} 0
# HELP proxyauth_handshakes_total Authentications begun.
# TYPE proxyauth_handshakes_total counter
proxyauth_handshakes_total{proxy="http://a:80"} 4
proxyauth_handshakes_total{proxy="a \"quoted\\\n name"} 0
# HELP proxyauth_rejections_total Credentials refused.
# TYPE proxyauth_rejections_total counter
proxyauth_rejections_total{proxy="http://a:80"} 5
proxyauth_rejections_total{proxy="a \"quoted\\\n name"} 0
# HELP proxyauth_waiting Requests that wait until their credentials may be sent.
# TYPE proxyauth_waiting gauge
proxyauth_waiting{proxy="http://a:80"} 8
proxyauth_waiting{proxy="a \"quoted\\\n name"} 0
# HELP proxyauth_doubted Credentials that were accepted and have been refused or lost since.
# TYPE proxyauth_doubted gauge
proxyauth_doubted{proxy="http://a:80"} 9
proxyauth_doubted{proxy="a \"quoted\\\n name"} 0
# HELP proxyauth_paused Credentials that got no answer and are not sent for a while.
# TYPE proxyauth_paused gauge
proxyauth_paused{proxy="http://a:80"} 10
proxyauth_paused{proxy="a \"quoted\\\n name"} 0
# HELP proxyauth_refused Credentials that are not sent since they were refused.
# TYPE proxyauth_refused gauge
proxyauth_refused{proxy="http://a:80"} 11
proxyauth_refused{proxy="a \"quoted\\\n name"} 0
# HELP proxyauth_failures_total Requests that did not get through, by cause.
# TYPE proxyauth_failures_total counter
proxyauth_failures_total{proxy="http://a:80",cause="denied"} 7
proxyauth_failures_total{proxy="http://a:80",cause="no_credentials"} 6
`, text)
}

// TestVisitRegularly visits until it is told to stop.
func TestVisitRegularly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			visitRegularly(ctx, l.client, time.Minute, []string{l.origin, l.origin + "/second"})
		}()
		time.Sleep(10*time.Minute + time.Second)
		cancel()
		<-done
		require.Equal(t, 22, l.scrape()["requests"])
	})
}

// TestServes asks for the counters as a program does, and has none served at what
// is no address.
func TestServes(t *testing.T) {
	ln := httptest.NewServer(handler(newTransport(nil)))
	defer ln.Close()
	resp, err := http.Get(ln.URL + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "text/plain; version=0.0.4; charset=utf-8", resp.Header.Get("Content-Type"))
	require.Equal(t, prometheus(nil), string(body))
	require.Error(t, run(t.Context(), "no address", time.Second, nil))
}
