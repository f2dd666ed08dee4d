package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// TestProxyChoice lets Base choose anew for each request.
func TestProxyChoice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := basicLab(t, nil)
		second := testproxy.Start(t, testproxy.Config{Network: l.network, Addr: "second.example.com:3128"})
		l.base.Proxy = func(r *http.Request) (*url.URL, error) {
			switch r.URL.Path {
			case "/second":
				return second.URL(), nil
			case "/direct":
				return nil, nil
			}
			return l.proxy.URL(), nil
		}
		for _, origin := range []string{httpOrigin, httpsOrigin} {
			for _, path := range []string{"/first", "/second", "/direct", "/first"} {
				l.get(origin + path)
			}
		}
		l.legs("GET /first -> 407", "= GET /first Basic -> 200", "= GET /first Basic -> 200", "CONNECT Basic -> 200")
		require.Len(t, second.Legs(), 2)
		require.Len(t, l.origin.Requests(), 4)
		require.Len(t, l.secure.Requests(), 4)
	})
}

// TestEnvironment takes the proxies from the environment, with user info and
// NO_PROXY, without a provider. It does so in a process of its own, for
// net/http reads the environment once.
func TestEnvironment(t *testing.T) {
	const child = "PROXYAUTH_TEST_ENVIRONMENT"
	if os.Getenv(child) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEnvironment$")
		cmd.Env = append(os.Environ(),
			child+"=1",
			"HTTP_PROXY=http://ann:s3cret@proxy.example.com:3128",
			"HTTPS_PROXY=http://ann:s3cret@proxy.example.com:3128",
			"NO_PROXY=direct.example.com",
		)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return
	}
	synctest.Test(t, func(t *testing.T) {
		l := basicLab(t, nil)
		l.rt.Credentials = nil
		l.base.Proxy = http.ProxyFromEnvironment
		direct := testproxy.StartOrigin(t, testproxy.OriginConfig{Network: l.network, Addr: "direct.example.com:80"})
		l.get(httpOrigin + "/")
		l.get(httpsOrigin + "/")
		l.get(direct.URL() + "/")
		require.Len(t, direct.Requests(), 1)
		l.legs("GET / -> 407", "= GET / Basic -> 200", "CONNECT Basic -> 200")
	})
}

// TestUntouched sends requests that take no HTTP proxy through Base itself, so that
// they share its connections.
func TestUntouched(t *testing.T) {
	t.Parallel()
	for _, socks := range []bool{false, true} {
		t.Run(fmt.Sprintf("SOCKS %v", socks), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := basicLab(t, nil)
				var dials int
				l.base.Proxy = nil
				l.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					dials++
					if !socks {
						return l.network.DialContext(ctx, network, addr)
					}
					require.Equal(t, "socks.example.com:1080", addr)
					client, server := l.network.Pipe()
					go l.serveSOCKS(server)
					return client, nil
				}
				if socks {
					l.base.Proxy = http.ProxyURL(&url.URL{Scheme: "socks5", Host: "socks.example.com:1080"})
				}
				for _, target := range []string{httpOrigin, httpsOrigin} {
					getter(t, l.base, target)
					req := l.request(http.MethodGet, target, nil)
					req.Header.Set("Proxy-Authorization", "Basic YW5uOnMzY3JldA==")
					resp, _, err := l.do(req)
					require.NoError(t, err)
					require.Equal(t, http.StatusOK, resp.StatusCode)
					require.Same(t, req, resp.Request)
					require.Equal(t, []string{"Basic YW5uOnMzY3JldA=="}, req.Header["Proxy-Authorization"])
				}
				require.Equal(t, 2, dials)
				for _, r := range append(l.origin.Requests(), l.secure.Requests()...) {
					require.Empty(t, r.Header["Proxy-Authorization"])
				}
				require.Empty(t, l.proxy.Legs())
			})
		})
	}
}

// serveSOCKS accepts a CONNECT of SOCKS5 (RFC 1928) and leads it to its target.
func (l *lab) serveSOCKS(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, 512)
	io.ReadFull(conn, buf[:3]) // version, one method
	conn.Write([]byte{5, 0})
	io.ReadFull(conn, buf[:5]) // version, CONNECT, 0, a name, its length
	name := buf[5 : 5+int(buf[4])+2]
	io.ReadFull(conn, name)
	port := int(name[len(name)-2])<<8 | int(name[len(name)-1])
	target, err := l.network.Dial("tcp", fmt.Sprintf("%s:%d", name[:len(name)-2], port))
	if err != nil {
		return
	}
	defer target.Close()
	conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	go func() {
		io.Copy(target, conn)
		target.Close()
	}()
	io.Copy(conn, target)
}
