package e2e_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// Leading zeros of the port make no other proxy.
func TestPortSpellingsAreOneProxy(t *testing.T) {
	t.Parallel()
	eachHolds(t, "", func(t testing.TB, w way) {
		l, _ := newCaseLab(t, wrongPassword, &testproxy.Basic{Realm: "lab"})
		dial := l.base.DialContext
		l.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dial(ctx, network, strings.Replace(addr, ":0", ":", 1))
		}
		var n atomic.Int64
		l.base.Proxy = func(*http.Request) (*url.URL, error) {
			return &url.URL{Scheme: "http", Host: "proxy.example.com:" + []string{"3128", "03128"}[n.Add(1)%2]}, nil
		}
		for range 6 {
			require.Error(t, w.reach(t.Context(), l.rt, originHost))
		}
		require.LessOrEqual(t, l.users.Failures(user), 1)
	})
}
