package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// type2 is a challenge message of Samba 4.17.
const type2 = "TlRMTVNTUAACAAAACgAKADgAAAAFgoqilLzXtv+5aq4AAAAAAAAAADgAOABCAAAABgEAAAAAAA9QAFIATwBYAFkAAgAKAFAAUgBPAFgA" +
	"WQABAAoAUABSAE8AWABZAAQAAAADAAQAdgBtAAcACACQoFTCCXrdAQAAAAA="

// A cannedNTLM is a proxy that lets a connection pass after an NTLM handshake, of
// which it verifies nothing. For a warm connection it allocates nothing.
type cannedNTLM struct{ cannedProxy }

func (p cannedNTLM) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go p.serve(server)
	return client, nil
}

func (p cannedNTLM) base() *http.Transport {
	base := p.cannedProxy.base()
	base.DialContext = p.dial
	return base
}

func (cannedNTLM) serve(conn net.Conn) {
	defer conn.Close()
	passed := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	buf := make([]byte, 16<<10)
	authenticated := false
	for n := 0; ; {
		m, err := conn.Read(buf[n:])
		if err != nil {
			return
		}
		if n += m; !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
			continue
		}
		authenticated = authenticated || bytes.Contains(buf[:n], []byte("NTLM TlRMTVNTUAAD"))
		if authenticated {
			conn.Write(passed)
		} else {
			io.WriteString(conn, ntlm407(bytes.Contains(buf[:n], []byte("NTLM TlRMTVNTUAAB"))))
		}
		n = 0
	}
}

func ntlm407(opened bool) string {
	challenge := "NTLM"
	if opened {
		challenge += " " + type2
	}
	return "HTTP/1.1 407 No\r\nProxy-Authenticate: " + challenge + "\r\nContent-Length: 2\r\n\r\nno"
}

// TestNTLMAllocations compares a request on an authenticated connection with one
// through bare net/http and a proxy that asks nothing.
func TestNTLMAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	bare := cannedProxy{}.base()
	t.Cleanup(bare.CloseIdleConnections)
	want := testing.AllocsPerRun(500, getter(t, bare, httpOrigin))
	got := testing.AllocsPerRun(500, getter(t, wrapped(t, cannedNTLM{}.base()), httpOrigin))
	t.Logf("%v allocations, %v more than bare net/http", got, got-want)
	require.LessOrEqual(t, got, want)
}

func BenchmarkForwardNTLM(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		base := cannedProxy{}.base()
		b.Cleanup(base.CloseIdleConnections)
		benchmark(b, base)
	})
	b.Run("NTLM", func(b *testing.B) { benchmark(b, wrapped(b, cannedNTLM{}.base())) })
}

// An ntlmDrain is a proxy like cannedNTLM that reads each body and counts it. It
// listens on loopback.
type ntlmDrain struct {
	net.Listener
	received, requests, conns atomic.Int64
}

func newNTLMDrain(t *testing.T) *ntlmDrain {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := &ntlmDrain{Listener: ln}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			d.conns.Add(1)
			serving.Go(func() { d.serve(conn) })
		}
	})
	t.Cleanup(func() { ln.Close(); serving.Wait() })
	return d
}

func (d *ntlmDrain) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	authenticated := false
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		n, _ := io.Copy(io.Discard, req.Body)
		d.received.Add(n)
		token := req.Header.Get("Proxy-Authorization")
		authenticated = authenticated || len(token) > 17 && token[:17] == "NTLM TlRMTVNTUAAD"
		if !authenticated {
			io.WriteString(conn, ntlm407(token != ""))
			continue
		}
		d.requests.Add(1)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

func (d *ntlmDrain) base() *http.Transport {
	base := cannedProxy{}.base()
	base.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", d.Addr().String())
	}
	return base
}

// TestNTLMUploadInFlatMemory sends 1 GiB that can't be had again, cold: it passes once, on
// the only connection.
func TestNTLMUploadInFlatMemory(t *testing.T) {
	size := int64(1 << 30)
	if raceEnabled || !sample.Thorough() {
		size = 1 << 26 // which shows as much
	}
	d := newNTLMDrain(t)
	rt := wrapped(t, d.base())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, httpOrigin, io.LimitReader(zeros{}, size))
	require.NoError(t, err)
	req.ContentLength = size
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	resp, err := rt.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	runtime.ReadMemStats(&after)
	require.Equal(t, size, d.received.Load(), "the body was sent once")
	require.EqualValues(t, 1, d.conns.Load())
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20), "bytes allocated")
}

// A fileWatch is a connection that remembers whether it was given a file to send.
type fileWatch struct {
	*net.TCPConn
	files *atomic.Int64
}

func (c fileWatch) ReadFrom(r io.Reader) (int64, error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		r = limited.R
		if _, ok := r.(*os.File); ok {
			c.files.Add(1)
		}
		r = limited
	}
	return c.TCPConn.ReadFrom(r)
}

// A file is sent by the system, on the first request of a connection and later, whether it
// can be had again or not.
func TestNTLMUploadOfFile(t *testing.T) {
	t.Parallel()
	for _, replayable := range []bool{false, true} {
		t.Run(fmt.Sprintf("replayable %t", replayable), func(t *testing.T) { uploadFileOverNTLM(t, replayable) })
	}
}

func uploadFileOverNTLM(t *testing.T, replayable bool) {
	const size = 1 << 20
	name := filepath.Join(t.TempDir(), "body")
	require.NoError(t, os.WriteFile(name, make([]byte, size), 0o600))
	d := newNTLMDrain(t)
	base := d.base()
	var files atomic.Int64
	dial := base.DialContext
	base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return fileWatch{conn.(*net.TCPConn), &files}, nil
	}
	rt := wrapped(t, base)
	for i := range 3 {
		file, err := os.Open(name)
		require.NoError(t, err)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, httpOrigin, file)
		require.NoError(t, err)
		req.ContentLength = size
		if replayable {
			req.GetBody = func() (io.ReadCloser, error) { return os.Open(name) }
		}
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.EqualValues(t, size*(i+1), d.received.Load())
		require.EqualValues(t, i+1, files.Load(), "not sent by the system")
		require.ErrorIs(t, file.Close(), os.ErrClosed, "the file was not closed")
	}
	require.EqualValues(t, 3, d.requests.Load())
	require.EqualValues(t, 1, d.conns.Load())
}

// A wrong password reaches the proxy once, also with a body on its way, whatever
// the proxy does with that, and the body is closed.
func TestNTLMBodyWithWrongPassword(t *testing.T) {
	t.Parallel()
	for policy, refused := range bodyPolicies {
		for _, size := range []int{shortBody, longBody} {
			for _, replayable := range []bool{true, false} {
				bubble(t, fmt.Sprintf("%s, %d bytes, replayable %t", policy, size, replayable), func(t *testing.T) {
					l, m := newNTLMLab(t, nil, testproxy.Config{RefusedBody: refused})
					l.rt = l.transport(user, "wrong")
					for range 3 {
						u := newUpload(size)
						resp, _, err := l.do(u.put(l.request(http.MethodPost, httpOrigin, nil), replayable))
						if err == nil {
							require.Equal(t, 407, resp.StatusCode)
							err = explained(resp)
						}
						// net/http may see that the connection was closed before it reads the answer.
						lost := policy == "as tinyproxy" && size == longBody
						if e, ok := errors.AsType[*proxyauth.Error](err); !lost || !ok || e.Cause != proxyauth.CauseHandshakeBroken && e.Cause != proxyauth.CauseHeldBack {
							requireCause(t, proxyauth.CauseCredentialsRejected, err)
						}
						u.requireClosed(t)
					}
					if policy == "as tinyproxy" && size == longBody {
						require.LessOrEqual(t, m.Server.Failures(user), 3, "lost, each after a pause")
					} else {
						require.Equal(t, 1, m.Server.Failures(user))
					}
					require.Empty(t, l.origin.Requests())
					require.Empty(t, l.proxy.Violations())
				})
			}
		}
	}
}

// A body that can't be had again survives what happens before it is on its way.
func TestNTLMBodyIsNotTouchedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc  string
		upset func(l *lab, m *testproxy.NTLM)
	}{
		{"idle connections closed by the proxy", func(l *lab, _ *testproxy.NTLM) { l.proxy.Disconnect() }},
		{"handshake broken once", func(l *lab, _ *testproxy.NTLM) {
			l.hangUp()
			l.proxy.SetFault(testproxy.Once(testproxy.OnScheme("NTLM", testproxy.DropAt(testproxy.BeforeAnswer))))
		}},
		{"keep-alive off in mid-handshake, once", func(l *lab, _ *testproxy.NTLM) {
			l.hangUp()
			l.proxy.SetFault(testproxy.Once(testproxy.On(407, testproxy.CloseOpenly())))
		}},
	} {
		bubble(t, tt.desc, func(t *testing.T) {
			l, m := newNTLMLab(t, nil, testproxy.Config{})
			l.get(httpOrigin + "/")
			l.origin.Reset()
			tt.upset(l, m)
			synctest.Wait()
			u := newUpload(longBody)
			_, _, err := l.do(u.put(l.request(http.MethodPost, httpOrigin, nil), false))
			require.NoError(t, err)
			u.requireArrived(t, l.origin)
			u.requireClosed(t)
			require.Empty(t, l.proxy.Violations())
		})
	}
}
