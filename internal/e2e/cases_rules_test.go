package e2e_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// ruled answers 403, before it asks for authentication, what does not look like the
// program's own request: by its User-Agent, and by its URL.
func ruled(leg *testproxy.Leg) *testproxy.Action {
	if leg.Header.Get("User-Agent") == "program/1.0" && strings.HasSuffix(leg.Target, "/page") {
		return nil
	}
	return testproxy.Refuse(http.StatusForbidden, "blocked")
}

func (l *lab) programs(method string, body io.Reader) *http.Request {
	req := l.request(method, httpOrigin+"/page", body)
	req.Header.Set("User-Agent", "program/1.0")
	return req
}

// The legs that the library adds look like the request that they are for.
func TestAddedLegsMeetTheRequestsRules(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
		for _, body := range []string{"", "replayable", "not replayable"} {
			holds(t, strings.TrimSuffix(scheme+", "+body, ", "), func(t testing.TB) {
				l, _ := newCaseLab(t, password, mechanismOf(scheme))
				l.proxy.SetFault(ruled)
				req := l.programs(http.MethodGet, nil)
				switch body {
				case "replayable":
					req = l.programs(http.MethodPost, strings.NewReader("body"))
				case "not replayable":
					req = l.programs(http.MethodPost, unreplayable("body"))
				}
				resp, _, err := l.do(req)
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, resp.StatusCode)
				require.LessOrEqual(t, len(l.proxy.Legs()), 4)
				require.Len(t, l.origin.Requests(), 1)
			})
		}
	}
}

// A refusal of a probe that is not a 407 says nothing of the request: its challenge is
// known to the next one at the latest.
func TestRefusedProbeSettlesNothing(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
		holds(t, scheme, func(t testing.TB) {
			l, _ := newCaseLab(t, password, mechanismOf(scheme))
			l.proxy.SetFault(testproxy.OnLeg(func(leg *testproxy.Leg) bool {
				return leg.Method != http.MethodPost && leg.Scheme == ""
			}, testproxy.Refuse(http.StatusForbidden, "GET is blocked")))
			status := 0
			for range 2 {
				resp, _, err := l.do(l.programs(http.MethodPost, unreplayable("body")))
				if err == nil {
					status = resp.StatusCode
				}
			}
			require.Equal(t, http.StatusOK, status)
			require.Len(t, l.completing(), len(l.origin.Requests()))
		})
	}
}
