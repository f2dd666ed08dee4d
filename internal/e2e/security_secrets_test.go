package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/internal/secretscan"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

// secret finds the lab's right passwords and what is made of them; userName the user.
var (
	secret   = regexp.MustCompile(password + `|hunter2|YW5uOnMzY3JldA|TlRMTVNTUAAD|response="|733363726574`)
	userName = regexp.MustCompile(`\bann\b|\bbob\b`)
)

func requireNoSecret(t *testing.T, v any) {
	t.Helper()
	for how, text := range secretscan.Printed(v) {
		require.NotRegexp(t, secret, text, how)
	}
}

// 9. No error shows a secret, a token or user info.
func TestErrorsHaveNoSecrets(t *testing.T) {
	t.Parallel()
	for i, tt := range failures() {
		for _, w := range ways {
			if tt.only != "" && tt.only != w.method {
				continue
			}
			t.Run(tt.desc+" "+w.desc, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := failures()[i]
					change := f.change
					f.change = func(l *lab) {
						if change != nil {
							change(l)
						}
						// With user info in the URL, whatever it is.
						next := l.base.Proxy
						l.base.Proxy = func(req *http.Request) (*url.URL, error) {
							u, err := next(req)
							return withUser(u, "bob", "hunter2"), err
						}
						if l.rt.Credentials == nil {
							l.rt.Credentials = credentials.Environment("PROXYAUTH_TEST_NONE", "PROXYAUTH_TEST_NONE")
						}
					}
					e := f.fail(t, w, 0)
					requireNoSecret(t, e)
					requireNoSecret(t, e.Err)
					requireNoSecret(t, e.Tried)
					for how, text := range secretscan.Printed(e) {
						if !strings.HasPrefix(how, "%x") {
							require.NotRegexp(t, userName, text, how)
						}
					}
				})
			})
		}
	}
}

// 9. A proxy may echo credentials into its error page (CVE-2025-62168), which is
// at hand and never shown.
func TestEchoedCredentialsAreNotShown(t *testing.T) {
	t.Parallel()
	echo := "you sent Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	eachWay(t, "", func(t *testing.T, w way) {
		l, b := newLoggedLab(t, slog.LevelDebug, testproxy.Config{
			Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}},
			Fault: testproxy.OnScheme("Basic", &testproxy.Action{
				Status: 503, Reason: echo, Body: echo, Header: http.Header{"X-Echo": {echo}},
			}),
		})
		if w.method == http.MethodConnect {
			e := requireCause(t, proxyauth.CauseTargetUnreachable, w.reach(t.Context(), l.rt, originHost))
			requireNoSecret(t, e)
			require.Equal(t, echo, string(e.Body()))
			require.Equal(t, echo, e.Header().Get("X-Echo"))
		} else {
			resp, body, err := l.do(l.request(http.MethodGet, httpOrigin, nil)) // a response is the program's
			require.NoError(t, err)
			require.Equal(t, 503, resp.StatusCode)
			require.Equal(t, echo, body)
		}
		log := b.lines()
		require.Contains(t, log, "status=503")
		require.True(t, scanned.Text(t.Name(), log), log)
	})
}

// 9. Nor do the values that a program may print, by mistake or in a debugger's way.
func TestValuesHaveNoSecrets(t *testing.T) {
	t.Parallel()
	c := credentialsOf(user, password)
	requireNoSecret(t, c)
	requireNoSecret(t, &c)
	for _, req := range []*proxyauth.CredentialsRequest{{UserInfo: &c}, {Rejected: []proxyauth.Credentials{c}}} {
		requireNoSecret(t, req)
		requireNoSecret(t, *req)
	}
	challenge := proxyauth.Challenge{Scheme: "Digest", Params: map[string]string{"realm": "lab", "nonce": "n", "qop": "auth"}}
	for _, scheme := range []proxyauth.Scheme{basic.Scheme{}, digest.Scheme{}, &ntlm.Scheme{}} {
		ex := proxyauth.Exchange{
			Proxy:       &url.URL{Scheme: "http", Host: "proxy.example.com:3128"},
			Credentials: c,
			Challenges:  []proxyauth.Challenge{challenge},
		}
		requireNoSecret(t, ex)
		session, err := scheme.NewSession(t.Context(), ex)
		require.NoError(t, err)
		requireNoSecret(t, session)
		_, err = session.Authorization(t.Context(), proxyauth.Leg{Method: http.MethodConnect, Target: "origin.example.com:443"})
		require.NoError(t, err)
		requireNoSecret(t, session)
		requireNoSecret(t, scheme)
	}
}

// 9. Nor a Transport that has been used, its log and its trace.
func TestTransportShowsNoSecrets(t *testing.T) {
	t.Parallel()
	for _, right := range []bool{true, false} {
		for i, mechanism := range allMechanisms() {
			for _, w := range ways {
				t.Run(fmt.Sprint(right, " ", mechanism.Scheme(), " ", w.desc), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						l := newLab(t, testproxy.Config{Auth: allMechanisms()[i : i+1]})
						var log, trace bytes.Buffer
						l.rt.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
						l.rt.Trace = tracing(&trace)
						secrets := credentials.Static(user, password)
						if !right {
							secrets = credentials.Static(user, wrongPassword)
						}
						l.rt.Credentials = secrets
						l.base.Proxy = http.ProxyURL(withUser(l.proxy.URL(), "bob", "hunter2"))
						err := w.reach(t.Context(), l.rt, originHost)
						require.Equal(t, right, err == nil)
						for _, v := range []any{l.rt, secrets, l.rt.Stats(), err} {
							requireNoSecret(t, v)
						}
						for _, b := range []*bytes.Buffer{&log, &trace} {
							require.NotEmpty(t, b.String())
							require.NotRegexp(t, secret, b.String())
							require.NotRegexp(t, userName, b.String())
						}
					})
				})
			}
		}
	}
}

// tracing returns a Trace all of whose hooks write what they are told.
func tracing(b *bytes.Buffer) *proxyauth.Trace {
	trace := new(proxyauth.Trace)
	for _, hook := range reflect.ValueOf(trace).Elem().Fields() {
		hook.Set(reflect.ValueOf(func(_ context.Context, info proxyauth.TraceInfo) { fmt.Fprintf(b, "%+v\n", info) }))
	}
	return trace
}

// 9. The user info of the proxy's URL is in nothing that is sent, but for the
// authorization that it may be the source of.
func TestUserInfoIsNotSent(t *testing.T) {
	t.Parallel()
	for i, mechanism := range allMechanisms() {
		for _, w := range ways {
			t.Run(mechanism.Scheme()+" "+w.desc, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, testproxy.Config{Auth: allMechanisms()[i : i+1]})
					l.base.Proxy = http.ProxyURL(withUser(l.proxy.URL(), "bob", "hunter2"))
					require.NoError(t, w.reach(t.Context(), l.rt, originHost)) // as ann
					legs := l.proxy.Legs()
					require.Equal(t, user, legs[len(legs)-1].User)
					for _, leg := range legs {
						head := strings.ReplaceAll(leg.Head, leg.Header.Get("Proxy-Authorization"), "")
						require.NotRegexp(t, `bob|hunter2|Ym9iOmh1bnRlcjI`, leg.Head)
						require.NotRegexp(t, userName, head)
					}
				})
			})
		}
	}
}
