package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
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

// listen serves p on loopback, where a request costs what it usually costs, and returns the
// address.
func listen(t testing.TB, p serving) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return ln.Addr().String()
}

// peerVariable names, in the environment of a process that only serves, its comparison.
const peerVariable = "PROXYAUTH_TEST_PEER"

// TestPeerProcess serves both proxies of a comparison until its standard input ends, in a
// process that apart has started.
func TestPeerProcess(t *testing.T) {
	desc := os.Getenv(peerVariable)
	if desc == "" {
		t.Skip("no benchmark has started this process")
	}
	for _, r := range comparisons() {
		if r.desc == desc {
			fmt.Println(listen(t, r.bare), listen(t, r.ours))
			io.Copy(io.Discard, os.Stdin)
		}
	}
}

// apart serves both proxies of r in another process, so that what they take is not counted.
func (r comparison) apart(b *testing.B) (bare, ours string) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestPeerProcess$", "-test.cpu=1")
	cmd.Env = append(os.Environ(), peerVariable+"="+r.desc)
	stdin, err := cmd.StdinPipe()
	require.NoError(b, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	_, err = fmt.Fscan(stdout, &bare, &ours)
	require.NoError(b, err)
	return bare, ours
}

// baseAt returns a Base whose proxy is at address.
func baseAt(address string) *http.Transport {
	base := cannedProxy{}.base()
	base.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // another process has another CA
	base.MaxIdleConnsPerHost = 100
	base.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
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
// authentication, or with an authorization of the same length.
type comparison struct {
	desc   string
	target string
	bare   serving
	ours   serving
	header []string // the authorization that net/http is given, if any
}

const (
	basicChallenge  = `Basic realm="lab"`
	digestChallenge = `Digest realm="lab", nonce="abc", qop="auth"`
	basicHeader     = "Basic YW5uOnMzY3JldA=="
	digestHeader    = `Digest username="ann", realm="lab", nonce="abc", cnonce="ABCDEFGHIJKLMNOPQRSTUVWXYZ", ` +
		`qop=auth, nc=00000001, uri="http://origin.example.com/", response="0123456789abcdef0123456789abcdef"`
)

func comparisons() []comparison {
	basic, digest := cannedProxy{basicChallenge}, cannedProxy{digestChallenge}
	return []comparison{
		{"unauthenticated", httpOrigin, cannedProxy{}, cannedProxy{}, nil},
		{"NTLM", httpOrigin, cannedProxy{}, cannedNTLM{}, nil},
		{"Basic", httpOrigin, cannedProxy{}, basic, nil},
		{"Basic in both", httpOrigin, basic, basic, []string{basicHeader}},
		{"Digest", httpOrigin, cannedProxy{}, digest, nil},
		{"Digest in both", httpOrigin, digest, digest, []string{digestHeader}},
		{"tunnel", httpsOrigin, cannedTunnel{config: originConfig}, cannedTunnel{basic, originConfig}, nil},
	}
}

// BenchmarkCPU reports the processor's time for a warm request, as a ratio to bare net/http
// in the same run: the median of many rounds in turn, and that of all together. What the
// proxy takes is in both, unless it is a process apart.
func BenchmarkCPU(b *testing.B) {
	for _, r := range comparisons() {
		for _, goroutines := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s-%d", r.desc, goroutines), func(b *testing.B) {
				r.measure(b, goroutines, listen(b, r.bare), listen(b, r.ours))
			})
			b.Run(fmt.Sprintf("%s-%d, proxy apart", r.desc, goroutines), func(b *testing.B) {
				bare, ours := r.apart(b)
				r.measure(b, goroutines, bare, ours)
			})
		}
	}
}

func (r comparison) measure(b *testing.B, goroutines int, bareAddress, ourAddress string) {
	bare := baseAt(bareAddress)
	b.Cleanup(bare.CloseIdleConnections)
	theirs := crowdOf(b, bare, r.target, goroutines, r.header...)
	ours := crowdOf(b, wrapped(b, baseAt(ourAddress)), r.target, goroutines)
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
}

// crowdOf returns a func that makes warm requests over rt from goroutines at once.
func crowdOf(b *testing.B, rt http.RoundTripper, target string, goroutines int, authorization ...string) func() {
	const requests = 1024 // much longer than the system's clock takes to tick
	gets := make([]func(), goroutines)
	var warming sync.WaitGroup
	for i := range gets {
		warming.Go(func() { gets[i] = getter(b, rt, target, authorization...) })
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
