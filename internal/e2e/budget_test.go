package e2e_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A cannedProxy answers each request with a 200 if it carries an authorization,
// or if it asks for none, and with its challenge otherwise. It verifies nothing
// and allocates nothing, so that what is counted is the client's.
type cannedProxy struct{ challenge string }

func (p cannedProxy) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go p.serve(server)
	return client, nil
}

func (p cannedProxy) serve(conn net.Conn) {
	passed := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	refused := []byte("HTTP/1.1 407 No\r\nProxy-Authenticate: " + p.challenge + "\r\nContent-Length: 2\r\n\r\nno")
	buf := make([]byte, 16<<10)
	for n := 0; ; {
		m, err := conn.Read(buf[n:])
		if err != nil {
			return
		}
		if n += m; !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
			continue
		}
		answer := passed
		if p.challenge != "" && !bytes.Contains(buf[:n], []byte("\r\nProxy-Authorization: ")) {
			answer = refused
		}
		conn.Write(answer)
		n = 0
	}
}

func (p cannedProxy) base() *http.Transport {
	return &http.Transport{
		Proxy:       http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.example.com:3128"}),
		DialContext: p.dial,
	}
}

// getter returns a func that makes a GET over rt, with an authorization if one is given, and
// reads the answer. The first one has been made.
func getter(t testing.TB, rt http.RoundTripper, target string, authorization ...string) func() {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	require.NoError(t, err)
	req.Header.Set("User-Agent", "test")
	for _, a := range authorization {
		req.Header.Set("Proxy-Authorization", a)
	}
	get := func() {
		resp, err := rt.RoundTrip(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("no answer: %v", err)
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	get()
	return get
}

// wrapped returns a Transport around base.
func wrapped(t testing.TB, base *http.Transport) *proxyauth.Transport {
	rt := &proxyauth.Transport{Base: base, Schemes: allSchemes(), Credentials: credentials.Static(user, password)}
	t.Cleanup(rt.CloseIdleConnections)
	return rt
}

var budgets = []struct {
	desc      string
	challenge string
	allocs    float64
}{
	{"Basic", `Basic realm="lab"`, 0},
	{"Digest", `Digest realm="lab", nonce="abc", qop="auth"`, 2},
	{"Digest with SHA-256", `Digest realm="lab", nonce="abc", qop="auth", algorithm=SHA-256`, 2},
}

// TestAllocations holds the wrapper to its budget: what a warm request costs more
// than through bare net/http and a proxy that asks nothing.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	bare := cannedProxy{}.base()
	t.Cleanup(bare.CloseIdleConnections)
	want := testing.AllocsPerRun(500, getter(t, bare, httpOrigin))
	for _, tt := range budgets {
		t.Run(tt.desc, func(t *testing.T) {
			rt := wrapped(t, cannedProxy{tt.challenge}.base())
			got := testing.AllocsPerRun(500, getter(t, rt, httpOrigin))
			t.Logf("%v allocations, %v more than bare net/http", got, got-want)
			require.LessOrEqual(t, got, want+tt.allocs)
		})
	}
}

// TestAllocationsInTunnel compares with net/http through the same kind of proxy
// without authentication.
func TestAllocationsInTunnel(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	allocs := func(t *testing.T, auth ...testproxy.Mechanism) float64 {
		l := newLab(t, testproxy.Config{Auth: auth})
		l.base.ForceAttemptHTTP2 = false
		rt := http.RoundTripper(l.base)
		if len(auth) > 0 {
			l.rt.Logger = nil
			rt = l.rt
		}
		return testing.AllocsPerRun(500, getter(t, rt, httpsOrigin))
	}
	want := allocs(t)
	for _, m := range allMechanisms() {
		t.Run(m.Scheme(), func(t *testing.T) {
			got := allocs(t, m)
			t.Logf("%v allocations, %v more than bare net/http", got, got-want)
			require.LessOrEqual(t, got, want)
		})
	}
}

func BenchmarkForward(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		base := cannedProxy{}.base()
		b.Cleanup(base.CloseIdleConnections)
		benchmark(b, base)
	})
	for _, tt := range budgets {
		b.Run(tt.desc, func(b *testing.B) { benchmark(b, wrapped(b, cannedProxy{tt.challenge}.base())) })
	}
}

func benchmark(b *testing.B, rt http.RoundTripper) {
	get := getter(b, rt, httpOrigin)
	b.ReportAllocs()
	for b.Loop() {
		get()
	}
}
