package e2e_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// TestUnwritableHost fails at once on a host that no request line can have, instead of
// waiting for the answer to a request that was not sent.
func TestUnwritableHost(t *testing.T) {
	t.Parallel()
	for _, m := range []func() testproxy.Mechanism{
		func() testproxy.Mechanism { return &testproxy.Basic{Realm: "lab"} },
		func() testproxy.Mechanism { return &testproxy.NTLM{} },
	} {
		for _, target := range []string{httpOrigin, httpsOrigin} {
			for _, host := range []string{"xn--\u212a.example.com", "bücher.example.com x"} {
				t.Run(m().Scheme()+" "+target+" "+host, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{m()}})
						l.get(target + "/")
						l.hangUp()
						l.proxy.Reset()
						start := time.Now()
						req := l.request(http.MethodGet, target, nil)
						req.URL.Host, req.Host = host, ""
						_, _, err := l.do(req)
						require.Error(t, err)
						require.Zero(t, time.Since(start), "it has waited")
						require.Empty(t, l.proxy.Legs())
						l.get(target + "/")
					})
				})
			}
		}
	}
}
