package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
)

// newNTLMLab returns a lab whose proxy offers NTLM, and then what config says.
func newNTLMLab(t testing.TB, server *ntlmserver.Server, config testproxy.Config) (*lab, *testproxy.NTLM) {
	m := &testproxy.NTLM{Server: server}
	config.Auth = append([]testproxy.Mechanism{m}, config.Auth...)
	l := newLab(t, config)
	l.base.MaxIdleConnsPerHost = 100
	return l, m
}

// newPasswords makes the proxy forget everybody and know other passwords. There
// must be no handshake under way, since it forgets that as well.
func (l *lab) newPasswords(passwords map[string]string) *testproxy.NTLM {
	time.Sleep(tokenLife)
	synctest.Wait()
	m := &testproxy.NTLM{Server: &ntlmserver.Server{RequireMIC: true, Users: passwords}}
	m.Forget()
	l.proxy.SetAuth(m)
	return m
}

// bare matches the 407s that squid closes after with keep_alive off.
func bare(leg *testproxy.Leg) bool { return leg.Status == 407 && leg.Scheme == "" }

// TestNTLMLegs states the legs where the proxy is not the simplest.
func TestNTLMLegs(t *testing.T) {
	t.Parallel()
	strict := func() *ntlmserver.Server {
		return &ntlmserver.Server{
			RequireMIC:      true,
			RequireEPA:      true,
			CheckTargetName: func(spn string) bool { return spn == "HTTP/proxy.example.com" },
		}
	}
	sameConn := []string{"CONNECT -> 407", "= CONNECT NTLM -> 407", "= CONNECT NTLM -> 200"}
	otherConn := []string{"CONNECT -> 407", "CONNECT NTLM -> 407", "= CONNECT NTLM -> 200"}
	for _, tt := range []struct {
		desc   string
		server *ntlmserver.Server
		config testproxy.Config
		tunnel []string
		closes bool
	}{
		{
			desc:   "TLS proxy that requires channel binding, target name and MIC",
			server: strict(),
			config: testproxy.Config{TLS: ca.ServerConfig("proxy.example.com")},
			tunnel: sameConn,
		},
		{
			desc:   "proxy without a clock",
			server: &ntlmserver.Server{Faults: ntlmserver.Always(ntlmserver.NoTimestamp)},
			tunnel: sameConn,
		},
		{
			desc:   "squid with keep_alive off",
			config: testproxy.Config{Fault: testproxy.OnLeg(bare, testproxy.CloseOpenly())},
			tunnel: otherConn,
		},
		{
			desc:   "proxy that closes after its first 407 and does not say so",
			config: testproxy.Config{Fault: testproxy.OnLeg(bare, testproxy.CloseSilently())},
			tunnel: otherConn,
		},
		{
			desc:   "squid 2",
			config: testproxy.Config{Fault: testproxy.On(407, proxyConnection("HTTP/1.0", "keep-alive"))},
			tunnel: sameConn,
			closes: true, // for net/http, which knows the field Connection alone
		},
		{
			desc:   "large 407s",
			config: testproxy.Config{Fault: testproxy.On(407, testproxy.LargeBody(100<<10))},
			tunnel: sameConn,
		},
		{
			desc:   "chunked 407s",
			config: testproxy.Config{Fault: testproxy.On(407, testproxy.Chunked())},
			tunnel: sameConn,
		},
		{
			desc:   "informational answers",
			config: testproxy.Config{Fault: testproxy.Always(testproxy.Interim(3, "103 Early Hints"))},
			tunnel: sameConn,
		},
	} {
		bubble(t, tt.desc+", forwarded", func(t *testing.T) {
			l, _ := newNTLMLab(t, tt.server, tt.config)
			if tt.closes {
				requireCause(t, broken, fetch(t.Context(), l.rt, originHost))
				return
			}
			l.get(httpOrigin + "/a")
			l.legs("GET /a -> 407", "open NTLM -> 407", "= GET /a NTLM -> 200")
			l.get(httpOrigin + "/b")
			l.legs("GET /b -> 200")
			l.hangUp()
			l.get(httpOrigin + "/c")
			l.legs("open NTLM -> 407", "= GET /c NTLM -> 200")
		})
		bubble(t, tt.desc+", tunnelled", func(t *testing.T) {
			l, _ := newNTLMLab(t, tt.server, tt.config)
			l.get(httpsOrigin + "/a")
			l.legs(tt.tunnel...)
			l.get(httpsOrigin + "/b")
			l.legs()
			l.hangUp()
			l.get(httpsOrigin + "/c")
			l.legs("CONNECT NTLM -> 407", "= CONNECT NTLM -> 200")
		})
	}
}

// What opens a connection has nothing of the caller's request but its URL and
// User-Agent.
func TestNTLMOpeningLeg(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := newNTLMLab(t, nil, testproxy.Config{})
		for _, path := range []string{"/known", "/again"} {
			req := l.request(http.MethodDelete, httpOrigin+path+"?token=1", strings.NewReader("body"))
			req.Header = http.Header{"Authorization": {"Bearer x"}, "Cookie": {"c=1"}, "X-Custom": {"1"}, "User-Agent": {"ann's"}}
			_, _, err := l.do(req)
			require.NoError(t, err)
			opened := 0
			for _, leg := range l.proxy.Legs() {
				if leg.Scheme != "NTLM" || leg.Status != 407 {
					continue
				}
				opened++
				require.Equal(t, "GET", leg.Method)
				require.Contains(t, []string{httpOrigin + "/", httpOrigin + path + "?token=1"}, leg.Target)
				require.Zero(t, leg.BodyBytes)
				require.Subset(t, []string{"Accept-Encoding", "Host", "Proxy-Authorization", "Proxy-Connection", "User-Agent"}, slices.Collect(maps.Keys(leg.Header)))
			}
			require.Equal(t, 1, opened)
			require.Empty(t, l.proxy.Violations())
			l.proxy.Reset()
			l.hangUp()
		}
		for _, got := range l.origin.Requests() {
			require.Equal(t, "Bearer x", got.Header.Get("Authorization"))
			require.EqualValues(t, 4, got.BodyBytes)
		}
		require.Len(t, l.origin.Requests(), 2)
	})
}

// TestNTLMConcurrentUploads sends bodies that can't be had again, from many
// goroutines over few connections: each arrives once and whole, on a connection
// that is authenticated.
func TestNTLMConcurrentUploads(t *testing.T) {
	t.Parallel()
	const workers, conns = 64, 8
	posts := sample.Size(15, 50)
	for _, way := range []string{httpOrigin, httpsOrigin} {
		bubble(t, way, func(t *testing.T) {
			l, _ := newNTLMLab(t, nil, testproxy.Config{})
			l.base.MaxConnsPerHost = conns
			l.base.ForceAttemptHTTP2 = false
			want := make(map[string]int)
			bodies := make([]string, workers*posts)
			for i := range bodies {
				bodies[i] = fmt.Sprintf("%d ", i) + strings.Repeat("x", i*7%5000)
				hash := sha256.Sum256([]byte(bodies[i]))
				want[hex.EncodeToString(hash[:])]++
			}
			require.NoError(t, errors.Join(together(workers, func(worker int) error {
				for i := range posts {
					req := l.request(http.MethodPost, way+"/", unreplayable(bodies[worker*posts+i]))
					resp, _, err := l.do(req)
					if err != nil {
						return err
					}
					if resp.StatusCode != http.StatusOK {
						return errors.New(resp.Status)
					}
				}
				return nil
			})...))
			got := make(map[string]int)
			for _, o := range []*testproxy.Origin{l.origin, l.secure} {
				for _, r := range o.Requests() {
					if r.Method == http.MethodPost {
						got[r.BodySHA256]++
					}
				}
			}
			require.Equal(t, want, got)
			require.Empty(t, l.proxy.Violations())

			handshakes := 0
			for _, leg := range l.proxy.Legs() {
				if leg.Scheme == "NTLM" {
					handshakes++
				}
				if leg.Status == 200 {
					require.Equal(t, user, leg.User)
				}
			}
			require.LessOrEqual(t, handshakes, 2*conns)
			require.LessOrEqual(t, openConns(l.proxy), conns+1, "the cold connection may be in another pool")
		})
	}
}

// Settings of Base keep their meaning for authenticated connections.
func TestNTLMPoolSettings(t *testing.T) {
	t.Parallel()
	three := func(l *lab) {
		for _, err := range together(3, func(int) error { return fetch(l.t.Context(), l.rt, originHost) }) {
			require.NoError(l.t, err)
		}
		synctest.Wait()
	}
	slow := func(leg *testproxy.Leg) *testproxy.Action {
		if leg.Status == 200 {
			time.Sleep(time.Second) // so that no connection is idle yet
		}
		return nil
	}
	for _, tt := range []struct {
		desc string
		set  func(*http.Transport)
		want int // connections that stay open, the cold one not counted
	}{
		{"unlimited", func(*http.Transport) {}, 3},
		{"MaxIdleConnsPerHost", func(base *http.Transport) { base.MaxIdleConnsPerHost = 2 }, 2},
		{"MaxIdleConns", func(base *http.Transport) { base.MaxIdleConns = 1 }, 1},
		{"MaxConnsPerHost", func(base *http.Transport) { base.MaxConnsPerHost = 1 }, 1},
		{"DisableKeepAlives", func(base *http.Transport) { base.DisableKeepAlives = true }, 0},
	} {
		bubble(t, tt.desc, func(t *testing.T) {
			l, _ := newNTLMLab(t, nil, testproxy.Config{})
			tt.set(l.base)
			require.NoError(t, fetch(t.Context(), l.rt, originHost))
			l.proxy.SetFault(slow)
			three(l)
			require.Equal(t, tt.want, l.authenticated())
			require.Empty(t, l.proxy.Violations())
		})
	}
	bubble(t, "IdleConnTimeout", func(t *testing.T) {
		l, _ := newNTLMLab(t, nil, testproxy.Config{})
		l.base.IdleConnTimeout = 10 * time.Second
		l.get(httpOrigin + "/a")
		time.Sleep(9 * time.Second)
		l.get(httpOrigin + "/b")
		time.Sleep(9 * time.Second)
		require.Equal(t, 1, l.authenticated())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Zero(t, openConns(l.proxy))
	})
}

// A connection whose authentication the proxy has forgotten is replaced.
func TestNTLMForgottenConnection(t *testing.T) {
	t.Parallel()
	bubble(t, "one", func(t *testing.T) {
		l, m := newNTLMLab(t, nil, testproxy.Config{})
		l.get(httpOrigin + "/a")
		l.legs("GET /a -> 407", "open NTLM -> 407", "= GET /a NTLM -> 200")
		m.Forget()
		l.get(httpOrigin + "/b")
		l.legs("GET /b -> 407", "open NTLM -> 407", "= GET /b NTLM -> 200")
		synctest.Wait()
		require.Equal(t, 1, l.authenticated())
	})
	bubble(t, "all at once", func(t *testing.T) {
		const conns = 16
		l, m := newNTLMLab(t, nil, testproxy.Config{})
		hold := make(chan struct{})
		l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
			if leg.Status == 200 && leg.Method == http.MethodPut {
				<-hold
			}
			return nil
		})
		go func() {
			time.Sleep(time.Second)
			close(hold)
		}()
		l.get(httpOrigin + "/")
		put := func(int) error {
			_, _, err := l.do(l.request(http.MethodPut, httpOrigin, nil))
			return err
		}
		require.NoError(t, errors.Join(together(conns, put)...))
		require.Equal(t, conns, l.authenticated())
		l.tally()
		m.Forget()
		l.get(httpOrigin + "/")
		tally := l.tally()
		require.LessOrEqual(t, tally["GET 407"], 2) // today one on each of two connections
		delete(tally, "GET 407")
		require.Equal(t, map[string]int{"GET NTLM 407": 1, "GET NTLM 200": 1}, tally)
		l.get(httpOrigin + "/")
		require.Equal(t, map[string]int{"GET 200": 1}, l.tally(), "the others are closed")
	})
	bubble(t, "after some requests", func(t *testing.T) {
		l, m := newNTLMLab(t, nil, testproxy.Config{})
		m.Requests = 5
		require.NoError(t, errors.Join(together(8, func(int) error {
			for range 20 {
				if err := fetch(t.Context(), l.rt, originHost); err != nil {
					return err
				}
			}
			return nil
		})...))
		require.Len(t, l.origin.Requests(), 160)
		require.Empty(t, l.proxy.Violations())
	})
	bubble(t, "with a body that is gone", func(t *testing.T) {
		l, m := newNTLMLab(t, nil, testproxy.Config{})
		l.get(httpOrigin + "/")
		m.Forget()
		u := newUpload(shortBody)
		resp, _, err := l.do(u.put(l.request(http.MethodPost, httpOrigin, nil), false))
		require.NoError(t, err)
		require.Equal(t, proxyauth.CauseBodyNotReplayable, explained(resp).Cause)
		u.requireClosed(t)
		u = newUpload(shortBody)
		_, _, err = l.do(u.put(l.request(http.MethodPost, httpOrigin, nil), true))
		require.NoError(t, err)
		l.origin.Reset()
		m.Forget()
		_, _, err = l.do(u.put(l.request(http.MethodPost, httpOrigin, nil), true))
		require.NoError(t, err)
		u.requireArrived(t, l.origin)
	})
}

// A body of the origin that looks like a 407 is none, wherever reads end.
func TestNTLMBodyLikeA407(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := newNTLMLab(t, nil, testproxy.Config{})
		l.get(httpOrigin + "/")
		const page = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: NTLM\r\n\r\n"
		testproxy.StartOrigin(t, testproxy.OriginConfig{
			Network: l.network, Addr: "pages.example.com:80",
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for range 10 {
					io.WriteString(w, page)
					w.(http.Flusher).Flush()
					time.Sleep(time.Millisecond)
				}
			}),
		})
		for range 3 {
			_, body, err := l.do(l.request(http.MethodGet, (&url.URL{Scheme: "http", Host: "pages.example.com"}).String(), nil))
			require.NoError(t, err)
			require.Equal(t, strings.Repeat(page, 10), body)
		}
		require.Equal(t, 1, l.authenticated(), "the connection is kept")
	})
}
