package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
)

// outcomes are the ways in which a request may end.
var outcomes = []struct {
	desc   string
	change func(l *lab)
}{
	{"success", func(*lab) {}},
	{"password refused", func(l *lab) { l.rt = l.transport(user, "wrong") }},
	{"no credentials", func(l *lab) { l.rt.Credentials = nil }},
	{"nothing in common", func(l *lab) { l.rt.Schemes = []proxyauth.Scheme{new(fake)} }},
	{"no schemes", func(l *lab) { l.rt.Schemes = nil }},
	{"no proxy there", func(l *lab) {
		l.base.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "nowhere.example.com:3128"})
	}},
	{"no proxy known", func(l *lab) {
		l.base.Proxy = func(*http.Request) (*url.URL, error) { return nil, errVault }
	}},
	{"no proxy", func(l *lab) { l.base.Proxy = nil }},
	{"proxy refuses the target", func(l *lab) { l.proxy.SetFault(testproxy.On(200, testproxy.Refuse(403, "no"))) }},
	{"proxy breaks off", func(l *lab) { l.proxy.SetFault(testproxy.On(200, testproxy.DropAt(testproxy.OnRequest))) }},
	{"proxy breaks off at once", func(l *lab) { l.proxy.SetFault(testproxy.Always(testproxy.DropAt(testproxy.OnRequest))) }},
	{"proxy hangs", func(l *lab) { l.proxy.SetFault(testproxy.Always(testproxy.StallAt(testproxy.OnRequest))) }},
}

// A trackedBody counts itself as open until it is closed.
type trackedBody struct {
	io.Reader
	open *atomic.Int64
	done atomic.Bool
}

func (b *trackedBody) Close() error {
	if !b.done.Swap(true) {
		b.open.Add(-1)
	}
	return nil
}

// tracked returns a request with all that a program may set, and a count of its
// bodies that are open.
func (l *lab) tracked(ctx context.Context, w way, replayable bool) (*http.Request, *atomic.Int64) {
	open := new(atomic.Int64)
	body := func() (io.ReadCloser, error) {
		open.Add(1)
		return &trackedBody{Reader: strings.NewReader("body"), open: open}, nil
	}
	req := l.request(http.MethodPut, w.target("/a?b=c"), nil).WithContext(ctx)
	req.Body, _ = body()
	req.ContentLength = 4
	if replayable {
		req.GetBody = body
	}
	req.Header = http.Header{"X-Custom": {"a", "b"}, "Cookie": {"id=1"}, "Proxy-Connection": {"keep-alive"}}
	return req, open
}

// 2. The request is never modified, its body closed on every path, and it is the
// one in the response.
func TestRequestIsNotModified(t *testing.T) {
	t.Parallel()
	for _, tt := range outcomes {
		for i, mechanism := range allMechanisms() {
			for _, w := range ways {
				for _, replayable := range []bool{true, false} {
					t.Run(fmt.Sprint(tt.desc, " ", mechanism.Scheme(), " ", w.desc, " ", replayable), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							l := newLab(t, testproxy.Config{Auth: allMechanisms()[i : i+1]})
							tt.change(l)
							ctx, cancel := context.WithTimeout(t.Context(), patience/2)
							defer cancel()
							req, open := l.tracked(ctx, w, replayable)
							before := *req
							header, target := req.Header.Clone(), *req.URL

							resp, err := l.rt.RoundTrip(req)
							scanned.Error(t.Name(), err)
							if tt.desc == "success" {
								require.NoError(t, err)
								require.Equal(t, http.StatusOK, resp.StatusCode)
							}
							if err == nil {
								require.Same(t, req, resp.Request)
								_, err := io.Copy(io.Discard, resp.Body)
								require.NoError(t, err)
								require.NoError(t, resp.Body.Close())
							}
							l.hangUp()
							synctest.Wait()
							require.Zero(t, open.Load(), "bodies that are not closed")
							require.Equal(t, header, req.Header)
							require.Equal(t, target, *req.URL)
							require.Same(t, before.Body, req.Body)
							require.Equal(t, before.GetBody == nil, req.GetBody == nil)
							before.GetBody, req.GetBody = nil, nil
							require.Equal(t, before, *req)
						})
					})
				}
			}
		}
	}
}

// 7. Controls in user names and passwords reach no wire: a name from a file that
// ends in a line end must not begin another header field.
func TestControlsInCredentials(t *testing.T) {
	t.Parallel()
	for _, evil := range []string{"\r\nX-Evil: 1", "\n", "\x00", "\x7f", "\x1b[2J"} {
		for _, c := range []proxyauth.Credentials{credentialsOf(user+evil, password), credentialsOf(user, password+evil)} {
			for i, mechanism := range allMechanisms() {
				for _, w := range ways {
					t.Run(fmt.Sprintf("%q %v %s %s", evil, c.Username == user, mechanism.Scheme(), w.desc), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							l := newLab(t, testproxy.Config{Auth: allMechanisms()[i : i+1]})
							l.rt.Credentials = proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
								return c, nil
							})
							err := w.reach(t.Context(), l.rt, originHost)
							if mechanism.Scheme() == "NTLM" && c.Username == user {
								// Of the password a hash is sent.
								requireCause(t, proxyauth.CauseCredentialsRejected, err)
								return
							}
							requireCause(t, proxyauth.CauseSchemeFailed, err)
							for _, leg := range l.proxy.Legs() {
								require.Empty(t, leg.Scheme)
							}
							require.Empty(t, l.proxy.Violations())
						})
					})
				}
			}
		}
	}
}

// 7. Nor do they come back from a realm, a nonce or an opaque.
func TestControlsInChallenges(t *testing.T) {
	t.Parallel()
	for _, evil := range []string{"\x00", "\x01", "\x7f", "\x1b[2J"} {
		for _, params := range []string{
			`realm="lab%s", nonce="n"`,
			`realm="lab", nonce="n%s"`,
			`realm="lab", nonce="n", opaque="o%s"`,
			`realm="lab", nonce="n", qop="auth%s"`,
			`realm="lab", nonce="n", algorithm="MD5%s"`,
		} {
			for _, w := range ways {
				t.Run(fmt.Sprintf("%q "+params+" %s", evil, evil, w.desc), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						l := newLab(t, testproxy.Config{
							Auth:  []testproxy.Mechanism{&testproxy.Digest{Realm: "lab"}},
							Fault: testproxy.On(407, testproxy.Offer("Digest "+fmt.Sprintf(params, evil))),
						})
						require.Error(t, w.reach(t.Context(), l.rt, originHost))
						for _, leg := range l.proxy.Legs() {
							require.Empty(t, leg.Scheme)
						}
						require.Empty(t, l.proxy.Violations())
					})
				})
			}
		}
	}
}

// 7. What is outside ASCII goes out as UTF-8.
func TestCredentialsOutsideASCII(t *testing.T) {
	t.Parallel()
	const foreign = "pässwörd 密 😀:\""
	for _, scheme := range []proxyauth.Scheme{basic.Scheme{}, digest.Scheme{}} {
		for _, w := range ways {
			t.Run(scheme.Name()+" "+w.desc, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Digest{Realm: "läb"}, &testproxy.Basic{Realm: "läb"}}})
					l.users.SetPassword("änn", foreign)
					l.rt = l.transport("änn", foreign)
					l.rt.Schemes = []proxyauth.Scheme{scheme}
					require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				})
			})
		}
	}
}
