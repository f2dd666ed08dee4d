package httpmsg_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/httpmsg"
)

func TestTarget(t *testing.T) {
	for _, tt := range []struct {
		desc   string
		method string
		url    string
		host   string
		want   string
	}{
		{"path and query", "GET", "http://origin.example.com/a/b?c=d#e", "", "http://origin.example.com/a/b?c=d"},
		{"no path", "GET", "http://origin.example.com", "", "http://origin.example.com/"},
		{"port", "POST", "http://origin.example.com:8080/", "", "http://origin.example.com:8080/"},
		{"Host of its own", "GET", "http://192.0.2.1/a", "origin.example.com", "http://origin.example.com/a"},
		{"no user info", "GET", "http://ann:s3cret@origin.example.com/", "", "http://origin.example.com/"},
		{"punycode", "GET", "http://bücher.example/ü", "", "http://xn--bcher-kva.example/%C3%BC"},
		{"no zone", "GET", "http://[fe80::1%25en0]:8080/", "", "http://[fe80::1]:8080/"},
		{"escapes are kept", "GET", "http://a/%2f%41", "", "http://a/%2f%41"},
		{"opaque", "GET", "http:opaque?q", "a", "opaque?q"},
		{"opaque CONNECT", "CONNECT", "http:a:80", "a", "a:80"},
		{"host that can't be sent", "GET", "http://a/", "xn--\u212a:1", ""},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			u, err := url.Parse(tt.url)
			require.NoError(t, err)
			require.Equal(t, tt.want, httpmsg.Target(&http.Request{Method: tt.method, URL: u, Host: tt.host}))
		})
	}
}

// FuzzTargetIsWhatNetHTTPWrites compares the request-target that schemes are told, of which
// Digest makes a hash, with the one that net/http writes.
func FuzzTargetIsWhatNetHTTPWrites(f *testing.F) {
	for _, target := range []string{
		"http://origin.example.com", "http://origin.example.com/a/b?c=d#e", "http://origin.example.com:8080/?", "http://a//double",
		"http://[2001:db8::1%25eth0]:80/", "http://bücher.example/%2f/ü", "http:opaque", "http:?q", "http://ann:s3cret@a/",
		"http://%41/%zz", "HTTP://Origin/\u00a0",
	} {
		f.Add(target, "", "GET")
		f.Add(target, "other.example.com:81", "CONNECT")
	}
	f.Add("http://a/", "xn--\u212a:1", "GET")
	f.Add("http://a/", "a b", "GET")
	f.Fuzz(func(t *testing.T, target, host, method string) {
		req, err := http.NewRequestWithContext(t.Context(), method, target, nil)
		if err != nil || req.URL.Scheme != "http" {
			t.Skip()
		}
		if host != "" {
			req.Host = host
		}
		got := httpmsg.Target(req)
		var written strings.Builder
		if req.WriteProxy(&written) != nil {
			return // whatever it is: this can't be sent
		}
		line, _, _ := strings.Cut(written.String(), "\r\n")
		require.Equal(t, line, req.Method+" "+got+" HTTP/1.1")
	})
}

func TestReplayable(t *testing.T) {
	for _, tt := range []struct {
		desc         string
		method, body string
		header       http.Header
		unsized      bool
		want, long   bool
	}{
		{desc: "GET", method: "GET", want: true},
		{desc: "no method", want: true},
		{desc: "POST", method: "POST"},
		{desc: "POST with a key", method: "POST", header: http.Header{"Idempotency-Key": nil}, want: true},
		{desc: "short body", method: "GET", body: text(64<<10 - 1), want: true},
		{desc: "long body", method: "GET", body: text(64 << 10), want: true, long: true},
		{desc: "body that can be read once", method: "GET", body: "x", unsized: true, long: true},
	} {
		var body io.Reader
		if tt.body != "" {
			body = strings.NewReader(tt.body)
		}
		if tt.unsized {
			body = io.MultiReader(body)
		}
		r, err := http.NewRequest(tt.method, "http://origin.example.com/", body)
		require.NoError(t, err)
		maps.Copy(r.Header, tt.header)
		require.Equal(t, tt.want, httpmsg.IsReplayable(r), tt.desc)
		require.Equal(t, tt.long, httpmsg.IsLong(r), tt.desc)
	}
}

func TestHost(t *testing.T) {
	r, err := http.NewRequest(http.MethodGet, "http://Origin.example.com/", nil)
	require.NoError(t, err)
	require.Equal(t, "origin.example.com", httpmsg.Host(r))
	r.Host = "Other.example.com"
	require.Equal(t, "other.example.com", httpmsg.Host(r))
}

func TestProbe(t *testing.T) {
	for _, tt := range []struct {
		desc   string
		header http.Header
		want   http.Header
	}{
		{"nothing of the request", http.Header{"Authorization": {"a"}, "Cookie": {"b"}, "Proxy-Authorization": {"c"}, "Expect": {"100-continue"}},
			http.Header{"Proxy-Connection": {"keep-alive"}}},
		{"its agent", http.Header{"User-Agent": {"curl/8"}}, http.Header{"Proxy-Connection": {"keep-alive"}, "User-Agent": {"curl/8"}}},
		{"no agent", http.Header{"User-Agent": nil}, http.Header{"Proxy-Connection": {"keep-alive"}, "User-Agent": nil}},
		{"no header", nil, http.Header{"Proxy-Connection": {"keep-alive"}}},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			r, err := http.NewRequest(http.MethodPut, "http://origin.example.com/a?b", newBody())
			require.NoError(t, err)
			r.Header, r.Host, r.Close = tt.header, "other.example.com", true
			header := tt.header.Clone()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p := httpmsg.Probe(ctx, r)
			require.Equal(t, tt.want, p.Header)
			require.Equal(t, header, r.Header)
			require.Equal(t, ctx, p.Context())
			require.False(t, httpmsg.HasBody(p))
			require.False(t, p.Close)
			require.Equal(t, "GET http://other.example.com/a?b", p.Method+" "+httpmsg.Target(p))
		})
	}
}

func TestHideEchoKeepsErrorsOfTheNetwork(t *testing.T) {
	refused := &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}
	for _, tt := range []struct {
		desc string
		err  error
	}{
		{"end", io.EOF},
		{"broken off", io.ErrUnexpectedEOF},
		{"alert", refused},
		{"alert in an error of net/http", fmt.Errorf("net/http: broken: %w", refused)},
		{"timeout", context.DeadlineExceeded},
		{"left", context.Canceled},
		{"closed", net.ErrClosed},
	} {
		t.Run(tt.desc, func(t *testing.T) { require.Equal(t, tt.err, httpmsg.HideEcho(tt.err)) })
	}
}

// Releases of Go differ in what they quote.
func TestHideEchoOfUnquotedText(t *testing.T) {
	for _, text := range []string{"malformed MIME header line: " + secret, "http: bad trailer key " + secret, `unsupported "` + secret + `"`} {
		err := fmt.Errorf("net/http: broken: %w", errors.New(text))
		require.Equal(t, httpmsg.ErrGarbage, httpmsg.HideEcho(err))
	}
}

// secret is what a peer repeats.
const secret = "YW5uOnMzY3JldA"

var echoes = []string{
	secret, secret + "\r\n\r\n", "HTTP/1.1 " + secret + "\r\n\r\n", "HTTP/" + secret + " 200 OK\r\n\r\n", "SSH-2.0-" + secret + " x\r\n\r\n",
	"HTTP/1.1 200 OK\r\n" + secret + "\r\n\r\n", "HTTP/1.1 200 OK\r\n " + secret + ": x\r\n\r\n", "HTTP/1.1 200 OK\r\n" + secret + " : x\r\n\r\n",
	"HTTP/1.1 200 OK\r\nA: b\r\n" + secret + "\r\n\r\n", "HTTP/1.1 200 OK\r\nA: \x00" + secret + "\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: " + secret + "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: " + secret + "\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + secret + "\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: a\r\nTransfer-Encoding: " + secret + "\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length, " + secret + "\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + secret + "\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n" + secret + "\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + secret + "\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + secret + ": x\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + secret, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + secret,
}

// answer returns the error of net/http for an answer, or for its body.
func answer(text string) error {
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	return err
}

// FuzzHideEchoShowsNothingOfThePeer looks for what a peer has sent in the errors that
// net/http makes of it.
func FuzzHideEchoShowsNothingOfThePeer(f *testing.F) {
	for _, text := range echoes {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if err := answer(text); err != nil {
			require.NotContains(t, httpmsg.HideEcho(err).Error(), secret)
		}
	})
}

// The errors of net/http.Transport are those of ReadResponse in others.
func TestHideEchoOfATransport(t *testing.T) {
	hidden := 0
	for _, text := range echoes {
		err := roundTrip(text)
		if err == nil {
			continue
		}
		shown := httpmsg.HideEcho(err)
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", shown, shown, shown), secret, "%q", text)
		if strings.Contains(err.Error(), secret) {
			hidden++
			require.Equal(t, httpmsg.ErrGarbage, shown, "%q", text)
		}
	}
	require.Greater(t, hidden, 8, "net/http repeats what it was sent")
}

// roundTrip sends a request to a peer that gives an answer and closes.
func roundTrip(text string) error {
	tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			if _, err := http.ReadRequest(bufio.NewReader(server)); err == nil {
				io.WriteString(server, text)
			}
		}()
		return client, nil
	}}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(&http.Request{URL: &url.URL{Scheme: "http", Host: "a"}, Header: http.Header{}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	return err
}
