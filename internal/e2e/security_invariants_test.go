package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// target returns the URL of the origin server of a way.
func (w way) target(path string) string {
	if w.method == http.MethodConnect {
		return httpsOrigin + path
	}
	return httpOrigin + path
}

func requireNoAuthorization(t *testing.T, origins ...*testproxy.Origin) {
	t.Helper()
	n := 0
	for _, o := range origins {
		for _, r := range o.Requests() {
			require.NotContains(t, r.Header, "Proxy-Authorization")
			n++
		}
	}
	require.Positive(t, n)
}

func reachesNoOrigin(t *testing.T, l *lab, w way) {
	for range 3 {
		l.get(w.target("/"))
	}
	requireNoAuthorization(t, l.origin, l.secure)
	require.Empty(t, l.proxy.Violations())
}

func ownStaysOutOfTunnels(t *testing.T, l *lab, w way) {
	if w.method != http.MethodConnect {
		l.base.Proxy = nil // an origin server is next
	}
	req := l.request(http.MethodGet, w.target("/"), nil)
	req.Header.Set("Proxy-Authorization", "Basic b3duOm93bg==")
	resp, _, err := l.do(req)
	require.NoError(t, err)
	require.Same(t, req, resp.Request)
	requireNoAuthorization(t, l.origin, l.secure)
	require.Empty(t, l.proxy.Violations())
	for _, leg := range l.proxy.Legs() {
		require.NotContains(t, leg.Head, "b3duOm93bg==")
	}
}

// redirect starts an origin server that answers with a redirect.
func (l *lab) redirect(host, port, target string) *testproxy.Origin {
	config := testproxy.OriginConfig{Network: l.network, Addr: host + ":" + port, Handler: http.RedirectHandler(target, http.StatusFound)}
	if port == "443" {
		config.TLS = ca.ServerConfig(host)
	}
	return testproxy.StartOrigin(l.t, config)
}

func followsNoRedirect(t *testing.T, l *lab, w way) {
	const host = "moved.example.com"
	client := &http.Client{Transport: l.rt}
	for port, start := range map[string]string{"80": "http://" + host, "443": "https://" + host} {
		from := l.redirect(host, port, w.target("/"))
		req := l.request(http.MethodGet, start, nil)
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Equal(t, originHost, resp.Request.URL.Host)
		require.NotContains(t, resp.Request.Header, "Proxy-Authorization")
		requireNoAuthorization(t, from, l.origin, l.secure)
	}
	require.Empty(t, l.proxy.Violations())
}

func goesToNoOtherProxy(t *testing.T, l *lab, w way) {
	const host = "moved.example.com"
	l.redirect(host, "80", w.target("/"))
	second := testproxy.Start(t, testproxy.Config{Network: l.network, Addr: "second.example.com:3128"})
	l.base.Proxy = func(req *http.Request) (*url.URL, error) {
		if req.URL.Host == host {
			return l.proxy.URL(), nil
		}
		return second.URL(), nil
	}
	resp, err := (&http.Client{Transport: l.rt}).Get("http://" + host)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.NotEmpty(t, l.proxy.Legs())
	require.NotEmpty(t, second.Legs())
	for _, leg := range second.Legs() {
		require.Empty(t, leg.Scheme)
	}
}

func connectAnswerIsNotTheOrigins(t *testing.T, l *lab, w way) {
	if w.method != http.MethodConnect {
		return
	}
	for _, status := range []int{302, 400, 401, 403, 404, 500, 502, 503, 511} {
		l.rt.Reset()
		l.proxy.Reset()
		l.proxy.SetFault(testproxy.Always(testproxy.Refuse(status, "<script>")))
		resp, err := l.rt.RoundTrip(l.request(http.MethodGet, httpsOrigin, nil))
		scanned.Error(t.Name(), err)
		require.Nil(t, resp)
		e, ok := errors.AsType[*proxyauth.Error](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, status, e.Status)
		require.Len(t, l.proxy.Legs(), 1)
	}
	require.Empty(t, l.secure.Requests())
}

func originsOwn407(t *testing.T, l *lab, w way) {
	config := testproxy.OriginConfig{
		Network: l.network,
		Addr:    "odd.example.com:80",
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Proxy-Authenticate", `Basic realm="Your proxy, honestly"`)
			w.WriteHeader(http.StatusProxyAuthRequired)
		}),
	}
	target := "http://odd.example.com"
	if w.method == http.MethodConnect {
		config.Addr, config.TLS, target = "odd.example.com:443", ca.ServerConfig("odd.example.com"), "https://odd.example.com"
	}
	odd := testproxy.StartOrigin(t, config)
	l.get(w.target("/"))
	for range 3 {
		resp, _, err := l.do(l.request(http.MethodGet, target, nil))
		require.NoError(t, err)
		require.Equal(t, http.StatusProxyAuthRequired, resp.StatusCode)
		if w.method == http.MethodConnect {
			require.Nil(t, explained(resp))
		} else {
			require.Equal(t, proxyauth.CauseNoChallenge, explained(resp).Cause, "%v", explained(resp))
		}
	}
	requireNoAuthorization(t, odd)
	l.get(w.target("/")) // the password was not in doubt
	require.EqualValues(t, 1, l.asked.Load())
}

func originFieldsStayOut(t *testing.T, l *lab, w way) {
	for _, body := range []io.Reader{nil, strings.NewReader("short"), unreplayable("gone")} {
		l.rt.Reset()
		l.proxy.Reset()
		req := l.request(http.MethodPost, w.target("/form"), body)
		req.Header.Set("Authorization", "Bearer of-the-origin")
		req.Header.Set("Cookie", "id=of-the-origin")
		req.Header.Set("X-Custom", "of-the-origin")
		resp, _, err := l.do(req)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		for _, leg := range l.proxy.Legs() {
			if leg.Method != http.MethodPost {
				require.NotContains(t, leg.Head, "of-the-origin", "%s", leg.String())
			}
		}
		require.Empty(t, l.proxy.Violations())
	}
}

func controlsInHosts(t *testing.T, l *lab, w way) {
	controls := []string{"\r\nX-Evil: 1", "\n", "\x00", "\x7f", " HTTP/1.1\r\n\r\n", "\t"}
	for _, evil := range controls {
		_, err := l.rt.DialContext(t.Context(), "tcp", originHost+evil+":443")
		scanned.Error(t.Name(), err)
		require.Error(t, err, "%q", evil)
	}
	require.Empty(t, l.proxy.Conns(), "there is nothing to be asked")
	for _, evil := range controls {
		host := originHost + evil
		require.Error(t, w.reach(t.Context(), l.rt, host), "%q", evil)
		req := l.request(http.MethodGet, w.target("/"), nil)
		req.URL.Host, req.Host = host, host
		_, _, err := l.do(req)
		require.Error(t, err, "%q", evil)

		l.base.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.example.com" + evil + ":3128"})
		require.Error(t, w.reach(t.Context(), l.rt, originHost), "%q", evil)
		l.base.Proxy = http.ProxyURL(l.proxy.URL())
	}
	for _, leg := range l.proxy.Legs() {
		require.NotContains(t, leg.Head, "X-Evil")
	}
	require.Empty(t, l.proxy.Violations())
}

func refusedOnce(t *testing.T, l *lab, w way) {
	l.rt = l.transport("bob", "wrong")
	for range 3 {
		for _, err := range together(20, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
			requireCause(t, proxyauth.CauseCredentialsRejected, err)
		}
	}
	if l.tickets != nil { // which the KDC does not give out for it
		require.Equal(t, 1, l.tickets.realm.Total().PreauthFailed)
		for _, leg := range l.proxy.Legs() {
			require.Empty(t, leg.Scheme)
		}
		return
	}
	sent := map[string]bool{}
	for _, leg := range l.proxy.Legs() {
		if v := leg.Header.Get("Proxy-Authorization"); v != "" && !strings.HasPrefix(v, "NTLM TlRMTVNTUAAB") {
			sent[v] = true
		}
	}
	require.Len(t, sent, 1)
}

func noDowngrade(t *testing.T, l *lab, w way) {
	require.NoError(t, w.reach(t.Context(), l.rt, originHost))
	weak := &testproxy.Basic{Accounts: l.users, Realm: "lab"}
	stronger := l.proxy.Legs()[1].Scheme != "Basic"
	l.proxy.SetAuth(weak)
	l.proxy.Disconnect()
	synctest.Wait()
	l.proxy.Reset()
	err := w.reach(t.Context(), l.rt, originHost)
	if !stronger {
		require.NoError(t, err)
		return
	}
	e, ok := errors.AsType[*proxyauth.Error](err)
	require.True(t, ok, "%v", err)
	require.Contains(t, []proxyauth.Cause{proxyauth.CausePolicyForbids, proxyauth.CauseHandshakeBroken}, e.Cause)
	for _, leg := range l.proxy.Legs() {
		require.NotEqual(t, "Basic", leg.Scheme)
	}
}

// A trackedConn is a connection that is counted as long as it is open.
type trackedConn struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *trackedConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

func noConnectionLeft(t *testing.T, l *lab, w way) {
	var open atomic.Int64
	l.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := l.network.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		open.Add(1)
		return &trackedConn{Conn: conn, open: &open}, nil
	}
	l.network.Blackhole("slow.example.com:80")
	l.network.Blackhole("slow.example.com:443")
	for _, rt := range []*proxyauth.Transport{l.rt, l.transport(user, "wrong")} {
		together(10, func(i int) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			host := originHost
			if i%2 == 0 {
				host = "slow.example.com"
			}
			return w.reach(ctx, rt, host)
		})
		time.Sleep(2 * time.Minute) // a leg whose answer counts goes on without its caller
		rt.CloseIdleConnections()
	}
	synctest.Wait()
	require.NotEmpty(t, l.proxy.Legs())
	require.Zero(t, open.Load())
}

// 14. HTTP_PROXY is not read where REQUEST_METHOD is set (httpoxy, CVE-2016-5386):
// net/http sees to it, and the Transport leaves it to net/http.
func TestHTTPProxyOfCGIIsNotRead(t *testing.T) {
	if os.Getenv("PROXYAUTH_TEST_CGI") != "" {
		rt := &proxyauth.Transport{Schemes: allSchemes()}
		_, err := rt.RoundTrip(must(http.NewRequestWithContext(t.Context(), http.MethodGet, httpOrigin, nil)))
		fmt.Println("outcome:", err)
		return
	}
	for _, tt := range []struct {
		desc, variable, want string
	}{
		{"CGI", "REQUEST_METHOD=GET", "outcome: refusing to use HTTP_PROXY value in CGI environment"},
		{"not CGI", "OTHER=GET", "proxyauth: dial origin.example.com via http://127.0.0.1:1: proxy unreachable"},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHTTPProxyOfCGIIsNotRead$", "-test.v")
			cmd.Env = append(os.Environ(), "PROXYAUTH_TEST_CGI=1", "HTTP_PROXY=http://127.0.0.1:1", "NO_PROXY=", "no_proxy=", "http_proxy=", tt.variable)
			output, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", output)
			require.Contains(t, string(output), tt.want)
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
