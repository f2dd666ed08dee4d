package sspi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/go-proxyauth/proxyauth/schemes/internal/ntlmssp"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/sspi"
)

// A logon has no secret that the library could count, and yet it is sent once if the proxy
// refuses it: the account is the user's.
func TestRefusedLogonIsSentOnce(t *testing.T) {
	for _, tc := range []struct {
		desc, password string
		sent           func(*testing.T, int64)
	}{
		{"refused", "wrong", func(t *testing.T, n int64) { require.EqualValues(t, 1, n) }},
		{"accepted", "s3cret", func(t *testing.T, n int64) { require.Greater(t, n, int64(1)) }},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sent atomic.Int64
				f := &sspi.Fake{Step: func(n int, target string, _, in []byte) ([]byte, bool, uint32) {
					client, err := ntlmssp.New(ntlmssp.Config{
						Credentials: proxyauth.Credentials{Username: "ann", Password: proxyauth.NewSecret(tc.password)},
						TargetName:  target,
					})
					if err != nil {
						return nil, false, sspi.StatusNoCredentials
					}
					message := client.Negotiate()
					if n == 1 {
						return message, false, sspi.StatusContinue
					}
					sent.Add(1)
					if message, err = client.Authenticate(in); err != nil {
						return nil, false, sspi.StatusInvalidToken
					}
					return message, false, sspi.StatusOK
				}}
				network := testproxy.NewNetwork()
				proxy := testproxy.Start(t, testproxy.Config{Network: network, Auth: []testproxy.Mechanism{
					&testproxy.NTLM{Server: &ntlmserver.Server{Users: map[string]string{"ann": "s3cret"}}},
				}})
				rt := &proxyauth.Transport{
					Base:       &http.Transport{Proxy: http.ProxyURL(proxy.URL()), DialContext: network.DialContext},
					Schemes:    []proxyauth.Scheme{f.WithNTLM(&sspi.NTLM{})},
					ErrorOn407: true,
				}
				var wg sync.WaitGroup
				var failed atomic.Int64
				for range 64 {
					wg.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
						defer cancel()
						resp, err := rt.RoundTrip(httptest.NewRequestWithContext(ctx, http.MethodGet, "http://origin.example.com/", nil))
						if err != nil {
							failed.Add(1)
							return
						}
						resp.Body.Close()
					})
				}
				wg.Wait()
				tc.sent(t, sent.Load())
				require.Equal(t, tc.desc == "refused", failed.Load() > 0)
				rt.CloseIdleConnections()
				requireReleased(t, f)
			})
		})
	}
}
