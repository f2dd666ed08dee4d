package e2e_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// TestRefusedWithBodyKept reads the 407 of a probe, whose body was kept: it ends with
// an error if that is not all of it.
func TestRefusedWithBodyKept(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc   string
		action *testproxy.Action
		length int // less than 3 KiB if negative
		cut    bool
	}{
		{"short", testproxy.LargeBody(3 << 10), 3 << 10, false},
		{"long", testproxy.LargeBody(200 << 10), 200 << 10, false},
		{"as long as can be", testproxy.LargeBody(256 << 10), 256 << 10, false},
		{"too long", testproxy.LargeBody(256<<10 + 1), 256 << 10, true},
		{"endless", testproxy.EndlessBody(), 256 << 10, true},
		{"stalled", &testproxy.Action{Fill: 3 << 10, Stall: testproxy.InBody}, -1, true},
		{"broken off", &testproxy.Action{Fill: 3 << 10, Drop: testproxy.InBody}, -1, true},
		{"too long, to the end of the connection", &testproxy.Action{Fill: 300 << 10, Framing: testproxy.FramingClose}, 256 << 10, true},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := basicLab(t, testproxy.On(407, tt.action))
				l.rt.Credentials = proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
					return proxyauth.Credentials{}, proxyauth.ErrNoCredentials
				})
				u := newUpload(10)
				resp, body, err := l.do(u.put(l.request(http.MethodPost, httpOrigin, nil), false))
				if tt.cut {
					require.ErrorIs(t, err, io.ErrUnexpectedEOF)
				} else {
					require.NoError(t, err)
				}
				require.Equal(t, http.StatusProxyAuthRequired, resp.StatusCode)
				require.Equal(t, proxyauth.CauseNoCredentials, explained(resp).Cause)
				if tt.length < 0 {
					require.Less(t, len(body), 3<<10)
				} else {
					require.Len(t, body, tt.length)
				}
				u.requireClosed(t)
			})
		})
	}
}

// TestConnectResponseBody shows the hook as much of the proxy's page as is kept, and
// that it is not all of it.
func TestConnectResponseBody(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc   string
		action testproxy.Action
		length int // less than that of the page if zero
		cut    bool
	}{
		{desc: "broken off", action: testproxy.Action{Fill: 16 << 10, Drop: testproxy.InBody}, cut: true},
		{desc: "short", action: testproxy.Action{Fill: 3 << 10}, length: 3 << 10},
		{desc: "as long as can be", action: testproxy.Action{Fill: maxKept}, length: maxKept},
		{desc: "too long", action: testproxy.Action{Fill: maxKept + 1}, length: maxKept, cut: true},
		{desc: "to the end of the connection", action: testproxy.Action{Fill: 64 << 10, Framing: testproxy.FramingClose}, cut: true},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.action.Status = http.StatusForbidden
				l := basicLab(t, testproxy.On(200, &tt.action))
				var body []byte
				var readErr error
				l.base.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
					body, readErr = io.ReadAll(resp.Body)
					return nil
				}
				_, _, err := l.do(l.request(http.MethodGet, httpsOrigin, nil))
				var e *proxyauth.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, proxyauth.CauseDenied, e.Cause)
				require.Len(t, e.Body(), 1<<10)
				if tt.length == 0 {
					require.Less(t, len(body), 16<<10)
				} else {
					require.Len(t, body, tt.length)
				}
				if tt.cut {
					require.ErrorIs(t, readErr, io.ErrUnexpectedEOF)
				} else {
					require.NoError(t, readErr)
				}
			})
		})
	}
}
