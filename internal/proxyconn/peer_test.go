package proxyconn_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

const target = "origin.example.com:443"

// A peer is a proxy's end of a connection.
type peer struct {
	t *testing.T
	net.Conn
	br *bufio.Reader
}

// newPeer returns a Conn and its peer. Both are closed at the end of the test, and
// client is what is below the Conn.
func newPeer(t *testing.T) (c *proxyconn.Conn, p *peer, client net.Conn) {
	client, server := testproxy.NewNetwork().Pipe()
	c = proxyconn.New(client, nil)
	p = &peer{t, server, bufio.NewReader(server)}
	t.Cleanup(func() {
		c.Close()
		server.Close()
	})
	return c, p, client
}

func (p *peer) send(text string) {
	p.t.Helper()
	_, err := io.WriteString(p, text)
	require.NoError(p.t, err)
}

// wantRequest reads a CONNECT.
func (p *peer) wantRequest() *http.Request {
	p.t.Helper()
	req, err := http.ReadRequest(p.br)
	require.NoError(p.t, err)
	require.Equal(p.t, http.MethodConnect, req.Method)
	return req
}

// wantClosed reads until the end.
func (p *peer) wantClosed() {
	p.t.Helper()
	_, err := io.Copy(io.Discard, p.br)
	if err != nil {
		require.ErrorContains(p.t, err, "reset")
	}
}

// A call is a Connect under way.
type call struct {
	resp *http.Response
	err  error
	done chan struct{}
}

func start(ctx context.Context, c *proxyconn.Conn, leg proxyconn.Leg) *call {
	leg.Target = target
	k := &call{done: make(chan struct{})}
	go func() {
		defer close(k.done)
		k.resp, k.err = c.Connect(ctx, leg)
	}()
	return k
}

func (k *call) wait() (*http.Response, error) {
	<-k.done
	return k.resp, k.err
}

// bound takes every refusal for one that is bound to the connection.
func bound(*http.Response) bool { return true }

var ca = sync.OnceValue(testproxy.NewCA)
