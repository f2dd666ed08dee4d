package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A serving is a canned proxy.
type serving interface{ serve(net.Conn) }

// tcpBase returns a Base whose proxy is p, over loopback: where a request costs what it
// usually costs.
func tcpBase(b *testing.B, p serving) *http.Transport {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	base := cannedProxy{}.base()
	base.MaxIdleConnsPerHost = 100
	base.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
	}
	return base
}

// A cannedTunnel is a proxy whose tunnels all end at one TLS server, which answers each
// request as a cannedProxy.
type cannedTunnel struct {
	cannedProxy
	config *tls.Config
}

func (p cannedTunnel) serve(conn net.Conn) {
	buf := make([]byte, 4<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if p.challenge == "" || bytes.Contains(buf[:n], []byte("Proxy-Authorization")) {
			break
		}
		io.WriteString(conn, "HTTP/1.1 407 No\r\nProxy-Authenticate: "+p.challenge+"\r\nContent-Length: 0\r\n\r\n")
	}
	io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	cannedProxy{}.serve(tls.Server(conn, p.config))
}

// A comparison sets a Transport beside net/http through the same kind of proxy without
// authentication.
type comparison struct {
	desc   string
	target string
	bare   serving
	ours   serving
}

func comparisons() []comparison {
	return []comparison{
		{"unauthenticated", httpOrigin, cannedProxy{}, cannedProxy{}},
		{"NTLM", httpOrigin, cannedProxy{}, cannedNTLM{}},
		{"Basic", httpOrigin, cannedProxy{}, cannedProxy{`Basic realm="lab"`}},
		{"Digest", httpOrigin, cannedProxy{}, cannedProxy{`Digest realm="lab", nonce="abc", qop="auth"`}},
		{"tunnel", httpsOrigin, cannedTunnel{config: originConfig}, cannedTunnel{cannedProxy{`Basic realm="lab"`}, originConfig}},
	}
}

// BenchmarkCPU reports the processor's time for a warm request, as a ratio to bare net/http
// in the same run: the median of many rounds in turn, and that of all together. What the
// proxy takes is in both.
func BenchmarkCPU(b *testing.B) {
	for _, r := range comparisons() {
		for _, goroutines := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s-%d", r.desc, goroutines), func(b *testing.B) {
				bare := tcpBase(b, r.bare)
				bare.TLSClientConfig = ca.ClientConfig()
				b.Cleanup(bare.CloseIdleConnections)
				base := tcpBase(b, r.ours)
				base.TLSClientConfig = ca.ClientConfig()
				theirs := crowdOf(b, bare, r.target, goroutines)
				ours := crowdOf(b, wrapped(b, base), r.target, goroutines)
				var ratios []float64
				var before, after float64
				for b.Loop() {
					first, second, third, last := cpuOf(theirs), cpuOf(ours), cpuOf(ours), cpuOf(theirs)
					ratios = append(ratios, (second+third)/(first+last))
					before, after = before+first+last, after+second+third
				}
				slices.Sort(ratios)
				b.ReportMetric(ratios[len(ratios)/2], "ratio")
				b.ReportMetric(after/before, "total-ratio")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// crowdOf returns a func that makes warm requests over rt from goroutines at once.
func crowdOf(b *testing.B, rt http.RoundTripper, target string, goroutines int) func() {
	const requests = 1024 // much longer than the system's clock takes to tick
	gets := make([]func(), goroutines)
	var warming sync.WaitGroup
	for i := range gets {
		warming.Go(func() { gets[i] = getter(b, rt, target) })
	}
	warming.Wait()
	return func() {
		var wg sync.WaitGroup
		for _, get := range gets {
			wg.Go(func() {
				for range requests / goroutines {
					get()
				}
			})
		}
		wg.Wait()
	}
}

func cpuOf(f func()) float64 {
	start := cpuTime()
	f()
	return float64(cpuTime() - start)
}

func timeOf(f func()) float64 {
	start := time.Now()
	f()
	return float64(time.Since(start))
}

// BenchmarkTunnel reads through a tunnel what an origin server sends, by net/http alone
// through a proxy that asks nothing, and by a Transport, in turn. It reports the ratio of
// the times.
func BenchmarkTunnel(b *testing.B) {
	const size = 16 << 20
	origin := testproxy.StartOrigin(b, testproxy.OriginConfig{
		TLS: ca.ServerConfig("127.0.0.1"),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(size))
			block := make([]byte, 32<<10)
			for range size / len(block) {
				w.Write(block)
			}
		}),
	})
	users := &testproxy.Accounts{Passwords: map[string]string{user: password}}
	base := func(auth ...testproxy.Mechanism) *http.Transport {
		proxy := testproxy.Start(b, testproxy.Config{Auth: auth, NoRecord: true})
		base := &http.Transport{Proxy: http.ProxyURL(proxy.URL()), TLSClientConfig: ca.ClientConfig()}
		b.Cleanup(base.CloseIdleConnections)
		return base
	}
	theirs := getter(b, base(), origin.URL())
	ours := getter(b, wrapped(b, base(&testproxy.Basic{Accounts: users, Realm: "lab"})), origin.URL())
	var ratios []float64
	b.SetBytes(4 * size)
	for b.Loop() {
		first, second, third, last := timeOf(theirs), timeOf(ours), timeOf(ours), timeOf(theirs)
		ratios = append(ratios, (second+third)/(first+last))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
}
