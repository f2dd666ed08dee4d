package connpool_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/stretchr/testify/require"
)

// These tests are of net/http alone: the package relies on what they find. One that fails
// with a new version of Go says what has to be looked at.

// bare returns a ClientConn to a proxy that gives one answer to each request.
func bare(t *testing.T, set func(*http.Transport), answers ...string) (_ *http.ClientConn, lines *[]string) {
	client, server := testproxy.NewNetwork().Pipe()
	lines = new([]string)
	go func() {
		defer server.Close()
		br := bufio.NewReader(server)
		for _, answer := range answers {
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			*lines = append(*lines, fmt.Sprint(req.Method, " ", req.RequestURI, " ", req.Header["Proxy-Authorization"]))
			io.Copy(io.Discard, req.Body)
			io.WriteString(server, answer)
		}
		io.Copy(server, br)
	}()
	tr := &http.Transport{
		Proxy:       http.ProxyURL(&url.URL{Scheme: "http", Host: proxyAddr}),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil },
	}
	if set != nil {
		set(tr)
	}
	cc, err := tr.NewClientConn(t.Context(), "http", proxyAddr)
	require.NoError(t, err)
	return cc, lines
}

func send(t *testing.T, cc *http.ClientConn) *http.Response {
	req, err := http.NewRequestWithContext(t.Context(), "GET", origin, nil)
	require.NoError(t, err)
	req.Header.Set("Proxy-Authorization", "Basic x")
	resp, err := cc.RoundTrip(req)
	require.NoError(t, err)
	return resp
}

func TestClientConnWritesTheAbsoluteForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cc, lines := bare(t, nil, empty, empty)
		send(t, cc)
		send(t, cc)
		require.Equal(t, []string{"GET " + origin + " [Basic x]", "GET " + origin + " [Basic x]"}, *lines)
		cc.Close()
	})
}

func TestClientConnAfterAnAnswer(t *testing.T) {
	const length, text = "Content-Length: 2\r\n\r\nno", "no"
	for _, test := range []struct {
		desc, answer, body string
		want               bool // available
	}{
		{"HTTP/1.1", "HTTP/1.1 407 No\r\n" + length, text, true},
		{"no body", "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", "", true},
		{"close", "HTTP/1.1 407 No\r\nConnection: close\r\n" + length, text, false},
		{"Proxy-Connection is not known", "HTTP/1.1 407 No\r\nProxy-Connection: close\r\n" + length, text, true},
		{"HTTP/1.0", "HTTP/1.0 407 No\r\n" + length, text, false},
		{"HTTP/1.0 kept alive", "HTTP/1.0 407 No\r\nConnection: keep-alive\r\n" + length, text, true},
		{"HTTP/1.0 of squid 2", "HTTP/1.0 407 No\r\nProxy-Connection: keep-alive\r\n" + length, text, false},
		{"103", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n" + length, text, true},
		{"trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n2\r\nno\r\n0\r\nT: v\r\n\r\n", text, true},
	} {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cc, _ := bare(t, nil, test.answer)
				text, err := io.ReadAll(send(t, cc).Body)
				require.NoError(t, err)
				require.Equal(t, test.body, string(text))
				require.Equal(t, test.want, cc.Available() == 1)
				synctest.Wait()
				require.Equal(t, test.want, cc.Err() == nil)
				cc.Close()
			})
		})
	}
}

func TestClientConnSettings(t *testing.T) {
	for _, test := range []struct {
		desc string
		set  func(*http.Transport)
	}{
		{"DisableKeepAlives", func(t *http.Transport) { t.DisableKeepAlives = true }},
		{"MaxIdleConnsPerHost", func(t *http.Transport) { t.MaxIdleConnsPerHost = -1 }},
	} {
		t.Run(test.desc+" ends it", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cc, _ := bare(t, test.set, empty)
				send(t, cc)
				synctest.Wait()
				require.Error(t, cc.Err())
			})
		})
	}
}

func TestClientConnUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cc, _ := bare(t, nil, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello")
		resp := send(t, cc)
		synctest.Wait()
		require.Error(t, cc.Err(), "net/http has let go of it")
		cc.Close()
		rw := resp.Body.(io.ReadWriteCloser)
		_, err := io.WriteString(rw, " you")
		require.NoError(t, err)
		buf := make([]byte, len("hello you"))
		_, err = io.ReadFull(rw, buf)
		require.NoError(t, err)
		require.Equal(t, "hello you", string(buf))
		rw.Close()
	})
}

func TestClientConnHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got events
		cc, _ := bare(t, nil, ok)
		req, _ := http.NewRequestWithContext(got.trace(t.Context(), "a"), "GET", origin, nil)
		resp, err := cc.RoundTrip(req)
		require.NoError(t, err)
		io.ReadAll(resp.Body)
		synctest.Wait()
		require.Equal(t, []string{"a: GotFirstResponseByte", "a: PutIdleConn <nil>"}, got.list)
		cc.Close()
	})
}

// What Conn.RoundTrip makes up for.
func TestClientConnOmissions(t *testing.T) {
	t.Run("a failed RoundTrip leaves something in the context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cc, _ := bare(t, nil)
			cc.Close()
			ctx := &watched{Context: t.Context(), done: make(chan struct{})}
			req, _ := http.NewRequestWithContext(ctx, "GET", origin, nil)
			_, err := cc.RoundTrip(req)
			require.Error(t, err)
			require.EqualValues(t, 1, ctx.children.Load())
		})
	})
	t.Run("the body of an invalid request is not closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cc, _ := bare(t, nil)
			b := newBody("text", false)
			req, _ := http.NewRequestWithContext(t.Context(), "POST", origin, b)
			req.Header.Set("X", "a\nb")
			_, err := cc.RoundTrip(req)
			require.Error(t, err)
			select {
			case <-b.closed:
				t.Error("closed")
			default:
			}
			cc.Close()
		})
	})
	t.Run("a 408 on an idle connection has an error without a name", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cc, _ := bare(t, nil, empty+"HTTP/1.1 408 Request Timeout\r\n\r\n")
			send(t, cc)
			synctest.Wait()
			_, err := cc.RoundTrip(&http.Request{Method: "GET", URL: &url.URL{Scheme: "http", Host: "a"}, Header: http.Header{}})
			require.EqualError(t, err, "http: server closed idle connection")
		})
	})
	t.Run("large bodies reach ReadFrom after the header", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var conn *readerFrom
			cc, _ := bare(t, func(tr *http.Transport) {
				dial := tr.DialContext
				tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					raw, err := dial(ctx, network, addr)
					conn = &readerFrom{Conn: raw}
					return conn, err
				}
			}, empty)
			type plain struct{ io.Reader }
			req, _ := http.NewRequestWithContext(t.Context(), "PUT", origin, plain{strings.NewReader(strings.Repeat("x", 50_000))})
			req.ContentLength = 50_000
			go cc.RoundTrip(req)
			synctest.Wait()
			require.NotNil(t, conn.got.Load())
			cc.Close()
		})
	})
}
