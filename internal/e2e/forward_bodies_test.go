package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// An upload is a request's body that knows what becomes of it.
type upload struct {
	data   []byte
	closed atomic.Int64 // of the body itself
	copies atomic.Int64 // that GetBody has returned
	ended  atomic.Int64 // of those
}

func newUpload(size int) *upload {
	u := &upload{data: make([]byte, size)}
	rand.NewChaCha8([32]byte{}).Read(u.data)
	return u
}

func (u *upload) open(closed *atomic.Int64) io.ReadCloser {
	return &countedBody{struct{ io.Reader }{bytes.NewReader(u.data)}, closed}
}

// put makes the upload the body of req.
func (u *upload) put(req *http.Request, replayable bool) *http.Request {
	req.Body, req.ContentLength = u.open(&u.closed), int64(len(u.data))
	if replayable {
		req.GetBody = func() (io.ReadCloser, error) {
			u.copies.Add(1)
			return u.open(&u.ended), nil
		}
	}
	return req
}

// requireClosed requires the body, and every copy, to have been closed once.
func (u *upload) requireClosed(t testing.TB) {
	t.Helper()
	synctest.Wait()
	require.EqualValues(t, 1, u.closed.Load(), "the body was not closed once")
	require.Equal(t, u.copies.Load(), u.ended.Load(), "copies closed")
}

// requireArrived requires the origin to have got the body whole, and once.
func (u *upload) requireArrived(t testing.TB, o *testproxy.Origin) {
	t.Helper()
	got := o.Requests()
	require.Len(t, got, 1)
	hash := sha256.Sum256(u.data)
	require.Equal(t, http.MethodPost, got[0].Method)
	require.Equal(t, hex.EncodeToString(hash[:]), got[0].BodySHA256)
	o.Reset()
}

type countedBody struct {
	io.Reader
	closed *atomic.Int64
}

func (b *countedBody) Close() error {
	b.closed.Add(1)
	return nil
}

// bodySent returns how many bytes of bodies have reached the proxy.
func (l *lab) bodySent() (n int64) {
	for _, leg := range l.proxy.Legs() {
		n += leg.BodyBytes
	}
	return n
}

// mechanisms are the schemes that authenticate each request on its own.
var mechanisms = []struct {
	scheme string
	make   func() testproxy.Mechanism
}{
	{"Basic", func() testproxy.Mechanism { return &testproxy.Basic{Realm: "lab"} }},
	{"Digest", func() testproxy.Mechanism { return &testproxy.Digest{Realm: "lab"} }},
}

var bodyPolicies = map[string]testproxy.BodyPolicy{
	"as Apache":    testproxy.ReadThenAnswer,
	"politely":     testproxy.AnswerThenRead,
	"as squid":     testproxy.SquidBody,
	"as tinyproxy": testproxy.AnswerThenClose,
}

const (
	shortBody = 1 << 10
	longBody  = 300 << 10
)

// TestBodies sends bodies of each kind through proxies that treat the body of a
// refused request in each way: it arrives whole, and is risked only if it is
// short and can be had again.
func TestBodies(t *testing.T) {
	t.Parallel()
	kinds := []struct {
		desc    string
		size    int
		prepare func(*http.Request)
		risked  bool
	}{
		{"short", shortBody, func(*http.Request) {}, true},
		{"as short as squid drains", 64<<10 - 1, func(*http.Request) {}, true},
		{"too long for squid", 64 << 10, func(*http.Request) {}, false},
		{"long", longBody, func(*http.Request) {}, false},
		{"short and unreplayable", shortBody, func(r *http.Request) { r.GetBody = nil }, false},
		{"long and unreplayable", longBody, func(r *http.Request) { r.GetBody = nil }, false},
		{"of unknown length", shortBody, func(r *http.Request) { r.ContentLength = -1 }, false},
		{"of unknown length and unreplayable", longBody, func(r *http.Request) { r.GetBody, r.ContentLength = nil, -1 }, false},
		{"expecting to continue", shortBody, func(r *http.Request) { r.Header.Set("Expect", "100-continue") }, false},
	}
	for _, m := range mechanisms {
		for policy, refused := range bodyPolicies {
			for _, kind := range kinds {
				t.Run(fmt.Sprintf("%s, refused %s, %s", m.scheme, policy, kind.desc), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{m.make()}, RefusedBody: refused})
						l.base.ExpectContinueTimeout = time.Second
						send := func() []string {
							u := newUpload(kind.size)
							req := u.put(l.request(http.MethodPost, httpOrigin+"/", nil), true)
							kind.prepare(req)
							resp, body, err := l.do(req)
							require.NoError(t, err)
							require.Equal(t, http.StatusOK, resp.StatusCode)
							require.Equal(t, "hello from POST /", body)
							u.requireArrived(t, l.origin)
							u.requireClosed(t)
							if !kind.risked {
								require.EqualValues(t, kind.size, l.bodySent())
							}
							return l.shapes()
						}
						probe, risk, final := "GET / -> 407", "POST / -> 407", "POST / "+m.scheme+" -> 200"
						cold, warm := []string{probe, final}, []string{final}
						if kind.risked {
							cold[0] = risk
						}
						got := send()
						if refused == testproxy.AnswerThenClose && kind.risked {
							// The 407 may be lost with the connection.
							got = slices.DeleteFunc(got, func(leg string) bool { return leg == probe })
						}
						require.Equal(t, cold, got)
						require.Equal(t, warm, send())
					})
				})
			}
		}
	}
}

// TestBodyClosed ends a request with a body in every way there is.
func TestBodyClosed(t *testing.T) {
	t.Parallel()
	basic := func() testproxy.Config {
		return testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}}
	}
	fault := func(f testproxy.Fault) func(*lab) { return func(l *lab) { l.proxy.SetFault(f) } }
	for _, tt := range []struct {
		desc   string
		target string // http://origin.example.com/ if empty
		config testproxy.Config
		change func(*lab)
		status int // 0 for an error
		cancel bool
	}{
		{desc: "accepted", config: basic(), status: 200},
		{desc: "no authentication", status: 200},
		{desc: "without a proxy", change: func(l *lab) { l.base.Proxy = nil }, status: 200},
		{desc: "into a tunnel", target: httpsOrigin, config: basic(), status: 200},
		{desc: "no credentials", config: basic(), change: func(l *lab) { l.rt.Credentials = nil }, status: 407},
		{desc: "rejected", config: basic(), change: func(l *lab) { l.users.SetPassword(user, "other") }, status: 407},
		{desc: "no challenge", config: basic(), change: fault(testproxy.On(407, testproxy.Offer())), status: 407},
		{desc: "no scheme in common", config: basic(), change: fault(testproxy.On(407, testproxy.Offer("Bearer"))), status: 407},
		{desc: "provider fails", config: basic(), change: func(l *lab) {
			l.rt.Credentials = proxyauth.CredentialsFunc(
				func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
					return proxyauth.Credentials{}, errors.New("locked")
				})
		}, status: 407},
		{desc: "no such proxy", change: func(l *lab) {
			l.base.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "nowhere.example.com:3128"})
		}},
		{desc: "bad host of the proxy", change: func(l *lab) {
			l.base.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy example.com"})
		}},
		{desc: "bad scheme of the proxy", change: func(l *lab) {
			l.base.Proxy = http.ProxyURL(&url.URL{Scheme: "gopher", Host: "proxy.example.com"})
		}},
		{desc: "Proxy fails", change: func(l *lab) {
			l.base.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("no PAC file") }
		}},
		{desc: "no schemes", change: func(l *lab) { l.rt.Schemes = nil }},
		{desc: "no http.Transport", change: func(l *lab) { l.rt.Base = wrapped(t, cannedProxy{}.base()) }},
		{desc: "dropped without authorization", config: basic(), change: fault(testproxy.OnScheme("", testproxy.DropAt(testproxy.BeforeAnswer)))},
		{desc: "dropped with authorization", config: basic(), change: fault(testproxy.OnScheme("Basic", testproxy.DropAt(testproxy.BeforeAnswer)))},
		{desc: "garbage", config: basic(), change: fault(testproxy.Always(testproxy.Garbage("\x00\r\n\r\n")))},
		{desc: "tunnel refused", target: httpsOrigin, config: basic(), change: fault(testproxy.On(200, testproxy.Refuse(403, "no")))},
		{desc: "cancelled without authorization", config: basic(), cancel: true, change: fault(testproxy.OnScheme("", testproxy.StallAt(testproxy.BeforeAnswer)))},
		{desc: "cancelled with authorization", config: basic(), cancel: true, change: fault(testproxy.OnScheme("Basic", testproxy.StallAt(testproxy.OnRequest)))},
		{desc: "cancelled while dialling", cancel: true, change: func(l *lab) { l.network.Blackhole(l.proxy.Addr()) }},
		{desc: "no connection for NTLM", change: fault(testproxy.OnScheme("", testproxy.CloseOpenly())), config: testproxy.Config{
			Auth:      []testproxy.Mechanism{&testproxy.NTLM{}},
			ConnFault: func(n int) testproxy.ConnAction { return testproxy.ConnAction(min(n-1, 1)) },
		}},
		{desc: "cancelled in NTLM's handshake", cancel: true, config: testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.NTLM{}}},
			change: fault(testproxy.OnScheme("NTLM", testproxy.StallAt(testproxy.BeforeAnswer)))},
		{desc: "proxy gone before NTLM", config: testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.NTLM{}}}, change: func(l *lab) {
			gone := testproxy.CloseOpenly()
			l.proxy.SetFault(func(*testproxy.Leg) *testproxy.Action {
				l.network.Blackhole(l.proxy.Addr())
				return gone
			})
		}},
		{desc: "not verified", config: testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Digest{Realm: "lab", RspAuth: testproxy.RspAuthWrong}}}},
	} {
		for _, replayable := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, replayable %v", tt.desc, replayable), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, tt.config)
					if tt.change != nil {
						tt.change(l)
					}
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if tt.cancel {
						time.AfterFunc(time.Second, cancel)
					}
					u := newUpload(shortBody)
					target := httpOrigin
					if tt.target != "" {
						target = tt.target
					}
					req := u.put(l.request(http.MethodPost, target, nil).WithContext(ctx), replayable)
					resp, _, err := l.do(req)
					if tt.status == 0 {
						require.Error(t, err)
					} else {
						require.NoError(t, err)
						require.Equal(t, tt.status, resp.StatusCode)
						require.Same(t, req, resp.Request)
					}
					u.requireClosed(t)
					time.Sleep(2 * time.Minute) // a dial is given up after a minute
				})
			})
		}
	}
}

// TestChallengedMidway lets the proxy begin to ask, or the password expire, when
// an unreplayable body is on its way.
func TestChallengedMidway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc          string
		before, after []testproxy.Mechanism
		legs          []string
	}{
		{
			desc:  "asks all at once",
			after: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}},
			legs:  []string{"POST / -> 407"},
		},
		{
			desc:   "asks for another password",
			before: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}},
			after:  []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}},
			legs:   []string{"POST / Basic -> 407"},
		},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, testproxy.Config{Auth: tt.before})
				for _, m := range tt.after {
					l.adopt(m)
				}
				l.rt.Credentials = &witness{answer: untilDoubted(password, "new")}
				l.get(httpOrigin + "/")
				l.proxy.Reset()
				l.origin.Reset()
				l.proxy.SetAuth(tt.after...)
				if tt.before != nil {
					l.users.SetPassword(user, "new")
				}
				u := newUpload(shortBody)
				req := u.put(l.request(http.MethodPost, httpOrigin+"/", nil), false)
				resp, body, err := l.do(req)
				require.NoError(t, err)
				require.Equal(t, http.StatusProxyAuthRequired, resp.StatusCode)
				require.Equal(t, "testproxy: 407 Proxy Authentication Required\n", body)
				e := explained(resp)
				require.NotNil(t, e)
				require.Equal(t, proxyauth.CauseBodyNotReplayable, e.Cause)
				require.Contains(t, e.Hint(), "GetBody")
				require.Empty(t, l.origin.Requests(), "a truncated body was sent")
				u.requireClosed(t)
				require.Equal(t, tt.legs, l.shapes())

				u = newUpload(shortBody)
				resp, _, err = l.do(u.put(l.request(http.MethodPost, httpOrigin+"/", nil), false))
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, resp.StatusCode, "the next one knows")
				u.requireArrived(t, l.origin)
			})
		})
	}
}

// TestRefusedWithBodyIntact compares the 407 that is returned with the proxy's.
func TestRefusedWithBodyIntact(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, 1, 3 << 10, 60 << 10, 200 << 10} {
		for _, kind := range []string{"GET", "short", "unreplayable"} {
			t.Run(fmt.Sprintf("%d bytes, %s", size, kind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
					want := "testproxy: 407 Proxy Authentication Required\n"
					if size > 0 {
						want = strings.Repeat("x", int(size))
						l.proxy.SetFault(testproxy.On(407, testproxy.LargeBody(size)))
					}
					l.users.SetPassword(user, "other")
					req := l.request(http.MethodGet, httpOrigin, nil)
					if kind != "GET" {
						newUpload(shortBody).put(req, kind == "short").Method = http.MethodPost
					}
					resp, body, err := l.do(req)
					require.NoError(t, err)
					require.Equal(t, http.StatusProxyAuthRequired, resp.StatusCode)
					require.Equal(t, []string{`Basic realm="lab"`}, resp.Header["Proxy-Authenticate"])
					require.Equal(t, want, body)
					require.Equal(t, proxyauth.CauseCredentialsRejected, explained(resp).Cause)
				})
			})
		}
	}
}
