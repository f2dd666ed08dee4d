package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
)

func digestLab(t testing.TB, d *testproxy.Digest) *lab {
	d.Realm = "lab"
	return newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{d}})
}

// visit makes a request on a new connection, so that a tunnel is a request to the
// proxy too, and returns the statuses of its legs.
func (l *lab) visit(target string) (statuses []int) {
	l.t.Helper()
	l.get(target + "/")
	l.hangUp()
	for _, leg := range l.proxy.Legs() {
		statuses = append(statuses, leg.Status)
	}
	require.Empty(l.t, l.proxy.Violations())
	l.proxy.Reset()
	return statuses
}

// TestDigestNonces has the legs of five requests, and what is learned of nonces
// between them.
func TestDigestNonces(t *testing.T) {
	t.Parallel()
	again, first := []int{407, 200}, []int{200}
	forget := func(d *testproxy.Digest) { d.ForgetNonces() }
	for _, tt := range []struct {
		desc    string
		set     func(*testproxy.Digest)
		between func(*testproxy.Digest)
		want    [5][]int
	}{
		{desc: "for ever", want: [5][]int{again, first, first, first, first}},
		{desc: "for two requests", set: func(d *testproxy.Digest) { d.NonceUses = 2 }, want: [5][]int{again, first, again, first, again}},
		{desc: "for two requests, as squid", set: func(d *testproxy.Digest) { d.NonceUses, d.Stale = 2, testproxy.StaleSquid }, want: [5][]int{again, first, again, first, again}},
		{desc: "for two requests, with the next announced", set: func(d *testproxy.Digest) { d.NonceUses, d.NextNonce = 2, 1 }, want: [5][]int{again, first, first, first, first}},
		{desc: "for one request, with the next announced", set: func(d *testproxy.Digest) { d.NonceUses, d.NextNonce = 1, -1 }, want: [5][]int{again, first, first, first, first}},
		{desc: "forgotten", between: forget, want: [5][]int{again, again, again, again, again}},
		{desc: "forgotten, as squid", set: func(d *testproxy.Digest) { d.Stale = testproxy.StaleSquid }, between: forget, want: [5][]int{again, again, again, again, again}},
		{desc: "forgotten without a word", set: func(d *testproxy.Digest) { d.Stale = testproxy.StaleNever }, between: forget, want: [5][]int{again, again, again, again, again}},
		{desc: "counted as by squid", set: func(d *testproxy.Digest) { d.NonceCount = testproxy.NonceCountSquid }, want: [5][]int{again, first, first, first, first}},
		{desc: "counted strictly", set: func(d *testproxy.Digest) { d.NonceCount = testproxy.NonceCountRefuse }, want: [5][]int{again, first, first, first, first}},
	} {
		for _, target := range []string{httpOrigin, httpsOrigin} {
			t.Run(tt.desc+" "+target, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := new(testproxy.Digest)
					if tt.set != nil {
						tt.set(d)
					}
					l := digestLab(t, d)
					var got [5][]int
					for i := range got {
						got[i] = l.visit(target)
						if tt.between != nil {
							tt.between(d)
						}
					}
					require.Equal(t, tt.want, got)
					require.EqualValues(t, 1, l.asked.Load())
					require.Zero(t, l.users.Failures(user))
				})
			})
		}
	}
}

// TestDigestAlgorithms answers the strongest algorithm, whatever its place.
func TestDigestAlgorithms(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		offered []string
		want    string // empty if none can be answered
	}{
		{[]string{"MD5"}, "MD5"},
		{[]string{"MD5", "SHA-256"}, "SHA-256"},
		{[]string{"SHA-256", "MD5"}, "SHA-256"},
		{[]string{"SHA-256", "MD5", "SHA-512-256-sess"}, "SHA-512-256-sess"},
		{[]string{"MD5-sess"}, "MD5-sess"},
	} {
		for _, target := range []string{httpOrigin, httpsOrigin} {
			t.Run(strings.Join(tt.offered, ", ")+" "+target, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := digestLab(t, &testproxy.Digest{Algorithms: tt.offered, RspAuth: testproxy.RspAuthRight})
					l.get(target + "/")
					legs := l.proxy.Legs()
					require.Len(t, legs, 2)
					require.Contains(t, legs[1].Header.Get("Proxy-Authorization"), "algorithm="+tt.want+",")
				})
			})
		}
	}
}

// TestDigestUnknownAlgorithm leaves it to Basic, or gives up.
func TestDigestUnknownAlgorithm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := basicLab(t, nil)
		const md6 = `Digest realm="lab", nonce="n", algorithm=MD6`
		l.proxy.SetFault(testproxy.On(407, testproxy.Offer(md6)))
		resp, _, err := l.do(l.request(http.MethodGet, httpOrigin, nil))
		require.NoError(t, err)
		require.Equal(t, proxyauth.CauseNoCommonScheme, explained(resp).Cause)
		require.Len(t, l.proxy.Legs(), 1)
		l.proxy.SetFault(testproxy.On(407, testproxy.Offer(md6, `Basic realm="lab"`)))
		l.get(httpOrigin + "/")
	})
}

// TestDigestAuthInt signs bodies too, and verifies the answer's.
func TestDigestAuthInt(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, shortBody, longBody} {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := digestLab(t, &testproxy.Digest{QOP: "auth-int", RspAuth: testproxy.RspAuthRight})
				for range 2 {
					u := newUpload(size)
					req := u.put(l.request(http.MethodPost, httpOrigin, nil), true)
					resp, body, err := l.do(req)
					require.NoError(t, err)
					require.Equal(t, http.StatusOK, resp.StatusCode)
					require.Equal(t, "hello from POST /", body)
					u.requireArrived(t, l.origin)
					u.requireClosed(t)
				}
				l.get(httpsOrigin + "/")
			})
		})
	}
	t.Run("unreplayable", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{
				&testproxy.Digest{Realm: "lab", QOP: "auth-int"}, &testproxy.Basic{Realm: "lab"},
			}})
			for nonce := range 2 {
				u := newUpload(shortBody)
				resp, _, err := l.do(u.put(l.request(http.MethodPost, httpOrigin, nil), false))
				if nonce == 0 {
					require.NoError(t, err)
					require.Equal(t, http.StatusProxyAuthRequired, resp.StatusCode)
					err = explained(resp)
				}
				require.ErrorIs(t, err, digest.ErrBodyNeeded)
				requireCause(t, proxyauth.CauseBodyNotReplayable, err)
				u.requireClosed(t)
				require.Zero(t, l.bodySent())
				l.get(httpOrigin + "/")
			}
			for _, leg := range l.proxy.Legs() {
				require.NotEqual(t, "Basic", leg.Scheme)
			}
		})
	})
}

// A body that can't be read on holds up its own request, for as long as its context allows.
func TestDigestAuthIntOfABodyThatBlocks(t *testing.T) {
	t.Parallel()
	for _, accepted := range []bool{false, true} {
		bubble(t, fmt.Sprint("accepted before ", accepted), func(t *testing.T) {
			l := digestLab(t, &testproxy.Digest{QOP: "auth-int"})
			if accepted {
				l.get(httpOrigin + "/")
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			req := l.request(http.MethodPost, httpOrigin, strings.NewReader("body")).WithContext(ctx)
			blocked, _ := io.Pipe()
			req.GetBody = func() (io.ReadCloser, error) { return blocked, nil }
			start := time.Now()
			_, err := l.rt.RoundTrip(req)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, time.Second, time.Since(start))
			l.get(httpOrigin + "/")
			require.Equal(t, time.Second, time.Since(start))
		})
	}
}

// TestProxyNotVerified refuses the answer of a proxy whose proof is wrong.
func TestProxyNotVerified(t *testing.T) {
	t.Parallel()
	for _, target := range []string{httpOrigin, httpsOrigin} {
		t.Run(target, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := digestLab(t, &testproxy.Digest{RspAuth: testproxy.RspAuthWrong})
				for range 2 {
					resp, _, err := l.do(l.request(http.MethodGet, target, nil))
					require.Nil(t, resp)
					var e *proxyauth.Error
					require.ErrorAs(t, err, &e)
					require.Equal(t, proxyauth.CauseProxyNotVerified, e.Cause)
					require.ErrorIs(t, err, proxyauth.ErrNotVerified)
				}
				require.Empty(t, l.secure.Requests())
				l.requireQuiet()
			})
		})
	}
	t.Run("body", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := digestLab(t, &testproxy.Digest{QOP: "auth-int", RspAuth: testproxy.RspAuthWrong})
			resp, err := l.rt.RoundTrip(l.request(http.MethodGet, httpOrigin, nil))
			require.NoError(t, err)
			_, err = io.ReadAll(resp.Body)
			require.ErrorIs(t, err, proxyauth.ErrNotVerified)
			require.NoError(t, resp.Body.Close())
		})
	})
}

// TestDigestURI signs what stands in the request line, to a proxy that is strict
// about it.
func TestDigestURI(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc, target string
		change       func(*http.Request)
		origin       string // where it must arrive
		line         string // the request-target
	}{
		{desc: "no path", target: "http://a.example.com", line: "http://a.example.com/"},
		{desc: "query", target: "http://a.example.com/p/?q=a,b%20c&d=\"e\"", line: "http://a.example.com/p/?q=a,b%20c&d=\"e\""},
		{desc: "empty query", target: "http://a.example.com/p?", line: "http://a.example.com/p?"},
		{desc: "fragment", target: "http://a.example.com/p#f", line: "http://a.example.com/p"},
		{desc: "escapes", target: "http://a.example.com/%7Ea/b%2Fc", line: "http://a.example.com/%7Ea/b%2Fc"},
		{desc: "path outside ASCII", target: "http://a.example.com/ä", line: "http://a.example.com/%C3%A4"},
		{desc: "port", target: "http://a.example.com:8080/", origin: "a.example.com:8080", line: "http://a.example.com:8080/"},
		{desc: "own port", target: "http://a.example.com:80/", line: "http://a.example.com:80/"},
		{desc: "user info", target: "http://u:p@a.example.com/", line: "http://a.example.com/"},
		{desc: "upper case", target: "http://A.example.com/", origin: "A.example.com:80", line: "http://A.example.com/"},
		{desc: "outside ASCII", target: "http://bücher.example.com/", origin: "xn--bcher-kva.example.com:80", line: "http://xn--bcher-kva.example.com/"},
		{desc: "IPv6", target: "http://[2001:db8::1]/", origin: "[2001:db8::1]:80", line: "http://[2001:db8::1]/"},
		{desc: "IPv6 with a zone", target: "http://[fe80::1%25eth0]/", origin: "[fe80::1]:80", line: "http://[fe80::1]/"},
		{desc: "Host", target: "http://a.example.com/p?q", change: func(r *http.Request) { r.Host = "b.example.com:81" }, origin: "b.example.com:81", line: "http://b.example.com:81/p?q"},
		{desc: "opaque", target: "http://a.example.com/", change: func(r *http.Request) {
			r.URL = &url.URL{Scheme: "http", Host: "a.example.com", Opaque: "//a.example.com/o%2fp"}
		}, line: "http://a.example.com/o%2fp"},
		{desc: "no method", target: "http://a.example.com/", change: func(r *http.Request) { r.Method = "" }, line: "http://a.example.com/"},
		{desc: "CONNECT", target: "https://a.example.com/p?q", origin: "a.example.com:443", line: "a.example.com:443"},
		{desc: "CONNECT to a port", target: "https://a.example.com:8443/", origin: "a.example.com:8443", line: "a.example.com:8443"},
		{desc: "CONNECT to IPv6", target: "https://[2001:db8::1]/", origin: "[2001:db8::1]:443", line: "[2001:db8::1]:443"},
		{desc: "CONNECT outside ASCII", target: "https://bücher.example.com/", origin: "xn--bcher-kva.example.com:443", line: "xn--bcher-kva.example.com:443"},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := digestLab(t, &testproxy.Digest{RspAuth: testproxy.RspAuthRight})
				config := testproxy.OriginConfig{Network: l.network, Addr: "a.example.com:80"}
				if tt.origin != "" {
					config.Addr = tt.origin
				}
				if strings.HasPrefix(tt.target, "https") {
					config.TLS = ca.ServerConfig("a.example.com", "xn--bcher-kva.example.com", "2001:db8::1")
				}
				origin := testproxy.StartOrigin(t, config)
				req := l.request(http.MethodGet, tt.target, nil)
				if tt.change != nil {
					tt.change(req)
				}
				resp, _, err := l.do(req)
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, resp.StatusCode)
				require.Len(t, origin.Requests(), 1)
				legs := l.proxy.Legs()
				require.Len(t, legs, 2)
				require.Equal(t, tt.line, legs[1].Target)
				require.Contains(t, legs[1].Header.Get("Proxy-Authorization"), `uri="`+strings.ReplaceAll(tt.line, `"`, `\"`)+`"`)
			})
		})
	}
}
