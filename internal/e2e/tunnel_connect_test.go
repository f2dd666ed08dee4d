//lint:file-ignore SA1019 Base may have its old dial functions set, which net/http still calls.

package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// echo answers every connection to addr with what comes on it.
func (l *lab) echo(addr string) {
	l.t.Helper()
	l.serve(addr, func(conn net.Conn) { io.Copy(conn, conn) })
}

const echoAddr = "echo.example.com:7"

// requireEcho requires conn to lead to an echo.
func requireEcho(t testing.TB, conn net.Conn) {
	t.Helper()
	_, err := io.WriteString(conn, "anybody there?")
	require.NoError(t, err)
	buf := make([]byte, len("anybody there?"))
	_, err = io.ReadFull(conn, buf)
	require.NoError(t, err)
	require.Equal(t, "anybody there?", string(buf))
}

// basicLab returns a lab with a proxy that wants Basic, and an echo.
func basicLab(t testing.TB, fault testproxy.Fault) *lab {
	l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}, Fault: fault})
	l.echo(echoAddr)
	return l
}

// TestConnected opens tunnels with every kind of success.
func TestConnected(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc   string
		action *testproxy.Action
	}{
		{"200", testproxy.Connected(200, nil, "")},
		{"201", testproxy.Connected(201, nil, "")},
		{"204", testproxy.Connected(204, nil, "")},
		{"204 with Content-Length", testproxy.Connected(204, http.Header{"Content-Length": {"5"}}, "")},
		{"299", testproxy.Connected(299, nil, "")},
		{"Content-Length", testproxy.Connected(200, http.Header{"Content-Length": {"5"}}, "")},
		{"Content-Length 0", testproxy.Connected(200, http.Header{"Content-Length": {"0"}}, "")},
		{"Transfer-Encoding", testproxy.Connected(200, http.Header{"Transfer-Encoding": {"chunked"}}, "")},
		{"Connection: close", testproxy.Connected(200, http.Header{"Connection": {"close"}}, "")},
		{"Proxy-Authenticate", testproxy.Connected(200, http.Header{"Proxy-Authenticate": {"Negotiate oYG2"}}, "")},
		{"HTTP/1.0", &testproxy.Action{Proto: "HTTP/1.0"}},
		{"1xx", testproxy.Interim(3, "103 Early Hints")},
		{"bytes right behind", testproxy.Connected(200, nil, "220 ready\r\n")},
		{"many bytes right behind", testproxy.Connected(200, nil, strings.Repeat("220 ready\r\n", 300))},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := basicLab(t, testproxy.On(200, tt.action))
				conn, err := l.rt.DialContext(t.Context(), "tcp", echoAddr)
				require.NoError(t, err)
				defer conn.Close()
				behind := make([]byte, len(tt.action.Behind))
				_, err = io.ReadFull(conn, behind)
				require.NoError(t, err)
				require.Equal(t, tt.action.Behind, string(behind))
				requireEcho(t, conn)
				require.Equal(t, []string{"CONNECT " + echoAddr + " -> 407"}, l.shapes()[:1])
				if tt.action.Behind == "" {
					l.get(httpsOrigin + "/")
				}
			})
		})
	}
}

// proxyConnection answers with Proxy-Connection in place of Connection, and keeps
// the connection whatever it says.
func proxyConnection(proto, options string) *testproxy.Action {
	return &testproxy.Action{Proto: proto, Keep: true, Header: http.Header{"Proxy-Connection": {options}, "Connection": nil}}
}

// TestConnect407 answers a challenge however the proxy treats the connection.
func TestConnect407(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc   string
		action *testproxy.Action
		conn   int // of the second leg
	}{
		{"kept alive", nil, 1},
		{"closed", testproxy.CloseOpenly(), 2},
		{"closed in silence", testproxy.CloseSilently(), 2},
		{"reset in silence", &testproxy.Action{Reset: true}, 2},
		{"HTTP/1.0", testproxy.HTTP10(), 2},
		{"HTTP/1.0, kept alive", &testproxy.Action{Proto: "HTTP/1.0", SayClose: true, Header: http.Header{"Connection": {"keep-alive"}}}, 2},
		{"HTTP/1.0, kept alive as by squid 2", proxyConnection("HTTP/1.0", "Keep-Alive"), 1},
		{"HTTP/1.0, kept alive with other options", proxyConnection("HTTP/1.0", "x, keep-alive"), 1},
		{"HTTP/1.0, not kept alive", proxyConnection("HTTP/1.0", "x"), 2},
		{"HTTP/1.0, kept alive and closed", proxyConnection("HTTP/1.0", "keep-alive, close"), 2},
		{"HTTP/1.0, kept alive with Connection: close", &testproxy.Action{Proto: "HTTP/1.0", Keep: true, Header: http.Header{
			"Proxy-Connection": {"keep-alive"}, "Connection": {"close"}}}, 2},
		{"HTTP/1.0, kept alive without a length", &testproxy.Action{Proto: "HTTP/1.0", Keep: true, Framing: testproxy.FramingClose, Header: http.Header{
			"Proxy-Connection": {"keep-alive"}, "Connection": nil}}, 2},
		{"Proxy-Connection: close", proxyConnection("HTTP/1.1", "Close"), 2},
		{"Proxy-Connection: keep-alive", proxyConnection("HTTP/1.1", "keep-alive"), 1},
		{"Proxy-Connection: keep-alive with Connection: close", &testproxy.Action{Header: http.Header{
			"Proxy-Connection": {"keep-alive"}, "Connection": {"close"}}}, 2},
		{"no Connection field", &testproxy.Action{Header: http.Header{"Connection": nil}}, 1},
		{"chunked", testproxy.Chunked(), 1},
		{"100 KiB", testproxy.LargeBody(100 << 10), 1},
		{"1 GiB", testproxy.LargeBody(1 << 30), 2},
		{"endless", testproxy.EndlessBody(), 2},
		{"body cut off", testproxy.DropAt(testproxy.InBody), 2},
		{"1xx before", testproxy.Interim(2, "103 Early Hints"), 1},
	} {
		for _, m := range mechanisms {
			t.Run(tt.desc+" "+m.scheme, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{m.make()}})
					if tt.action != nil {
						l.proxy.SetFault(testproxy.On(407, tt.action))
					}
					l.get(httpsOrigin + "/")
					l.legs("CONNECT -> 407", map[int]string{1: "= ", 2: "+ "}[tt.conn]+"CONNECT "+m.scheme+" -> 200")
				})
			})
		}
	}
}

// TestConnectRefused has the cause, status, header and page of a proxy that opens
// no tunnel.
func TestConnectRefused(t *testing.T) {
	t.Parallel()
	page := strings.Repeat("denied ", 1000)
	all := testproxy.Always
	let := func(a *testproxy.Action) testproxy.Fault { return testproxy.On(200, a) }
	ask := func(a *testproxy.Action) testproxy.Fault { return testproxy.On(407, a) }
	for _, tt := range []struct {
		desc   string
		fault  testproxy.Fault
		cause  proxyauth.Cause
		status int
	}{
		{"401 without credentials", all(testproxy.Refuse(401, page)), proxyauth.CauseProxyFailed, 401},
		{"401 to credentials", let(testproxy.Refuse(401, page)), proxyauth.CauseCredentialsRejected, 401},
		{"403 without credentials", all(testproxy.Refuse(403, page)), proxyauth.CauseDenied, 403},
		{"403 to credentials", let(testproxy.Refuse(403, page)), proxyauth.CauseDenied, 403},
		{"404", let(testproxy.Refuse(404, page)), proxyauth.CauseNotAProxy, 404},
		{"500", let(testproxy.Refuse(500, page)), proxyauth.CauseTargetUnreachable, 500},
		{"502", all(testproxy.Refuse(502, page)), proxyauth.CauseTargetUnreachable, 502},
		{"503", let(testproxy.Refuse(503, page)), proxyauth.CauseTargetUnreachable, 503},
		{"302", let(&testproxy.Action{Status: 302, Body: page, Header: http.Header{"Location": {httpOrigin}}}), proxyauth.CauseProxyFailed, 302},
		{"101", let(&testproxy.Action{Status: 101}), proxyauth.CauseProxyFailed, 101},
		{"999", let(testproxy.Refuse(999, page)), proxyauth.CauseProxyFailed, 999},
		{"407 to everything", all(&testproxy.Action{Status: 407, Body: page, Challenges: []string{`Basic realm="lab"`}}), proxyauth.CauseCredentialsRejected, 407},
		{"407 without a challenge", ask(&testproxy.Action{Body: page, Challenges: []string{}}), proxyauth.CauseNoChallenge, 407},
		{"407 with an empty challenge", ask(&testproxy.Action{Body: page, Challenges: []string{""}}), proxyauth.CauseNoChallenge, 407},
		{"407 with a malformed challenge", ask(&testproxy.Action{Body: page, Challenges: []string{`"Basic`}}), proxyauth.CauseMalformedChallenge, 407},
		{"407 with a strange scheme", ask(&testproxy.Action{Body: page, Challenges: []string{"Bearer"}}), proxyauth.CauseNoCommonScheme, 407},
		{"100 without end", let(testproxy.Interim(-1, "100 Continue")), proxyauth.CauseProxyFailed, 0},
		{"garbage", all(testproxy.Garbage("SSH-2.0-OpenSSH_9.2\r\n")), proxyauth.CauseNotAProxy, 0},
		{"HTTP/2", all(testproxy.Garbage("\x00\x00\x12\x04\x00\x00\x00\x00\x00")), proxyauth.CauseNotAProxy, 0},
		{"bad status", all(testproxy.Garbage("HTTP/1.1 2000 OK\r\n\r\n")), proxyauth.CauseNotAProxy, 0},
		{"no answer", all(testproxy.DropAt(testproxy.BeforeAnswer)), proxyauth.CauseProxyFailed, 0},
		{"half a status line", let(testproxy.DropAt(testproxy.InStatusLine)), proxyauth.CauseProxyFailed, 0},
		{"half a header", let(testproxy.ResetAt(testproxy.InHeader)), proxyauth.CauseProxyFailed, 0},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := basicLab(t, tt.fault)
				resp, _, err := l.do(l.request(http.MethodGet, httpsOrigin, nil))
				require.Nil(t, resp, "an answer to CONNECT was returned")
				e, ok := err.(*proxyauth.Error)
				require.True(t, ok, "%T: %v", err, err)
				require.Equal(t, tt.cause, e.Cause, e)
				require.Equal(t, tt.status, e.Status)
				require.Equal(t, "CONNECT", e.Op)
				require.Equal(t, "origin.example.com:443", e.Target)
				require.Equal(t, "http://proxy.example.com:3128", e.Proxy)
				if tt.status == 0 {
					require.Nil(t, e.Header())
					require.Nil(t, e.Body())
				} else if tt.status != 101 {
					require.Equal(t, page[:1<<10], string(e.Body()))
					require.Equal(t, "7000", e.Header().Get("Content-Length"))
				}
				require.Empty(t, l.secure.Requests())
				require.LessOrEqual(t, len(l.proxy.Legs()), 4)

				_, err = l.rt.DialContext(t.Context(), "tcp", echoAddr)
				scanned.Error(t.Name(), err)
				require.ErrorAs(t, err, &e)
				client := &http.Client{Transport: l.rt}
				_, err = client.Do(l.request(http.MethodGet, httpsOrigin, nil))
				scanned.Error(t.Name(), err)
				require.ErrorAs(t, err, &e, "through *url.Error")
			})
		})
	}
}

// TestOrigins407InTunnel passes a 407 of the origin's on: no business of ours.
func TestOrigins407InTunnel(t *testing.T) {
	t.Parallel()
	for _, proto := range []int{1, 2} {
		t.Run(fmt.Sprintf("HTTP/%d", proto), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := basicLab(t, nil)
				l.base.ForceAttemptHTTP2 = proto == 2
				origin := testproxy.StartOrigin(t, testproxy.OriginConfig{
					Network: l.network, Addr: "origin.example.com:8443", TLS: ca.ServerConfig("origin.example.com"),
					Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						w.Header().Set("Proxy-Authenticate", `Basic realm="lab"`)
						w.WriteHeader(http.StatusProxyAuthRequired)
						io.WriteString(w, "mine")
					}),
				})
				resp, body, err := l.do(l.request(http.MethodGet, origin.URL(), nil))
				require.NoError(t, err)
				require.Equal(t, proto, resp.ProtoMajor)
				require.Equal(t, http.StatusProxyAuthRequired, resp.StatusCode)
				require.Equal(t, "mine", body)
				require.Equal(t, `Basic realm="lab"`, resp.Header.Get("Proxy-Authenticate"))
				require.Nil(t, explained(resp))
				require.Len(t, origin.Requests(), 1)
				require.Empty(t, origin.Requests()[0].Header["Proxy-Authorization"])
				require.EqualValues(t, 1, l.asked.Load())
			})
		})
	}
}

// TestDialContext opens raw connections.
func TestDialContext(t *testing.T) {
	t.Parallel()
	direct := func(l *lab) { l.base.Proxy = nil }
	for _, tt := range []struct {
		desc, network, addr string
		change              func(*lab)
		legs                []string
		err                 string
	}{
		{desc: "through the proxy", legs: []string{"CONNECT echo.example.com:7 -> 407", "CONNECT echo.example.com:7 Basic -> 200"}},
		{desc: "tcp4", network: "tcp4", legs: []string{"CONNECT echo.example.com:7 -> 407", "CONNECT echo.example.com:7 Basic -> 200"}},
		{desc: "to an IPv6 address", addr: "[2001:db8::7]:7", legs: []string{"CONNECT [2001:db8::7]:7 -> 407", "CONNECT [2001:db8::7]:7 Basic -> 200"}},
		{desc: "outside ASCII", addr: "bücher.example.com:7", legs: []string{"CONNECT xn--bcher-kva.example.com:7 -> 407", "CONNECT xn--bcher-kva.example.com:7 Basic -> 200"}},
		{desc: "outside ASCII, and no name", addr: "xn--\u212a.example.com:7", err: "characters"},
		{desc: "outside ASCII, line end", addr: "bücher.example.com\r\nX:7", err: "characters"},
		{desc: "outside ASCII, slash", addr: "bücher.example.com/:7", err: "characters"},
		{desc: "outside ASCII, user info", addr: "ann@bücher.example.com:7", err: "characters"},
		{desc: "directly", change: direct},
		{desc: "directly as in NO_PROXY", change: func(l *lab) {
			proxy := l.base.Proxy
			l.base.Proxy = func(r *http.Request) (*url.URL, error) {
				if r.URL.Hostname() == "echo.example.com" && r.URL.Port() == "7" && r.URL.Scheme == "https" {
					return nil, nil
				}
				return proxy(r)
			}
		}},
		{desc: "directly with Dial", change: func(l *lab) { l.base.Proxy, l.base.DialContext, l.base.Dial = nil, nil, l.network.Dial }},
		{desc: "Proxy fails", change: func(l *lab) {
			l.base.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("no PAC file") }
		}, err: "no PAC file"},
		{desc: "through SOCKS", change: func(l *lab) {
			l.base.Proxy = http.ProxyURL(&url.URL{Scheme: "socks5", Host: "proxy.example.com:1080"})
		}, err: "SOCKS"},
		{desc: "udp", network: "udp", err: "unknown network udp"},
		{desc: "no port", addr: "echo.example.com", err: "missing port"},
		{desc: "no port, directly", addr: "echo.example.com", change: direct, err: "missing port"},
		{desc: "line end", addr: "echo.example.com\r\nX:7", err: "characters"},
		{desc: "blank", addr: "echo.example.com HTTP/1.1:7", err: "characters"},
		{desc: "slash", addr: "echo.example.com/:7", err: "characters"},
		{desc: "user info", addr: "ann@echo.example.com:7", err: "characters"},
		{desc: "no host", addr: ":7", err: "characters"},
		{desc: "nobody there", addr: "echo.example.com:8", err: "status 503", legs: []string{"CONNECT echo.example.com:8 -> 407", "CONNECT echo.example.com:8 Basic -> 503"}},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := basicLab(t, nil)
				l.echo("[2001:db8::7]:7")
				l.echo("xn--bcher-kva.example.com:7")
				if tt.change != nil {
					tt.change(l)
				}
				network, addr := "tcp", echoAddr
				if tt.network != "" {
					network = tt.network
				}
				if tt.addr != "" {
					addr = tt.addr
				}
				conn, err := l.rt.DialContext(t.Context(), network, addr)
				scanned.Error(t.Name(), err)
				if tt.err != "" {
					require.ErrorContains(t, err, tt.err)
					require.Nil(t, conn)
				} else {
					require.NoError(t, err)
					requireEcho(t, conn)
					conn.Close()
				}
				require.Equal(t, tt.legs, l.shapes())
			})
		})
	}
}

// TestDialContextUnwrapped returns the connection to the proxy itself, so that the
// system can splice it.
func TestDialContextUnwrapped(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	users := &testproxy.Accounts{Passwords: map[string]string{user: password}}
	proxy := testproxy.Start(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Accounts: users, Realm: "lab"}}})
	rt := wrapped(t, &http.Transport{Proxy: http.ProxyURL(proxy.URL())})
	conn, err := rt.DialContext(t.Context(), "tcp", ln.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.IsType(t, &net.TCPConn{}, conn)

	peer, err := ln.Accept()
	require.NoError(t, err)
	defer peer.Close()
	io.WriteString(conn, "hello\n")
	line, err := bufio.NewReader(peer).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "hello\n", line)
}
