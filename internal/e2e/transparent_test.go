package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
)

// TestTransparent plays random scripts twice: by a program with net/http alone, through a
// proxy that asks nothing, and by one with a Transport, through proxies that ask nothing, or
// for each scheme. Neither the program nor the proxy sees a difference, but for the
// authentication: answers, bodies, errors, times, hooks, requests, connections. In tunnels the origin
// server speaks HTTP/1 or HTTP/2.
func TestTransparent(t *testing.T) {
	t.Parallel()
	first, n := seeds(t, 400)
	for seed := first; seed < first+n; seed++ {
		t.Run(fmt.Sprintf("PROXYAUTH_SEED=%d", seed), func(t *testing.T) {
			want, hooks := play(t, seed, nil)
			for _, scheme := range []string{"", "Basic", "Digest", "NTLM"} {
				if scheme != "" && strings.Contains(want, "error") {
					break // what is lost in a handshake is repeated
				}
				got, called := play(t, seed, &scheme)
				if scheme != "" { // each leg has some
					called = hooks
				}
				for tries := 0; tries < 10 && (got != want || called != hooks); tries++ {
					want, hooks = play(t, seed, nil) // net/http is not always of one mind
				}
				require.Equal(t, want, got, "scheme %q", scheme)
				require.Equal(t, hooks, called)
			}
		})
	}
}

// play returns what the program and the proxy see of a script, and the hooks that were called;
// with a scheme, that of a program with a Transport.
func play(t *testing.T, seed uint64, scheme *string) (seen, hooks string) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(seed)
		network := testproxy.NewNetwork()
		ln, err := network.Listen("proxy.example.com:3128")
		require.NoError(t, err)
		p := &scriptedProxy{script: s, served: make(map[net.Conn]bool), open: make(map[net.Conn]bool), known: make(map[int]bool), ntlm: &ntlmserver.Server{Users: map[string]string{user: password}}}
		go p.serve(ln)
		defer ln.Close()

		proxyURL := &url.URL{Scheme: "http", Host: "proxy.example.com:3128"}
		if s.tlsProxy {
			proxyURL.Scheme = "https"
		}
		base := &http.Transport{
			Proxy:                 http.ProxyURL(proxyURL),
			DialContext:           network.DialContext,
			TLSClientConfig:       ca.ClientConfig(),
			MaxIdleConnsPerHost:   2,
			ExpectContinueTimeout: time.Second + 19,
			ForceAttemptHTTP2:     s.http2,
		}
		for _, set := range s.settings {
			set(base)
		}
		pr := &scriptedProgram{script: s, rt: base}
		if scheme != nil {
			p.scheme, pr.rt = *scheme, wrapped(t, base)
		}
		pr.begin(t)
		synctest.Wait()
		p.mu.Lock()
		p.seen, pr.hooks, p.start, pr.start = nil, nil, time.Now(), time.Now()
		clear(p.served)
		p.mu.Unlock()
		pr.run(t)
		pr.record("%d connections are left", p.hangUp())
		time.Sleep(time.Minute)
		slices.Sort(pr.hooks)
		if s.http2 { // what comes at once has no order
			slices.Sort(p.seen)
		}
		seen = strings.Join(append(pr.seen, p.seen...), "\n")
		hooks = strings.Join(pr.hooks, "\n")
	})
	return seen, hooks
}

// A scriptedProgram plays the part of the program.
type scriptedProgram struct {
	script *randomScript
	rt     http.RoundTripper
	start  time.Time

	mu    sync.Mutex
	seen  []string
	hooks []string // in no order: net/http calls them in several goroutines
}

func (pr *scriptedProgram) record(format string, args ...any) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.seen = append(pr.seen, fmt.Sprintf("program, %v: ", time.Since(pr.start))+fmt.Sprintf(format, args...))
}

// hook notes a call of one of httptrace's hooks.
func (pr *scriptedProgram) hook(format string, args ...any) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.hooks = append(pr.hooks, fmt.Sprintf("%v: ", time.Since(pr.start))+fmt.Sprintf(format, args...))
}

func (pr *scriptedProgram) origin() string {
	if pr.script.tunnel {
		return httpsOrigin
	}
	return httpOrigin
}

// begin makes the proxy known, for each host.
func (pr *scriptedProgram) begin(t *testing.T) {
	for _, target := range []string{httpOrigin, "http://other.example.com:81", pr.origin()} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		require.NoError(t, err)
		resp, err := pr.rt.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	if !pr.script.idle {
		synctest.Wait()
		pr.closeIdle()
	}
}

func (pr *scriptedProgram) closeIdle() {
	pr.rt.(interface{ CloseIdleConnections() }).CloseIdleConnections()
}

func (pr *scriptedProgram) run(t *testing.T) {
	do := pr.rt.RoundTrip
	if pr.script.client {
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		do = (&http.Client{Transport: pr.rt, Jar: jar}).Do
	}
	for i, step := range pr.script.steps {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		ctx, cancelStep := step.limit(ctx)
		pr.step(ctx, t, do, i, step)
		cancelStep()
		cancel()
		time.Sleep(step.pause)
	}
	time.Sleep(time.Minute)
	pr.closeIdle()
	synctest.Wait()
}

func (pr *scriptedProgram) step(ctx context.Context, t *testing.T, do func(*http.Request) (*http.Response, error), i int, step scriptStep) {
	req, err := http.NewRequestWithContext(pr.hooked(ctx), step.method, pr.origin()+step.target, nil)
	require.NoError(t, err)
	req.Header[stepID] = []string{strconv.Itoa(i)}
	var closes atomic.Int64
	if step.body != nil {
		open := func() (io.ReadCloser, error) {
			body, err := step.body()
			return &countedBody{body, &closes}, err
		}
		req.Body, _ = open()
		if req.ContentLength = step.length; step.again {
			req.GetBody = open
		}
	}
	for _, change := range step.changes {
		change(req)
	}
	resp, err := do(req)
	if err != nil {
		pr.record("error %s", kindOfError(err))
	} else {
		pr.answered(req, resp, step)
	}
	time.Sleep(time.Second)
	if step.body != nil && closes.Load() == 0 {
		pr.record("the body was not closed")
	}
}

// answered notes an answer, and reads and closes its body.
func (pr *scriptedProgram) answered(req *http.Request, resp *http.Response, step scriptStep) {
	_, isConn := resp.Body.(io.Writer)
	own := resp.Request == req || pr.script.http2 // where net/http repeats a request, it does not say so
	pr.record("%s %q %v, length %d %v, close %t, uncompressed %t, no body %t, connection %t, TLS %t, own request %t", resp.Proto, resp.Status, resp.Header,
		resp.ContentLength, resp.TransferEncoding, resp.Close, resp.Uncompressed, resp.Body == http.NoBody, isConn, resp.TLS != nil, own)
	if !isConn {
		n, err := step.read(resp.Body)
		pr.record("read %d, %s, trailer %v", n, kindOfError(err), resp.Trailer)
	}
	pr.record("close %v", resp.Body.Close())
}

// hooked lets httptrace's hooks be noted.
func (pr *scriptedProgram) hooked(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              func(i httptrace.GotConnInfo) { pr.hook("GotConn %t %t", i.Reused, i.WasIdle) },
		WroteHeaderField:     func(name string, values []string) { pr.hook("WroteHeaderField %s %d", name, len(values)) },
		WroteHeaders:         func() { pr.hook("WroteHeaders") },
		WroteRequest:         func(i httptrace.WroteRequestInfo) { pr.hook("WroteRequest %t", i.Err != nil) },
		GotFirstResponseByte: func() { pr.hook("GotFirstResponseByte") },
		Got100Continue:       func() { pr.hook("Got100Continue") },
	})
}

// kindOfError returns what a program may want to know of an error.
func kindOfError(err error) (kind string) {
	if err == nil {
		return "ok"
	}
	for _, e := range []error{context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, http.ErrBodyReadAfterClose, errScript} {
		if errors.Is(err, e) {
			kind += fmt.Sprintf("%v, ", e)
		}
	}
	ne, ok := errors.AsType[net.Error](err)
	return kind + fmt.Sprintf("timeout %t", ok && ne.Timeout())
}
