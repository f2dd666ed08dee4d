package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
)

// A fake is a scheme that does as it is told, and its session. What is nil
// succeeds, but for proceed, without which a 407 is a refusal.
type fake struct {
	begin   func(proxyauth.Exchange) error
	sign    func(proxyauth.Leg) (string, error)
	proceed func([]proxyauth.Challenge) (proxyauth.Next, error)

	mu        sync.Mutex
	exchanges []proxyauth.Exchange
	legs      []proxyauth.Leg
}

func (*fake) Name() string { return "Fake" }

func (f *fake) NewSession(_ context.Context, ex proxyauth.Exchange) (proxyauth.Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.exchanges = append(f.exchanges, ex)
	if f.begin != nil {
		if err := f.begin(ex); err != nil {
			return nil, err
		}
	}
	if f.proceed != nil {
		return continuing{fakeSession{f}}, nil
	}
	return fakeSession{f}, nil
}

type fakeSession struct{ *fake }

func (s fakeSession) Authorization(_ context.Context, leg proxyauth.Leg) (a proxyauth.Authorization, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.legs = append(s.legs, leg)
	a.Value = "Fake token"
	if s.sign != nil {
		a.Value, err = s.sign(leg)
	}
	return a, err
}

type continuing struct{ fakeSession }

func (s continuing) Continue(_ context.Context, challenges []proxyauth.Challenge) (proxyauth.Next, error) {
	return s.proceed(challenges)
}

// A fakeProxy is the proxy's side. Whatever is in accept gets through.
type fakeProxy struct{ accept string }

func (fakeProxy) Scheme() string                     { return "Fake" }
func (fakeProxy) Challenge(*testproxy.Conn) []string { return []string{`FAKE realm="lab"`} }
func (p fakeProxy) Verify(r *testproxy.Request) testproxy.Verdict {
	if p.accept != "" && r.Credentials == p.accept {
		return testproxy.Accept(user)
	}
	return testproxy.Reject()
}

// newFakeLab returns a lab whose proxy offers Basic and then Fake, and whose
// Transport prefers Fake.
func newFakeLab(t *testing.T, accept string, f *fake) *lab {
	l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}, fakeProxy{accept}}})
	l.rt.Schemes = []proxyauth.Scheme{f, &basic.Scheme{}}
	return l
}

func TestFallback(t *testing.T) {
	t.Parallel()
	errTicket := errors.New("no ticket")
	sign := func(v string, err error) func(proxyauth.Leg) (string, error) {
		return func(proxyauth.Leg) (string, error) { return v, err }
	}
	proceed := func(next proxyauth.Next, err error) func([]proxyauth.Challenge) (proxyauth.Next, error) {
		return func([]proxyauth.Challenge) (proxyauth.Next, error) { return next, err }
	}
	for _, tt := range []struct {
		desc   string
		fake   *fake
		answer func(*proxyauth.CredentialsRequest) (string, error)
		legs   []string        // after the first, by the scheme they carry
		cause  proxyauth.Cause // "" if Basic gets through
	}{
		{
			desc: "can't begin",
			fake: &fake{begin: func(proxyauth.Exchange) error { return errTicket }},
			legs: []string{"Basic"},
		}, {
			desc: "needs another challenge",
			fake: &fake{begin: func(proxyauth.Exchange) error { return proxyauth.ErrChallengeRequired }},
			legs: []string{"Basic"},
		}, {
			desc: "does not know the challenge",
			fake: &fake{begin: func(proxyauth.Exchange) error { return fmt.Errorf("%w: new", proxyauth.ErrUnsupportedChallenge) }},
			legs: []string{"Basic"},
		}, {
			desc: "can't sign",
			fake: &fake{sign: sign("", errTicket)},
			legs: []string{"Basic"},
		}, {
			desc: "would break the line",
			fake: &fake{sign: sign("Fake a\r\nX-Evil: b", nil)},
			legs: []string{"Basic"},
		}, {
			desc:  "bad token from the proxy",
			fake:  &fake{proceed: proceed(proxyauth.GoOn, errTicket)},
			legs:  []string{"Fake"},
			cause: proxyauth.CausePolicyForbids,
		}, {
			desc:  "broken off",
			fake:  &fake{proceed: proceed(proxyauth.Broken, errTicket)},
			legs:  []string{"Fake"},
			cause: proxyauth.CauseHandshakeBroken,
		}, {
			desc: "no credentials for the stronger",
			fake: &fake{},
			answer: func(req *proxyauth.CredentialsRequest) (string, error) {
				if req.Scheme == "Fake" {
					return "", proxyauth.ErrNoCredentials
				}
				return password, nil
			},
			legs: []string{"Basic"},
		}, {
			desc:  "refused, whatever Basic would have had",
			fake:  &fake{},
			legs:  []string{"Fake"},
			cause: proxyauth.CauseCredentialsRejected,
		}, {
			desc:  "refused by name",
			fake:  &fake{proceed: proceed(proxyauth.Refused, nil)},
			legs:  []string{"Fake"},
			cause: proxyauth.CauseCredentialsRejected,
		}, {
			desc:   "provider fails",
			fake:   &fake{},
			answer: func(*proxyauth.CredentialsRequest) (string, error) { return "", errVault },
			cause:  proxyauth.CauseNoCredentials,
		},
	} {
		for _, way := range ways {
			t.Run(tt.desc+" "+way.desc, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := &fake{begin: tt.fake.begin, sign: tt.fake.sign, proceed: tt.fake.proceed}
					l := newFakeLab(t, "", f)
					answer := tt.answer
					if answer == nil {
						answer = always(password)
					}
					w := &witness{answer: answer}
					l.rt.Credentials = w
					err := way.reach(t.Context(), l.rt, originHost)
					var carried []string
					for _, leg := range l.proxy.Legs()[1:] {
						carried = append(carried, leg.Scheme)
					}
					require.Equal(t, tt.legs, carried)
					require.Empty(t, l.proxy.Violations())
					synctest.Wait()
					if tt.cause == "" {
						require.NoError(t, err)
						require.Equal(t, []string{password}, w.accepted)
						require.Empty(t, w.rejected)
						return
					}
					requireCause(t, tt.cause, err)
					require.Zero(t, l.users.Failures(user), "the weaker scheme was not tried")
				})
			})
		}
	}
}

// If nothing is left, the error lists what was tried, and why that failed.
func TestEverythingFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		errTicket := errors.New("no ticket")
		l := newFakeLab(t, "", &fake{begin: func(proxyauth.Exchange) error { return errTicket }})
		l.rt.Credentials = proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
			return credentialsOf("CORP:ann", password), nil
		})
		e := requireCause(t, proxyauth.CauseSchemeFailed, fetch(t.Context(), l.rt, originHost))
		require.ErrorIs(t, e, errTicket)
		require.ErrorIs(t, e, basic.ErrColon)
		require.Len(t, e.Tried, 2)
		require.Contains(t, e.Error(), "Fake: no ticket; Basic: ")
	})
}

// A handshake that goes on and on is broken off.
func TestLegsAreBounded(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newFakeLab(t, "", &fake{proceed: func([]proxyauth.Challenge) (proxyauth.Next, error) { return proxyauth.GoOn, nil }})
				requireCause(t, proxyauth.CauseHandshakeBroken, way.reach(t.Context(), l.rt, originHost))
				require.Len(t, l.proxy.Legs(), maxLegs)
			})
		})
	}
}

// The order of Transport.Schemes decides, not the proxy's, and case makes no
// difference.
func TestStrongestSchemeIsTaken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc    string
		schemes []proxyauth.Scheme
		want    string
	}{
		{"as by default", allSchemes(), "NTLM"},
		{"without NTLM", []proxyauth.Scheme{digest.Scheme{}, basic.Scheme{}}, "Digest"},
		{"backwards", []proxyauth.Scheme{basic.Scheme{}, digest.Scheme{}}, "Basic"},
		{"another", []proxyauth.Scheme{&fake{}, basic.Scheme{}}, "Fake"},
	} {
		for _, way := range ways {
			t.Run(tt.desc+" "+way.desc, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, testproxy.Config{Auth: append([]testproxy.Mechanism{fakeProxy{"token"}}, allMechanisms()...)})
					l.rt.Schemes = tt.schemes
					require.NoError(t, way.reach(t.Context(), l.rt, originHost))
					legs := l.proxy.Legs()
					require.Equal(t, tt.want, legs[len(legs)-1].Scheme)
				})
			})
		}
	}
}

// What a scheme and a provider are told of a proxy and a leg.
func TestSchemeIsTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		way  way
		path string
		want proxyauth.Leg
	}{
		{forwarded, httpOrigin + "/a%20b?c=d", proxyauth.Leg{Method: "GET", Target: "http://origin.example.com/a%20b?c=d"}},
		{tunnelled, httpsOrigin + "/secret", proxyauth.Leg{Method: "CONNECT", Target: "origin.example.com:443"}},
	} {
		t.Run(tt.way.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{proceed: func([]proxyauth.Challenge) (proxyauth.Next, error) { return proxyauth.Refused, nil }}
				l := newFakeLab(t, "token", f)
				w := &witness{answer: always(password)}
				l.rt.Credentials = w
				l.base.Proxy = func(*http.Request) (*url.URL, error) {
					return &url.URL{Scheme: "http", Host: "proxy.example.com:3128", Path: "/", User: url.UserPassword("bob", "hunter2")}, nil
				}
				_, _, err := l.do(l.request(http.MethodGet, tt.path, nil))
				require.NoError(t, err)
				require.Equal(t, []proxyauth.Leg{tt.want}, f.legs)
				require.Len(t, f.exchanges, 1)
				ex := f.exchanges[0]
				require.Equal(t, "http://proxy.example.com:3128", ex.Proxy.String())
				require.Equal(t, user, ex.Credentials.Username)
				require.Equal(t, []proxyauth.Challenge{{Scheme: "FAKE", Params: map[string]string{"realm": "lab"}}}, ex.Challenges)

				require.Len(t, w.asked, 1)
				req := w.asked[0]
				require.Equal(t, "http://proxy.example.com:3128", req.Proxy.String())
				require.Equal(t, "bob", req.UserInfo.Username)
				require.Equal(t, "hunter2", req.UserInfo.Password.Reveal())
				require.Equal(t, "Fake", req.Scheme)
				require.Equal(t, "lab", req.Realm)

				// The next session is given the accepted one.
				require.Nil(t, ex.Accepted)
				l.newConns()
				_, _, err = l.do(l.request(http.MethodGet, tt.path, nil))
				require.NoError(t, err)
				require.Len(t, f.exchanges, 2)
				require.Equal(t, continuing{fakeSession{f}}, f.exchanges[1].Accepted)
				require.Empty(t, f.exchanges[1].Challenges)
			})
		})
	}
}
