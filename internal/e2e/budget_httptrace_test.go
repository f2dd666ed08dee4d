package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

// A hookList records the calls of httptrace's hooks.
type hookList struct {
	mu    sync.Mutex
	calls []string
}

func (l *hookList) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, fmt.Sprintf(format, args...))
}

// take returns the calls since the last take.
func (l *hookList) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls := l.calls
	l.calls = nil
	return calls
}

func (l *hookList) with(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { l.add("GetConn") },
		GotConn: func(i httptrace.GotConnInfo) {
			l.add("GotConn reused %t, idle %t for %v", i.Reused, i.WasIdle, i.IdleTime)
		},
		PutIdleConn:          func(err error) { l.add("PutIdleConn %v", err) },
		GotFirstResponseByte: func() { l.add("GotFirstResponseByte") },
		Got100Continue:       func() { l.add("Got100Continue") },
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			l.add("Got1xxResponse %d %v", code, header)
			return nil
		},
		WroteHeaders:     func() { l.add("WroteHeaders") },
		Wait100Continue:  func() { l.add("Wait100Continue") },
		WroteRequest:     func(i httptrace.WroteRequestInfo) { l.add("WroteRequest %v", i.Err) },
		ConnectStart:     func(string, string) { l.add("ConnectStart") },
		ConnectDone:      func(string, string, error) { l.add("ConnectDone") },
		DNSStart:         func(httptrace.DNSStartInfo) { l.add("DNSStart") },
		WroteHeaderField: func(string, []string) {}, // one more with Basic and Digest
	})
}

// A hintingConn is a connection to a canned proxy that sends 103 before each 200.
type hintingConn struct{ net.Conn }

func (c hintingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if bytes.HasPrefix(b[:n], []byte("HTTP/1.1 200")) {
		n = copy(b, early+string(b[:n]))
	}
	return n, err
}

func hinting(base *http.Transport) *http.Transport {
	dial := base.DialContext
	base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return hintingConn{conn}, err
	}
	return base
}

// hooksOf returns the hooks of a first request over rt and of one a second later.
func hooksOf(t *testing.T, rt http.RoundTripper, target string) (cold, warm []string) {
	var l hookList
	get := func() []string {
		req, err := http.NewRequestWithContext(l.with(t.Context()), http.MethodGet, target, nil)
		require.NoError(t, err)
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		synctest.Wait()
		return l.take()
	}
	cold = get()
	time.Sleep(time.Second)
	return cold, get()
}

// TestHTTPTrace compares httptrace's hooks of a forwarded request with those of net/http
// through a proxy that asks nothing. A warm one has the same. A cold one has those of each
// leg, of which one in the middle of a handshake asks for no connection.
func TestHTTPTrace(t *testing.T) {
	t.Parallel()
	const (
		get   = "GetConn"
		dials = "GotConn reused false, idle false for 0s"
		again = "GotConn reused true, idle true for 0s"
		later = "GotConn reused true, idle true for 1s"
		put   = "PutIdleConn <nil>"
	)
	leg := []string{"WroteHeaders", "WroteRequest <nil>", "GotFirstResponseByte"}
	hint := []string{"Got1xxResponse 103 map[Link:[</a.css>]]"}
	first, second := slices.Concat([]string{get, dials}, leg), slices.Concat([]string{put, get, again}, leg)
	last := slices.Concat(hint, []string{put})
	for _, tt := range []struct {
		desc string
		base func() *http.Transport
		cold []string
	}{
		{"none", cannedProxy{}.base, slices.Concat(first, last)},
		{"Basic", cannedProxy{`Basic realm="lab"`}.base, slices.Concat(first, second, last)},
		{"Digest", cannedProxy{`Digest realm="lab", nonce="abc", qop="auth"`}.base, slices.Concat(first, second, last)},
		{"NTLM", cannedNTLM{}.base, slices.Concat(first, second, []string{put}, leg, last)},
	} {
		bubble(t, tt.desc, func(t *testing.T) {
			bare := hinting(cannedProxy{}.base())
			defer bare.CloseIdleConnections()
			bareCold, bareWarm := hooksOf(t, bare, httpOrigin)
			require.Equal(t, slices.Concat(first, last), bareCold)
			require.Equal(t, slices.Concat([]string{get, later}, leg, last), bareWarm)

			cold, warm := hooksOf(t, wrapped(t, hinting(tt.base())), httpOrigin)
			require.Equal(t, tt.cold, cold)
			require.Equal(t, bareWarm, warm)
		})
	}
}

// TestHTTPTraceOfTunnels does so for requests through a tunnel.
func TestHTTPTraceOfTunnels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bare := newLab(t, testproxy.Config{})
		bare.base.ForceAttemptHTTP2 = false
		defer bare.base.CloseIdleConnections()
		_, want := hooksOf(t, bare.base, httpsOrigin)
		require.Contains(t, want, "GotConn reused true, idle true for 1s")
		l := newLab(t, testproxy.Config{Auth: allMechanisms()})
		l.base.ForceAttemptHTTP2 = false
		_, warm := hooksOf(t, l.rt, httpsOrigin)
		require.Equal(t, want, warm)
	})
}

// TestHTTPTraceOfKerberos requires that what is asked of a KDC, or of DNS for one, has no hooks
// of the request that happens to be first: it is not a connection of this request, serves others
// as well, and may go on when the request has ended.
func TestHTTPTraceOfKerberos(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		r := newRealm(t)
		t.Run(w.desc, func(t *testing.T) { // not a bubble, which is nothing for net's resolver
			l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, testproxy.Config{})
			var dials, hooked atomic.Int64
			count := func(ctx context.Context) {
				dials.Add(1)
				if httptrace.ContextClientTrace(ctx) != nil {
					hooked.Add(1)
				}
			}
			l.scheme.DialKDC = func(ctx context.Context, network, address string) (net.Conn, error) {
				count(ctx)
				return r.dial(ctx, network, address)
			}
			l.scheme.CanonicalizeHost = true
			l.scheme.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				count(ctx)
				return nil, io.ErrUnexpectedEOF
			}}
			require.NoError(t, w.reach(new(hookList).with(t.Context()), l.rt, originHost))
			require.Greater(t, dials.Load(), int64(3))
			require.Zero(t, hooked.Load())
		})
	}
}
