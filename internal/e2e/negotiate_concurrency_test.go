package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// However many requests come first, the KDC is asked once for each ticket, and the
// proxy once what it wants.
func TestNegotiateColdRequests(t *testing.T) {
	t.Parallel()
	requests := manyCallers()
	for _, w := range ways {
		for _, cache := range []bool{false, true} {
			r := newRealm(t)
			bubble(t, fmt.Sprintf("%s, ticket cache %t", w.desc, cache), func(t *testing.T) {
				l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, testproxy.Config{})
				initial := 1
				if cache {
					initial = 0
					l.ambient(kdc.CCache{Client: user})
					l.base.MaxConnsPerHost = 8
				}
				get := func(int) error { return w.reach(t.Context(), l.rt, originHost) }
				require.NoError(t, errors.Join(together(requests, get)...))
				l.requireTickets(initial, 1)
				if cache && w.method == http.MethodGet {
					require.LessOrEqual(t, len(l.proxy.Conns()), 8+1, "the cold connection is in another pool")
				}
				legs := l.tally()
				require.Equal(t, 1, legs[w.method+" 407"])
				require.Equal(t, requests, legs[w.method+" 200"]+legs[w.method+" Negotiate 200"])
				delete(legs, w.method+" 407")
				delete(legs, w.method+" 200")
				require.Equal(t, []string{w.method + " Negotiate 200"}, keys(legs), "nothing else")
			})
		}
	}
}

// A password that the KDC refuses is sent to it once, and to the proxy not at all,
// in no scheme.
func TestNegotiatePasswordRefusedByTheKDC(t *testing.T) {
	t.Parallel()
	requests := sample.Size(25, 100)
	for _, tt := range []struct {
		desc     string
		upset    func(*realm)
		failures int // of pre-authentication
		want     error
	}{
		{"wrong", func(r *realm) { r.SetPassword(user, "other") }, 1, negotiate.PasswordWrong},
		{"expired", func(r *realm) { r.Expire(user, true) }, 0, negotiate.PasswordExpired},
		{"locked", func(r *realm) { r.Lock(user, true) }, 0, negotiate.AccountRevoked},
		{"of unknown correctness", func(r *realm) { r.instead(r.noVerdict) }, 0, negotiate.MalformedReply},
	} {
		for _, path := range []struct {
			desc string
			ways []way
		}{
			{"forwarded", []way{forwarded}},
			{"tunnelled", []way{tunnelled}},
			{"mixed", ways},
		} {
			r := newRealm(t)
			bubble(t, tt.desc+", "+path.desc, func(t *testing.T) {
				tt.upset(r)
				m := spnegoserver.Mechanism{Server: withNTLM(r, spnegoserver.Faults{})}
				l := newNegotiateLab(t, r, m, basicToo(testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.NTLM{}}}))
				w := &witness{answer: always(password)}
				l.rt.Credentials = w
				for range 2 {
					for _, err := range together(requests, func(i int) error {
						return mixed(path.ways, i).reach(t.Context(), l.rt, originHost)
					}) {
						cause := proxyauth.CauseHeldBack
						if tt.want == negotiate.PasswordWrong {
							cause = proxyauth.CauseCredentialsRejected
						}
						e := requireCause(t, cause, err)
						require.Equal(t, cause == proxyauth.CauseCredentialsRejected, errors.Is(e, proxyauth.ErrRejected))
						require.ErrorIs(t, e, tt.want, "what the KDC said")
					}
				}
				require.Equal(t, tt.failures, r.Total().PreauthFailed)
				require.LessOrEqual(t, r.Total().ASRequests, 2)
				if tt.want == negotiate.PasswordWrong {
					require.Equal(t, []string{password}, w.rejected)
				} else {
					require.Empty(t, w.rejected, "the password may be good")
				}
				for leg := range l.tally() {
					require.Contains(t, []string{"GET 407", "CONNECT 407"}, leg)
				}

				// As good as new, and the caller says so.
				r.instead(r.KDC.Answer)
				r.SetPassword(user, password)
				r.Expire(user, false)
				r.Lock(user, false)
				l.rt.Reset()
				require.NoError(t, path.ways[0].reach(t.Context(), l.rt, originHost))
				require.Equal(t, tt.failures, r.Total().PreauthFailed)
			})
		}
	}
}

// noVerdict answers like the KDC, but for a proof.
func (r *realm) noVerdict(request []byte) []byte {
	if kdc.Proves(request) {
		return []byte("HTTP/1.1 502 Bad Gateway\r\n")
	}
	return r.Answer(request)
}

// Those who have waited for a request that got no answer from the KDC share what
// came of it: they do not wait one after the other.
func TestNegotiateSilentKDC(t *testing.T) {
	t.Parallel()
	const kdcTimeout = 10 * time.Second
	for _, w := range ways {
		r := newRealm(t)
		bubble(t, w.desc, func(t *testing.T) {
			l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, testproxy.Config{})
			l.scheme.DisableNTLM, l.scheme.DialKDC = true, silentKDC
			start := time.Now()
			for _, err := range together(100, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
				require.ErrorIs(t, requireKerberosCause(t, err), negotiate.KDCUnreachable)
			}
			require.LessOrEqual(t, time.Since(start), kdcTimeout)

			for range 2 {
				err := w.reach(t.Context(), l.rt, originHost)
				require.ErrorIs(t, requireKerberosCause(t, err), negotiate.KDCUnreachable)
			}
			require.LessOrEqual(t, time.Since(start), kdcTimeout, "nobody waits again at once")

			time.Sleep(time.Minute)
			start = time.Now()
			err := w.reach(t.Context(), l.rt, originHost)
			require.ErrorIs(t, requireKerberosCause(t, err), negotiate.KDCUnreachable)
			require.Equal(t, kdcTimeout, time.Since(start), "who comes later tries again")
		})
	}
}

// A proxy that wants a token with each request is noticed by many at once.
func TestNegotiatePerRequestConcurrency(t *testing.T) {
	t.Parallel()
	const workers, requests = 16, 12
	for _, tls := range []bool{false, true} {
		r := newRealm(t)
		bubble(t, fmt.Sprintf("TLS %t", tls), func(t *testing.T) {
			config := testproxy.Config{}
			if tls {
				config.TLS = ca.ServerConfig("proxy.example.com")
			}
			l := newNegotiateLab(t, r, spnegoserver.Mechanism{PerRequest: true}, config)
			l.server.RequireCB = tls
			require.NoError(t, errors.Join(together(workers, func(worker int) error {
				for i := range requests {
					time.Sleep(time.Millisecond)
					if err := mixed(ways, worker+i).reach(t.Context(), l.rt, originHost); err != nil {
						return err
					}
				}
				return nil
			})...))
			l.requireTickets(1, 1)
			legs := l.tally()
			require.Equal(t, workers*requests/2, legs["GET Negotiate 200"])
			require.Equal(t, workers*requests/2, legs["CONNECT Negotiate 200"])
			require.LessOrEqual(t, legs["GET 407"]+legs["CONNECT 407"], workers, "connections that had to find out")
			require.Zero(t, legs["GET Negotiate 407"]+legs["CONNECT Negotiate 407"])
		})
	}
}

// Bodies that can't be had again arrive once, from many goroutines at once and
// over few connections.
func TestNegotiateConcurrentUploads(t *testing.T) {
	t.Parallel()
	const workers, conns = 32, 8
	posts := sample.Size(8, 20)
	for _, m := range []spnegoserver.Mechanism{{}, {PerRequest: true}} {
		r := newRealm(t)
		bubble(t, fmt.Sprintf("per request %t", m.PerRequest), func(t *testing.T) {
			l := newNegotiateLab(t, r, m, testproxy.Config{})
			l.base.MaxConnsPerHost = conns
			for range 3 { // which teaches how the proxy is used to do it
				l.get(httpOrigin + "/")
			}
			l.origin.Reset()
			require.NoError(t, errors.Join(together(workers, func(worker int) error {
				for i := range posts {
					resp, body, err := l.do(l.request(http.MethodPost, httpOrigin+"/", unreplayable(fmt.Sprint(worker, " ", i))))
					if err != nil || resp.StatusCode != http.StatusOK {
						return fmt.Errorf("%v: %v: %s", err, explained(resp), body)
					}
				}
				return nil
			})...))
			sent := make(map[string]bool)
			for _, got := range l.origin.Requests() {
				sent[got.BodySHA256] = true
			}
			require.Len(t, l.origin.Requests(), workers*posts)
			require.Len(t, sent, workers*posts)
			require.LessOrEqual(t, openConns(l.proxy), 2*conns)
			require.Empty(t, l.proxy.Violations())
			l.requireTickets(1, 1)
		})
	}
}

// Two proxies with the same service principal may share what they know of replays, and each
// connection to either needs a token of its own, however many are made in the same moment.
func TestTokensOfProxiesWithOneServicePrincipal(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		r := newRealm(t)
		bubble(t, w.desc, func(t *testing.T) {
			l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, testproxy.Config{})
			other := testproxy.Start(t, testproxy.Config{
				Network: l.network, Addr: "proxy.example.com:8080",
				Auth: []testproxy.Mechanism{&spnegoserver.Mechanism{Server: l.server}},
			})
			var n atomic.Int64
			l.base.Proxy = func(*http.Request) (*url.URL, error) {
				if n.Add(1)%2 == 0 {
					return other.URL(), nil
				}
				return l.proxy.URL(), nil
			}
			l.base.DisableKeepAlives = true
			require.NoError(t, errors.Join(together(manyCallers(), func(int) error { return w.reach(t.Context(), l.rt, originHost) })...))
			l.requireTickets(1, 1)
			require.Empty(t, l.server.Violations())
		})
	}
}

// insideOnly takes NTLM inside SPNEGO, and not without it.
type insideOnly struct{ *spnegoserver.Mechanism }

func (m insideOnly) Verify(r *testproxy.Request) testproxy.Verdict {
	if strings.HasPrefix(r.Credentials, base64.StdEncoding.EncodeToString([]byte("NTLMSSP\x00\x01"))) {
		return testproxy.Reject()
	}
	return m.Mechanism.Verify(r)
}

// Hundreds of users who come at once find out, each for itself, that the proxy takes NTLM inside
// SPNEGO alone, and come again.
func TestManyUsersOfNTLMInside(t *testing.T) {
	t.Parallel()
	users := sample.Size(100, 400)
	for _, w := range ways {
		r := newRealm(t)
		bubble(t, w.desc, func(t *testing.T) {
			r.Remove(proxySPN) // so that there is no ticket to be had
			passwords := map[string]string{}
			for i := range users {
				passwords[fmt.Sprint("user", i)] = password
			}
			m := &spnegoserver.Mechanism{Server: &spnegoserver.Server{NTLM: spnegoserver.NewNTLM(&ntlmserver.Server{Users: passwords, RequireMIC: true})}}
			l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{insideOnly{m}}})
			l.rt.Schemes = []proxyauth.Scheme{r.scheme()}
			l.rt.Credentials = credentials.ProxyURL()
			type key struct{}
			l.base.Proxy = func(req *http.Request) (*url.URL, error) {
				return withUser(l.proxy.URL(), req.Context().Value(key{}).(string), password), nil
			}
			require.NoError(t, errors.Join(together(users, func(i int) error {
				return w.reach(context.WithValue(t.Context(), key{}, fmt.Sprint("user", i)), l.rt, originHost)
			})...))
		})
	}
}

// A cannedNegotiate is a proxy that lets a connection pass once there has been a
// token on it, which it does not look at.
type cannedNegotiate struct{}

func (p cannedNegotiate) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go p.serve(server)
	return client, nil
}

func (cannedNegotiate) serve(conn net.Conn) {
	defer conn.Close()
	answer := []byte("HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nContent-Length: 2\r\n\r\nno")
	passed := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	buf := make([]byte, 16<<10)
	for n := 0; ; {
		m, err := conn.Read(buf[n:])
		if err != nil {
			return
		}
		if n += m; !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
			continue
		}
		if bytes.Contains(buf[:n], []byte("\r\nProxy-Authorization: Negotiate ")) {
			answer = passed
		}
		conn.Write(answer)
		n = 0
	}
}

// TestNegotiateAllocations compares a request on an authenticated connection with
// one through bare net/http and a proxy that asks nothing.
func TestNegotiateAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	bare := cannedProxy{}.base()
	t.Cleanup(bare.CloseIdleConnections)
	want := testing.AllocsPerRun(500, getter(t, bare, httpOrigin))
	base := cannedProxy{}.base()
	base.DialContext = cannedNegotiate{}.dial
	rt := &proxyauth.Transport{
		Base:        base,
		Schemes:     []proxyauth.Scheme{newRealm(t).scheme()},
		Credentials: credentials.Static(user, password),
	}
	t.Cleanup(rt.CloseIdleConnections)
	got := testing.AllocsPerRun(500, getter(t, rt, httpOrigin))
	t.Logf("%v allocations, %v more than bare net/http", got, got-want)
	require.LessOrEqual(t, got, want)
}
