package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// TestLostChallenge closes the connection without an answer to a short body. Whether
// that was the end of a 407, a probe tells.
func TestLostChallenge(t *testing.T) {
	t.Parallel()
	lose := testproxy.OnLeg(func(leg *testproxy.Leg) bool {
		return leg.Method == http.MethodPost && leg.Scheme == ""
	}, testproxy.ResetAt(testproxy.BeforeAnswer))
	for _, tt := range []struct {
		desc string
		auth []testproxy.Mechanism
		warm bool
		want []string
	}{
		{"asks", []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}, false, []string{"POST / -> dropped", "GET / -> 407", "POST / Basic -> 200"}},
		{"does not ask", nil, false, []string{"POST / -> dropped", "GET / -> 200"}},
		{"is known not to ask", nil, true, []string{"POST / -> dropped"}},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, testproxy.Config{Auth: tt.auth, Fault: lose})
				if tt.warm {
					l.get(httpOrigin + "/")
					l.hangUp()
					l.proxy.Reset()
				}
				u := newUpload(shortBody)
				resp, _, err := l.do(u.put(l.request(http.MethodPost, httpOrigin+"/", nil), true))
				if tt.auth == nil {
					require.ErrorIs(t, err, syscall.ECONNRESET)
				} else {
					require.NoError(t, err)
					require.Equal(t, http.StatusOK, resp.StatusCode)
					u.requireArrived(t, l.origin)
				}
				u.requireClosed(t)
				require.Equal(t, tt.want, l.shapes())
			})
		})
	}
}

// TestUploadFile sends a file over TCP, which net/http hands to the system as it
// is.
func TestUploadFile(t *testing.T) {
	t.Parallel()
	u := newUpload(longBody)
	name := filepath.Join(t.TempDir(), "upload")
	require.NoError(t, os.WriteFile(name, u.data, 0o600))
	origin := testproxy.StartOrigin(t, testproxy.OriginConfig{})
	users := &testproxy.Accounts{Passwords: map[string]string{user: password}}
	proxy := testproxy.Start(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Accounts: users, Realm: "lab"}}})
	var files atomic.Int64
	rt := wrapped(t, &http.Transport{
		Proxy: http.ProxyURL(proxy.URL()),
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return fileWatch{conn.(*net.TCPConn), &files}, nil
		},
	})
	for i := range 2 {
		file, err := os.Open(name)
		require.NoError(t, err)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, origin.URL(), file)
		require.NoError(t, err)
		req.ContentLength = longBody
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		u.requireArrived(t, origin)
		require.EqualValues(t, i+1, files.Load(), "not sent by the system")
		require.ErrorIs(t, file.Close(), os.ErrClosed, "the file was not closed")
	}
}

// A bodyDrain is a proxy that reads each body and counts it.
type bodyDrain struct {
	cannedProxy
	received, conns atomic.Int64
}

func (d *bodyDrain) dial(context.Context, string, string) (net.Conn, error) {
	d.conns.Add(1)
	client, server := net.Pipe()
	go d.serve(server)
	return client, nil
}

func (d *bodyDrain) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		n, _ := io.Copy(io.Discard, req.Body)
		d.received.Add(n)
		if req.Header.Get("Proxy-Authorization") == "" {
			fmt.Fprintf(conn, "HTTP/1.1 407 No\r\nProxy-Authenticate: %s\r\nContent-Length: 0\r\n\r\n", d.challenge)
		} else {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestUploadInFlatMemory sends 1 GiB that can't be had again, cold.
func TestUploadInFlatMemory(t *testing.T) {
	size := int64(1 << 30)
	if raceEnabled || !sample.Thorough() {
		size = 1 << 26 // which shows as much
	}
	for _, tt := range budgets[:2] {
		t.Run(tt.desc, func(t *testing.T) {
			d := &bodyDrain{cannedProxy: cannedProxy{tt.challenge}}
			base := d.base()
			base.DialContext = d.dial
			rt := wrapped(t, base)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, httpOrigin, io.LimitReader(zeros{}, size))
			require.NoError(t, err)
			req.ContentLength = size
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			resp, err := rt.RoundTrip(req)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, resp.StatusCode)
			runtime.ReadMemStats(&after)
			require.Equal(t, size, d.received.Load(), "the body was sent once")
			require.EqualValues(t, 1, d.conns.Load())
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), "bytes allocated")
		})
	}
}
