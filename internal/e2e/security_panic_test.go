package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

// A tripwire panics once, when it is touched for the last of n times.
type tripwire struct{ n int }

func (w *tripwire) touch() {
	if w.n--; w.n == 0 {
		panic(w)
	}
}

func (w *tripwire) hook(context.Context, proxyauth.TraceInfo) { w.touch() }

// panicking sets each callback of a Transport to one that touches w.
var panicking = map[string]func(l *lab, w *tripwire){
	"LegSent":          func(l *lab, w *tripwire) { l.rt.Trace = &proxyauth.Trace{LegSent: w.hook} },
	"LegAnswered":      func(l *lab, w *tripwire) { l.rt.Trace = &proxyauth.Trace{LegAnswered: w.hook} },
	"Challenged":       func(l *lab, w *tripwire) { l.rt.Trace = &proxyauth.Trace{Challenged: w.hook} },
	"CredentialsAsked": func(l *lab, w *tripwire) { l.rt.Trace = &proxyauth.Trace{CredentialsAsked: w.hook} },
	"Accepted":         func(l *lab, w *tripwire) { l.rt.Trace = &proxyauth.Trace{Accepted: w.hook} },
	"ProxyChosen":      func(l *lab, w *tripwire) { l.rt.Trace = &proxyauth.Trace{ProxyChosen: w.hook} },
	"TunnelOpened":     func(l *lab, w *tripwire) { l.rt.Trace = &proxyauth.Trace{TunnelOpened: w.hook} },
	"OnProxyConnectResponse": func(l *lab, w *tripwire) {
		l.base.OnProxyConnectResponse = func(context.Context, *url.URL, *http.Request, *http.Response) error { w.touch(); return nil }
	},
	"AllowProxy": func(l *lab, w *tripwire) {
		l.rt.AllowProxy = func(context.Context, *url.URL) bool { w.touch(); return true }
	},
	"provider": func(l *lab, w *tripwire) {
		next := l.rt.Credentials
		l.rt.Credentials = proxyauth.CredentialsFunc(func(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
			w.touch()
			return next.Credentials(ctx, req)
		})
	},
	"GetProxyConnectHeader": func(l *lab, w *tripwire) {
		l.base.GetProxyConnectHeader = func(context.Context, *url.URL, string) (http.Header, error) { w.touch(); return nil, nil }
	},
}

// TestPanicOfACallback recovers, as an HTTP server's handler does, from a callback that
// panics in the middle of an exchange: later requests are served as if it had failed.
func TestPanicOfACallback(t *testing.T) {
	t.Parallel()
	for name, set := range panicking {
		for i, mechanism := range allMechanisms() {
			for _, path := range []string{"forwarded", "dialled"} {
				for n := 1; n <= 3; n++ {
					t.Run(fmt.Sprint(name, " ", mechanism.Scheme(), " ", path, " ", n), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							l := newLab(t, testproxy.Config{Auth: allMechanisms()[i : i+1]})
							w := &tripwire{n}
							set(l, w)
							func() {
								defer func() {
									if v := recover(); w.n == 0 {
										require.NotNil(t, v)
									}
								}()
								l.reach(t.Context(), path)
							}()
							w.n = 0
							time.Sleep(time.Hour) // the password may have been sent in vain
							start := time.Now()
							resp, err := l.reach(t.Context(), path)
							require.NoError(t, err)
							require.Equal(t, http.StatusOK, resp.StatusCode)
							require.Zero(t, time.Since(start), "something of the other request was waited for")
							l.requireQuiet()
						})
					})
				}
			}
		}
	}
}

// TestPanicOfDialKDC is the same for a function of a scheme, which serves all who wait.
func TestPanicOfDialKDC(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"forwarded", "dialled"} {
		for n := 1; n <= 3; n++ { // AS-REQ, proof, TGS-REQ
			r := newRealm(t)
			bubble(t, fmt.Sprint(path, " ", n), func(t *testing.T) {
				l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, testproxy.Config{})
				w := &tripwire{n}
				l.scheme.DialKDC = func(ctx context.Context, network, address string) (net.Conn, error) {
					w.touch()
					return r.dial(ctx, network, address)
				}
				require.Panics(t, func() { l.reach(t.Context(), path) })
				resp, err := l.reach(t.Context(), path)
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, resp.StatusCode)
				l.requireQuiet()
			})
		}
	}
}

// dial opens a tunnel and closes it.
func dial(ctx context.Context, rt *proxyauth.Transport, host string) error {
	conn, err := rt.DialContext(ctx, "tcp", host+":80")
	if err != nil {
		return err
	}
	return conn.Close()
}

// A provider that panics ends the goroutine of one request: those that wait for the same answer
// fail with an error.
func TestPanicOfAProviderThatManyWaitFor(t *testing.T) {
	t.Parallel()
	for name, shared := range map[string]func(proxyauth.CredentialsProvider) proxyauth.CredentialsProvider{
		"alone": func(p proxyauth.CredentialsProvider) proxyauth.CredentialsProvider { return p },
		"cached": func(p proxyauth.CredentialsProvider) proxyauth.CredentialsProvider {
			return &credentials.Cached{Source: p}
		},
		"cached in a chain": func(p proxyauth.CredentialsProvider) proxyauth.CredentialsProvider {
			return credentials.Chain(&credentials.Cached{Source: credentials.Chain(p)})
		},
	} {
		for path, reach := range map[string]func(context.Context, *proxyauth.Transport, string) error{"forwarded": fetch, "dialled": dial} {
			bubble(t, name+", "+path, func(t *testing.T) {
				l := newLab(t, testproxy.Config{Auth: allMechanisms()[:1]})
				var calls, panics atomic.Int64
				next := l.rt.Credentials
				provider := shared(proxyauth.CredentialsFunc(func(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
					time.Sleep(3 * time.Second) // others wait for the first contact no longer than 2 s
					if calls.Add(1) == 1 {
						panic("provider")
					}
					return next.Credentials(ctx, req)
				}))
				l.rt.Credentials = provider
				l.rt.ErrorOn407 = true
				other := l.transport(user, password)
				other.Credentials, other.ErrorOn407 = provider, true
				for n, err := range together(40, func(n int) (err error) {
					defer func() {
						if recover() != nil {
							panics.Add(1)
						}
					}()
					return reach(t.Context(), []*proxyauth.Transport{l.rt, other}[n%2], originHost)
				}) {
					if err != nil {
						requireCause(t, proxyauth.CauseNoCredentials, err)
						require.ErrorContains(t, err, "panicked", n)
					}
				}
				require.EqualValues(t, 1, panics.Load())
				for _, err := range together(40, func(int) error { return reach(t.Context(), l.rt, originHost) }) {
					require.NoError(t, err)
				}
				other.CloseIdleConnections()
				l.requireQuiet()
			})
		}
	}
}
