package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// TestBodyThatFails sends bodies that can't be read, or are not as long as the request says.
// The error is that of net/http, and it says nothing of a password that the proxy has
// accepted: the next request is not delayed.
func TestBodyThatFails(t *testing.T) {
	t.Parallel()
	errRead := errors.New(`malformed "file"`) // looks like an error of net/http about an answer
	open := func(name string) io.Reader {
		file, err := os.Open(name)
		require.NoError(t, err)
		return file
	}
	for _, tt := range []struct {
		desc   string
		body   func() io.Reader
		length int64
		want   string
	}{
		{"not readable", func() io.Reader { return iotest.ErrReader(errRead) }, -1, errRead.Error()},
		{"broken off", func() io.Reader { return io.MultiReader(strings.NewReader("body"), iotest.ErrReader(errRead)) }, -1, errRead.Error()},
		{"broken off, with a length", func() io.Reader { return io.MultiReader(strings.NewReader("body"), iotest.ErrReader(errRead)) }, 10, errRead.Error()},
		{"a closed file", func() io.Reader { file := open(os.DevNull); file.(io.Closer).Close(); return file }, 10, "file already closed"},
		{"a directory", func() io.Reader { return open(".") }, 10, "read ."},
		{"too short", func() io.Reader { return strings.NewReader("body") }, 10, "ContentLength=10 with Body length 4"},
		{"too long", func() io.Reader { return strings.NewReader("body") }, 3, "ContentLength=3 with Body length 4"},
	} {
		for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
			for _, own := range []bool{false, true} {
				desc := tt.desc + ", " + scheme
				if own {
					desc += ", authenticated by the caller"
				}
				t.Run(desc, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{mechanismOf(scheme)}})
						l.get(httpOrigin + "/")
						for range 10 {
							body, ok := tt.body().(io.ReadCloser)
							if !ok {
								body = io.NopCloser(tt.body())
							}
							req := l.request(http.MethodPost, httpOrigin+"/", body)
							req.ContentLength = tt.length
							if own {
								req.Header.Set("Proxy-Authorization", "Basic YW5uOnMzY3JldA==")
							}
							resp, err := l.rt.RoundTrip(req)
							if tt.length == 3 && err == nil { // the proxy was faster
								require.NoError(t, resp.Body.Close())
								continue
							}
							requireGivenUp(t, err, tt.want)
							_, ok = errors.AsType[*proxyauth.Error](err)
							require.False(t, ok, "not a failure at the proxy: %v", err)
						}
						l.requireNothingCounted()
					})
				})
			}
		}
	}
}

// A GetBody that returns no body, or one of another length, ends its request alone.
func TestCopyOfBodyThatFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc string
		body func() io.ReadCloser
		want string
	}{
		{"nil", func() io.ReadCloser { return nil }, "ContentLength=4 with Body length 0"},
		{"none", func() io.ReadCloser { return http.NoBody }, "ContentLength=4 with Body length 0"},
		{"too short", func() io.ReadCloser { return io.NopCloser(strings.NewReader("bod")) }, "ContentLength=4 with Body length 3"},
	} {
		for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
			bubble(t, tt.desc+", "+scheme, func(t *testing.T) {
				l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{mechanismOf(scheme)}})
				req := l.request(http.MethodPost, httpOrigin+"/", strings.NewReader("body"))
				req.GetBody = func() (io.ReadCloser, error) { return tt.body(), nil }
				_, err := l.rt.RoundTrip(req)
				requireGivenUp(t, err, tt.want)
				_, ok := errors.AsType[*proxyauth.Error](err)
				require.False(t, ok, "not a failure at the proxy: %v", err)
				l.get(httpOrigin + "/")
			})
		}
	}
}

// TestFileThatFails sends files that can't be read to a proxy over TCP, where the system sends
// files and does not say whether it is the file or the connection that has failed.
func TestFileThatFails(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, make([]byte, 1000), 0o600))
	open := func(name string, flag int) *os.File {
		file, err := os.OpenFile(name, flag, 0)
		require.NoError(t, err)
		return file
	}
	for desc, body := range map[string]func() io.ReadCloser{
		"opened for writing alone": func() io.ReadCloser { return open(name, os.O_WRONLY) },
		"a device opened so":       func() io.ReadCloser { return open(os.DevNull, os.O_WRONLY) },
		"a directory":              func() io.ReadCloser { return open(".", os.O_RDONLY) },
		"closed":                   func() io.ReadCloser { file := open(name, os.O_RDONLY); file.Close(); return file },
	} {
		for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
			t.Run(desc+", "+scheme, func(t *testing.T) {
				for _, secure := range []bool{false, true} {
					origin := testproxy.StartOrigin(t, testproxy.OriginConfig{})
					if secure {
						origin = testproxy.StartOrigin(t, testproxy.OriginConfig{TLS: ca.ServerConfig("127.0.0.1")})
					}
					m := mechanismOf(scheme)
					(&lab{users: &testproxy.Accounts{Passwords: map[string]string{user: password}}}).adopt(m)
					proxy := testproxy.Start(t, testproxy.Config{Auth: []testproxy.Mechanism{m}})
					rt := wrapped(t, &http.Transport{Proxy: http.ProxyURL(proxy.URL()), TLSClientConfig: ca.ClientConfig()})
					send := func(method string, body io.ReadCloser) error {
						req, err := http.NewRequestWithContext(t.Context(), method, origin.URL(), body)
						require.NoError(t, err)
						if body != nil {
							req.ContentLength = 1000
						}
						resp, err := rt.RoundTrip(req)
						if err == nil {
							err = resp.Body.Close()
						}
						return err
					}
					require.NoError(t, send(http.MethodGet, nil))
					for range 4 {
						err := send(http.MethodPut, body())
						require.Error(t, err)
						_, ok := errors.AsType[*proxyauth.Error](err)
						require.False(t, ok, "not a failure at the proxy: %v", err)
					}
					for _, stats := range rt.Stats() {
						require.Zero(t, stats.Doubted)
						require.Empty(t, stats.Failures)
					}
					require.NoError(t, send(http.MethodGet, nil))
				}
			})
		}
	}
}

// requireGivenUp checks the error of a request that net/http has given up, perhaps with its
// connection: it is want, unless net/http sees first that nothing can be read there any more.
func requireGivenUp(t testing.TB, err error, want string) {
	t.Helper()
	require.Error(t, err)
	if !strings.HasPrefix(err.Error(), "net/http: Transport failed to read from server: ") {
		require.ErrorContains(t, err, want)
	}
}

// requireNothingCounted checks that no request counts as one that has failed at the proxy, and
// that the next one is not delayed.
func (l *lab) requireNothingCounted() {
	l.t.Helper()
	for _, stats := range l.rt.Stats() {
		require.Zero(l.t, stats.Doubted)
		require.Empty(l.t, stats.Failures)
	}
	start := time.Now()
	l.get(httpOrigin + "/")
	require.Zero(l.t, time.Since(start))
}

// TestRequestThatCannotBeWritten sends requests that net/http does not take. The error is
// its own, the next request is not delayed, and a connection is not given up for a request
// of which nothing was written.
func TestRequestThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc   string
		change func(*http.Request)
		want   string
		kept   bool // net/http sees it before it takes the connection
	}{
		{"method", func(r *http.Request) { r.Method = "G T" }, `invalid method "G T"`, true},
		{"name of a field", func(r *http.Request) { r.Header["a b"] = []string{"c"} }, `invalid header field name "a b"`, true},
		{"value of a field", func(r *http.Request) { r.Header["X"] = []string{"a\nb"} }, `invalid header field value for "X"`, true},
		{"nil Header", func(r *http.Request) { r.Header = nil }, "nil Request.Header", true},
		{"Host", func(r *http.Request) { r.Host = "origin example.com" }, "invalid Host header", false},
		{"length without a body", func(r *http.Request) { r.ContentLength = 4 }, "ContentLength=4 with nil Body", false},
	} {
		for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
			for _, cold := range []bool{true, false} {
				bubble(t, fmt.Sprintf("%s, %s, cold %t", tt.desc, scheme, cold), func(t *testing.T) {
					l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{mechanismOf(scheme)}})
					if !cold {
						l.get(httpOrigin + "/")
					}
					arrived := len(l.origin.Requests())
					for range 5 {
						before := len(l.proxy.Conns())
						req := l.request(http.MethodGet, httpOrigin+"/", nil)
						tt.change(req)
						_, err := l.rt.RoundTrip(req)
						requireGivenUp(t, err, tt.want)
						_, ok := errors.AsType[*proxyauth.Error](err)
						require.False(t, ok, "not a failure at the proxy: %v", err)
						if tt.kept && !cold {
							require.Len(t, l.proxy.Conns(), before)
						}
					}
					require.Len(t, l.origin.Requests(), arrived)
					l.requireNothingCounted()
				})
			}
		}
	}
}

// A request that is ended by its own hook says as little.
func TestHookThatEndsTheRequest(t *testing.T) {
	t.Parallel()
	errHook := errors.New("no hints, please")
	for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
		for _, own := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, authenticated by the caller %t", scheme, own), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{mechanismOf(scheme)}})
					l.get(httpOrigin + "/")
					l.proxy.SetFault(testproxy.On(http.StatusOK, testproxy.Interim(1, "103 Early Hints")))
					calls := 0
					ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
						Got1xxResponse: func(int, textproto.MIMEHeader) error { calls++; return errHook },
					})
					for n := range 10 {
						req := l.request(http.MethodGet, httpOrigin+"/", nil).WithContext(ctx)
						if own {
							req.Header.Set("Proxy-Authorization", "Basic YW5uOnMzY3JldA==")
							l.proxy.SetFault(testproxy.Always(testproxy.Interim(1, "103 Early Hints")))
						}
						_, err := l.rt.RoundTrip(req)
						require.ErrorIs(t, err, errHook)
						_, ok := errors.AsType[*proxyauth.Error](err)
						require.False(t, ok, "not a failure at the proxy: %v", err)
						require.Equal(t, n+1, calls)
					}
					l.requireNothingCounted()
				})
			})
		}
	}
}

// An answer that Base does not wait for says nothing of a password that the proxy has accepted:
// no request is delayed, and none is repeated.
func TestAnswerThatComesAfterResponseHeaderTimeout(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
		for _, fresh := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, new connections %t", scheme, fresh), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{mechanismOf(scheme)}})
					l.base.ResponseHeaderTimeout = 5 * time.Second
					l.get(httpOrigin + "/")
					l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
						if leg.Status == http.StatusOK && strings.HasSuffix(leg.Target, "/slow") {
							time.Sleep(10 * time.Second)
						}
						return nil
					})
					for range 10 {
						if fresh {
							l.rt.CloseIdleConnections()
						}
						start := time.Now()
						_, err := l.rt.RoundTrip(l.request(http.MethodPost, httpOrigin+"/slow", strings.NewReader("body")))
						requireCause(t, proxyauth.CauseProxyFailed, err)
						require.Equal(t, 5*time.Second, time.Since(start))
					}
					require.Zero(t, l.rt.Stats()[0].Doubted)
					start := time.Now()
					l.get(httpOrigin + "/")
					require.Zero(t, time.Since(start))
					time.Sleep(time.Minute)
				})
			})
		}
	}
}
