package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/secretscan"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
)

const echoed = "Basic YW5uOnMzY3JldA=="

// What a peer echoes of an authorization is in no error, however it is unwrapped, nor in
// the log, the trace and the hint.
func TestEchoIsInNoError(t *testing.T) {
	t.Parallel()
	const chunked = "HTTP/1.1 %s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
	for desc, action := range map[string]*testproxy.Action{
		"scheme's name":      refusing(`YW5uOnMzY3JldA realm="lab"`),
		"refusal's scheme":   refusing(`YW5uOnMzY3JldA realm="lab"`),
		"password as scheme": refusing(password+` realm="lab"`, "X"+password),
		"realm":              testproxy.Offer(`Basic realm="` + echoed + `"`),
		"malformed":          testproxy.Offer(echoed + "\x00"),
		"trailer":            testproxy.Garbage(fmt.Sprintf(chunked, "200 OK") + echoed + "\r\n\r\n"),
		"trailer of a 407":   testproxy.Garbage(fmt.Sprintf(chunked, "407 No") + echoed + "\r\n\r\n"),
		"chunk's length":     testproxy.Garbage("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + echoed + "\r\n"),
		"header's line":      testproxy.Garbage("HTTP/1.1 200 OK\r\n" + echoed + "\r\n\r\n"),
		"status line":        testproxy.Garbage(echoed + "\r\n\r\n"),
		"status":             testproxy.Garbage("HTTP/1.1 " + echoed + "\r\n\r\n"),
		"protocol":           testproxy.Garbage("HTTP/" + echoed + " 200 OK\r\n\r\n"),
		"transfer encoding":  testproxy.Garbage("HTTP/1.1 200 OK\r\nTransfer-Encoding: " + echoed + "\r\n\r\n"),
		"length":             testproxy.Garbage("HTTP/1.1 200 OK\r\nContent-Length: " + echoed + "\r\n\r\n"),
		"two lengths":        testproxy.Garbage("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: " + echoed + "\r\n\r\n"),
		"proxy auth info":    {Header: http.Header{"Proxy-Authentication-Info": {echoed}}},
		"reason of an error": {Status: http.StatusBadGateway, Reason: echoed},
	} {
		eachHolds(t, desc, func(t testing.TB, w way) {
			l, _ := newCaseLab(t, password, &testproxy.Basic{Realm: "lab"})
			log := new(logbook)
			l.rt.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			trace := new(bytes.Buffer)
			l.rt.Trace = tracing(trace)
			if desc == "scheme's name" {
				l.rt.Preemptive, l.rt.Schemes = true, []proxyauth.Scheme{basic.Scheme{}} // or it is a refusal, of which no more is said
			}
			l.proxy.SetFault(testproxy.OnScheme("Basic", action))
			requireNoEcho(t, l.meet(w)...)
			require.NotRegexp(t, secret, log.lines(), "log")
			require.NotRegexp(t, secret, trace.String(), "trace")
		})
	}
}

// refusing refuses an authorization, with these challenges.
func refusing(challenges ...string) *testproxy.Action {
	return &testproxy.Action{Status: http.StatusProxyAuthRequired, Challenges: challenges}
}

// meet makes a request and returns all that goes wrong, unscanned.
func (l *lab) meet(w way) (errs []error) {
	if w.method == http.MethodConnect {
		conn, err := l.rt.DialContext(l.t.Context(), "tcp", originHost+":443")
		if err == nil {
			conn.Close()
		}
		return []error{err}
	}
	resp, err := l.rt.RoundTrip(l.request(http.MethodGet, httpOrigin, nil))
	if err != nil {
		return []error{err}
	}
	defer resp.Body.Close()
	if e, ok := proxyauth.ResponseError(resp); ok {
		errs = append(errs, e)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return append(errs, err)
}

// requireNoEcho requires that none of errs, nor what they wrap, shows a secret.
func requireNoEcho(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err == nil {
			continue
		}
		for how, text := range secretscan.Printed(err) {
			require.NotRegexp(t, secret, text, how)
		}
		if e, ok := err.(*proxyauth.Error); ok {
			require.NotRegexp(t, secret, e.Hint())
			require.NotRegexp(t, secret, fmt.Sprint(e.Offered))
		}
		switch wraps := err.(type) {
		case interface{ Unwrap() error }:
			requireNoEcho(t, wraps.Unwrap())
		case interface{ Unwrap() []error }:
			requireNoEcho(t, wraps.Unwrap()...)
		}
	}
}

// asEnvironment reads a proxy's URL as net/http does from the environment, which tries
// again behind "http://" what can't be parsed.
func asEnvironment(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" {
		if again, err := url.Parse("http://" + text); err == nil {
			return again, nil
		}
	}
	return u, err
}

// User info with characters that have to be percent-encoded is told from a host.
func TestProxyURLIsInvalid(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`http://CORP\ann:pw@proxy.example.com:3128`, "http://ann:p#w@proxy.example.com:3128", "http://ann:p^w@proxy.example.com:3128", "http://ann:p[w@proxy.example.com:3128", "http://ann:1#w@proxy.example.com:3128", "http://ann:1/w@proxy.example.com:3128"} {
		u, err := asEnvironment(text)
		require.NoError(t, err, text)
		eachHolds(t, text, func(t testing.TB, w way) {
			l, _ := newCaseLab(t, password, &testproxy.Basic{Realm: "lab"})
			l.base.Proxy = http.ProxyURL(u)
			e := requireCauseNamed(t, "invalid", w.reach(t.Context(), l.rt, originHost))
			require.Contains(t, e.Hint(), "percent")
			require.Contains(t, e.Hint(), "%5C")
		})
	}
}

// A URL that can't be parsed, or is none of a proxy, is not shown.
func TestProxyURLIsNoURL(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`http://ann:s3%cret@proxy.example.com`, `http://CORP\ann:s3cret@proxy.example.com`, "ann:s3cret@proxy.example.com", "ftp://ann:s3cret@proxy.example.com", "http://ann:s3cret@"} {
		eachHolds(t, text, func(t testing.TB, w way) {
			l, _ := newCaseLab(t, password, &testproxy.Basic{Realm: "lab"})
			l.base.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(text) }
			e := requireCauseNamed(t, "invalid", w.reach(t.Context(), l.rt, originHost))
			require.Contains(t, e.Hint(), "Transport.Base.Proxy")
			require.Contains(t, e.Hint(), "%5C")
			require.NotRegexp(t, userName, e.Error())
			requireNoEcho(t, e)
		})
	}
}

// A setting that net/http passes over, and goes without a proxy, is named in the log. It
// is read once, so that it takes a process of its own.
func TestIgnoredProxySettingIsLogged(t *testing.T) {
	const child = "PROXYAUTH_TEST_IGNORED"
	if os.Getenv(child) != "" {
		l, _ := newCaseLab(t, password)
		log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug}))
		l.base.Proxy, l.rt.Logger = http.ProxyFromEnvironment, log
		require.NoError(t, fetch(context.Background(), l.rt, originHost))
		return
	}
	holdsAnyhow(t, "with a bare percent sign", func(t testing.TB) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestIgnoredProxySettingIsLogged$")
		cmd.Env = append(os.Environ(), child+"=1", "HTTP_PROXY=http://ann:p%w@proxy.example.com:3128")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "HTTP_PROXY")
		require.False(t, strings.Contains(string(out), "p%w"), "the password")
	})
}
