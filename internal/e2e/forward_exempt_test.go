package e2e_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// TestConnectionOfFreeHost has a proxy that asks nothing for some hosts, and blocks
// others. A connection that was opened for one of them is authenticated for nobody:
// a body that goes elsewhere does not go over it.
func TestConnectionOfFreeHost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc   string
		status int
	}{{"free", 200}, {"blocked", 403}} {
		for _, body := range []struct {
			desc string
			make func() io.Reader
		}{
			{"unreplayable body", func() io.Reader { return unreplayable("body") }},
			{"short body", func() io.Reader { return strings.NewReader("body") }},
			{"no body", func() io.Reader { return nil }},
		} {
			bubble(t, tt.desc+", "+body.desc, func(t *testing.T) {
				l, _ := newFreeLab(t)
				l.rt.Credentials = &witness{answer: always(password)}
				l.proxy.SetFault(nil)
				if tt.status == 403 {
					l.proxy.SetFault(testproxy.OnLeg(func(leg *testproxy.Leg) bool {
						return strings.HasPrefix(leg.Target, "http://"+freeHost)
					}, &testproxy.Action{Status: 403}))
				}
				l.get(httpOrigin + "/")
				for range 3 {
					l.hangUp()
					resp, _, err := l.do(l.request(http.MethodGet, "http://"+freeHost+"/free", nil))
					require.NoError(t, err)
					require.Equal(t, tt.status, resp.StatusCode)
					l.proxy.Reset()
					resp, _, err = l.do(l.request(http.MethodPost, httpOrigin+"/", body.make()))
					require.NoError(t, err)
					require.Equal(t, http.StatusOK, resp.StatusCode)
					for _, leg := range l.proxy.Legs() {
						require.False(t, leg.Status == 407 && leg.BodyBytes > 0, "a body was lost")
					}
					l.proxy.Reset()
					resp, _, err = l.do(l.request(http.MethodPost, "http://"+freeHost+"/free", body.make()))
					require.NoError(t, err)
					require.Equal(t, tt.status, resp.StatusCode)
				}
				require.Empty(t, l.proxy.Violations())
			})
		}
	}
	bubble(t, "many at once", func(t *testing.T) {
		l, _ := newFreeLab(t)
		l.rt.Credentials = &witness{answer: always(password)}
		l.proxy.SetFault(nil)
		l.get(httpOrigin + "/")
		l.hangUp()
		l.get("http://" + freeHost + "/") // which tells that there are such hosts
		for range 10 {
			require.NoError(t, errors.Join(together(32, func(i int) error {
				req := l.request(http.MethodGet, "http://"+freeHost+"/", nil)
				if i%2 == 0 {
					req = l.request(http.MethodPost, httpOrigin+"/", unreplayable("body"))
				}
				resp, _, err := l.do(req)
				if err == nil && resp.StatusCode != http.StatusOK {
					err = explained(resp)
				}
				return err
			})...))
		}
		for _, leg := range l.proxy.Legs() {
			require.False(t, leg.Status == 407 && leg.BodyBytes > 0, "a body was lost")
		}
		require.Empty(t, l.proxy.Violations())
	})
}

// TestOverloadedProxy answers what opens NTLM with a 503, which is not the way to ask
// nothing for a host.
func TestOverloadedProxy(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		l, _ := newWitnessedLab(t, &testproxy.NTLM{}, always(password))
		l.get(httpOrigin + "/")
		l.hangUp()
		l.proxy.SetFault(onToken(negotiateToken, &testproxy.Action{Status: http.StatusServiceUnavailable}))
		for range 3 {
			l.proxy.Reset()
			resp, _, err := l.do(l.request(http.MethodGet, httpOrigin+"/", nil))
			require.NoError(t, err)
			require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
			require.Len(t, l.proxy.Legs(), 1)
		}
		l.proxy.SetFault(nil)
		require.NoError(t, fetch(t.Context(), l.rt, originHost))
		require.Empty(t, l.proxy.Violations())
	})
}
