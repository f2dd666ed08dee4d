package testproxy_test

import (
	"bufio"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/stretchr/testify/require"
)

// A world is a network with an http:// origin and a proxy.
type world struct {
	t       *testing.T
	network *testproxy.Network
	origin  *testproxy.Origin
	proxy   *testproxy.Proxy
	users   *testproxy.Accounts
}

const target = "http://origin.example.com/"

// newWorld starts a proxy that wants Basic authentication unless config says
// otherwise.
func newWorld(t *testing.T, config testproxy.Config) *world {
	w := &world{t: t, network: testproxy.NewNetwork()}
	w.users = &testproxy.Accounts{Passwords: map[string]string{"ann": "s3cret", "bob": "hunter2"}}
	w.origin = testproxy.StartOrigin(t, testproxy.OriginConfig{Network: w.network})
	if config.Auth == nil {
		config.Auth = []testproxy.Mechanism{&testproxy.Basic{Accounts: w.users, Realm: "lab"}}
	}
	config.Network = w.network
	w.proxy = testproxy.Start(t, config)
	return w
}

// basic is ann's header line.
var basic = "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("ann:s3cret")) + "\r\n"

// A wire is a connection to the proxy on which the test writes what it likes.
type wire struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (w *world) dial() *wire {
	conn, err := w.network.DialContext(w.t.Context(), "tcp", w.proxy.Addr())
	require.NoError(w.t, err)
	w.t.Cleanup(func() { conn.Close() })
	return &wire{t: w.t, Conn: conn, r: bufio.NewReader(conn)}
}

func (c *wire) send(text string) {
	_, err := io.WriteString(c, text)
	require.NoError(c.t, err)
}

// get sends a GET of the target with more header lines.
func (c *wire) get(lines string) *http.Response { return c.do("GET", lines, "") }

func (c *wire) do(method, lines, body string) *http.Response {
	c.send(method + " " + target + " HTTP/1.1\r\nHost: origin.example.com\r\n" + lines + "\r\n" + body)
	return c.answer(method)
}

func (c *wire) connect(lines string) *http.Response {
	c.send("CONNECT origin.example.com:80 HTTP/1.1\r\nHost: origin.example.com:80\r\n" + lines + "\r\n")
	return c.answer("CONNECT")
}

// answer reads an answer and its body.
func (c *wire) answer(method string) *http.Response {
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	require.NoError(c.t, err)
	if method != "CONNECT" || resp.StatusCode/100 != 2 {
		body, err := io.ReadAll(resp.Body)
		require.NoError(c.t, err)
		resp.Body = io.NopCloser(strings.NewReader(string(body)))
	}
	return resp
}

// rest reads to the end of the connection.
func (c *wire) rest() (string, error) {
	data, err := io.ReadAll(c.r)
	return string(data), err
}

// requireClosed checks that nothing more comes.
func (c *wire) requireClosed() {
	data, err := c.rest()
	require.NoError(c.t, err)
	require.Empty(c.t, data)
}

func text(t *testing.T, resp *http.Response) string {
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(data)
}
