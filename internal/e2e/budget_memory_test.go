package e2e_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A quietConn is a connection to a proxy in memory, that challenges by NTLM if asks is
// set. It weighs next to nothing beside net/http's part of the connection.
type quietConn struct {
	net.Conn
	answers chan string
	asks    bool
}

func (c *quietConn) Write(b []byte) (int, error) {
	request := string(b)
	switch {
	case !c.asks:
		c.answers <- anOK
	case strings.Contains(request, "NTLM TlRMTVNTUAAD"):
		c.asks = false
		c.answers <- anOK
	default:
		c.answers <- ntlm407(strings.Contains(request, "NTLM TlRMTVNTUAAB"))
	}
	return len(b), nil
}

func (c *quietConn) Read(b []byte) (int, error) {
	answer, open := <-c.answers
	if !open {
		return 0, io.EOF
	}
	return copy(b, answer), nil
}

func (c *quietConn) Close() error { close(c.answers); return nil }

const idleConns = 100

// quietBase returns a Base whose proxy is made of quietConns.
func quietBase(asks bool) *http.Transport {
	base := cannedProxy{}.base()
	base.MaxIdleConnsPerHost = idleConns
	base.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return &quietConn{answers: make(chan string, 1), asks: asks}, nil
	}
	return base
}

// idleMemory returns how many bytes an idle connection of rt takes, on the heap and in
// stacks, after requests at once have made so many.
func idleMemory(t *testing.T, rt interface {
	http.RoundTripper
	CloseIdleConnections()
}) float64 {
	before := inUse()
	var answers []*http.Response
	for range idleConns {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, httpOrigin, nil)
		require.NoError(t, err)
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		answers = append(answers, resp)
	}
	for _, resp := range answers {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	clear(answers)
	after := inUse()
	rt.CloseIdleConnections()
	runtime.KeepAlive(rt)
	return (after - before) / idleConns
}

func inUse() float64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

// TestIdleMemory compares idle connections for forwarded requests with net/http's own.
func TestIdleMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory")
	}
	const rounds, most = 5, 1.05
	for _, tt := range []struct {
		desc string
		asks bool
	}{{"unauthenticated", false}, {"authenticated by NTLM", true}} {
		t.Run(tt.desc, func(t *testing.T) {
			bare := quietBase(false)
			rt := wrapped(t, quietBase(tt.asks))
			idleMemory(t, bare) // fill the runtime's own pools
			idleMemory(t, rt)
			var ratios []float64
			for range rounds {
				theirs, ours := idleMemory(t, bare), idleMemory(t, rt)
				t.Logf("bytes for each connection: net/http %.0f, the Transport %.0f", theirs, ours)
				ratios = append(ratios, ours/theirs)
			}
			slices.Sort(ratios)
			require.LessOrEqual(t, ratios[rounds/2], most, "median")
		})
	}
}
