package negotiate_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// A password that the KDC may have refused, or whose account it does not serve, is
// neither refused nor good: it goes nowhere for a while, not to the proxy either.
func TestPasswordIsHeldBack(t *testing.T) {
	for _, tc := range []struct {
		desc     string
		upset    func(*lab)
		want     error
		requests int // that the KDC sees each time
	}{
		{"without a verdict", func(l *lab) { l.SetFault(kdc.NoVerdict) }, negotiate.NoVerdict, 2},
		{"locked", func(l *lab) { l.Lock("ann", true) }, negotiate.AccountRevoked, 1},
		{"expired", func(l *lab) { l.Expire("ann", true) }, negotiate.PasswordExpired, 1},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			l := newLab(t).withNTLM()
			l.scheme.DialKDC = l.Dial
			tc.upset(l)
			synctest.Test(t, func(t *testing.T) {
				for i := range 3 {
					for range 5 {
						_, err := l.connect(t.Context(), exchange("ann", "s3cret"))
						require.ErrorIs(t, err, tc.want)
						require.NotErrorIs(t, err, proxyauth.ErrRejected)
						require.Equal(t, (i+1)*tc.requests, l.Total().ASRequests)
						e, ok := errors.AsType[*negotiate.Error](err)
						require.True(t, ok)
						require.WithinRange(t, e.Retry(), time.Now().Add(time.Second), time.Now().Add(20*time.Second))
						require.Contains(t, e.Hint(), "EXAMPLE.COM")
					}
					if i == 0 {
						time.Sleep(10 * time.Second)
					} else {
						l.scheme.Reset()
					}
				}
				require.Empty(t, l.proxy.Contexts(), "nothing goes to the proxy")
			})
		})
	}
}

// One request begins the exchange more than once, which is no reason to prove the
// password as often.
func TestRequestProvesThePasswordOnce(t *testing.T) {
	for _, disable := range []bool{false, true} {
		t.Run(fmt.Sprintf("NTLM disabled: %t", disable), func(t *testing.T) {
			l := newLab(t).withNTLM()
			l.SetFault(kdc.NoVerdict)
			l.scheme.DialKDC, l.scheme.DisableNTLM, l.scheme.SPN = l.Dial, disable, fixed(proxySPN)
			synctest.Test(t, func(t *testing.T) {
				network := testproxy.NewNetwork()
				proxy := testproxy.Start(t, testproxy.Config{
					Network: network, Auth: []testproxy.Mechanism{&spnegoserver.Mechanism{Server: l.proxy}},
				})
				rt := &proxyauth.Transport{
					Base:        &http.Transport{Proxy: http.ProxyURL(proxy.URL()), DialContext: network.DialContext},
					Schemes:     []proxyauth.Scheme{l.scheme},
					Credentials: always("ann", "wrong"),
				}
				defer rt.CloseIdleConnections()
				for _, target := range []string{"http://origin.example.com/", "https://origin.example.com/"} {
					resp, err := rt.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil))
					if err == nil {
						err, _ = proxyauth.ResponseError(resp)
						resp.Body.Close()
					}
					require.ErrorIs(t, err, negotiate.NoVerdict)
					require.Equal(t, 1, l.Total().PreauthFailed)
				}
				require.Empty(t, l.proxy.Contexts(), "nothing goes to the proxy")
			})
		})
	}
}

func always(username, password string) proxyauth.CredentialsProvider {
	return proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
		return proxyauth.Credentials{Username: username, Password: proxyauth.NewSecret(password)}, nil
	})
}

// NTLM does not wait for the KDC with each connection.
func TestSilentKDCIsWaitedForOnce(t *testing.T) {
	l := newLab(t).withNTLM()
	l.SetFault(kdc.Dead)
	l.scheme.DialKDC = l.Dial
	synctest.Test(t, func(t *testing.T) {
		for _, want := range []time.Duration{10 * time.Second, 0, 0} {
			start := time.Now()
			_, err := l.connect(t.Context(), exchange("ann", "s3cret"))
			require.NoError(t, err)
			require.Equal(t, want, time.Since(start))
		}
	})
}

// A scheme remembers whom proxies have refused, and does not tell.
func TestSchemeHidesItsUsers(t *testing.T) {
	l := newLab(t)
	const user = "annabella"
	s, err := l.scheme.NewSession(t.Context(), exchange(user, "s3cret"))
	require.NoError(t, err)
	_, err = s.Authorization(t.Context(), proxyauth.Leg{})
	require.NoError(t, err)
	require.ErrorIs(t, proceed(t.Context(), s, nil), errBroken, "the proxy does not take NTLM like that")
	require.True(t, l.scheme.WantsWrapped(exchange(user, "s3cret")), "which is remembered")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		text := fmt.Sprintf(verb, l.scheme)
		require.NotContains(t, text, user)
		require.NotContains(t, text, fmt.Sprintf("%x", user))
	}
}
