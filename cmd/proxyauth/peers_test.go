package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// startPeer starts a server that answers each connection's first read with what answer makes of
// it, "" for nothing, and closes it, and returns its address.
func startPeer(t *testing.T, answer func(request string) string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				b := make([]byte, 4<<10)
				n, _ := conn.Read(b)
				if text := answer(string(b[:n])); text != "" {
					io.WriteString(conn, text)
					return
				}
				io.Copy(io.Discard, conn)
			}()
		}
	}()
	return ln.Addr().String()
}

// answering returns an answer with a status line and a field.
func answering(status, field string) string {
	return "HTTP/1.1 " + status + "\r\n" + field + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
}

const closed = " " // an answer that is none

// byMethod answers GET and CONNECT.
func byMethod(get, connect string) func(string) string {
	return func(request string) string {
		if strings.HasPrefix(request, "CONNECT ") {
			return connect
		}
		return get
	}
}

// What listens on the proxy's port is something else.
func TestPeerThatIsNoProxy(t *testing.T) {
	t.Parallel()
	type targets []string
	plain, secure := "http://origin.invalid/", "https://origin.invalid/"
	both := targets{plain, secure}
	page := answering("200 OK", "Server: nginx")
	for _, tt := range []struct {
		desc    string
		peer    func(string) string
		targets targets
		cause   string
		text    string
		fix     string
	}{
		{"web server, 405", byMethod(page, answering("405 Method Not Allowed", "Allow: GET")), both, "not_a_proxy", "is a web server, and no proxy", "host and port in -proxy"},
		{"web server, 501", byMethod(page, answering("501 Not Implemented", "X: y")), both, "not_a_proxy", "501 Not Implemented", "host and port in -proxy"},
		{"web server, 404", byMethod(answering("404 Not Found", "X: y"), answering("404 Not Found", "X: y")), both, "not_a_proxy", "answers 404", "host and port in -proxy"},
		{"web server, 400", byMethod(page, answering("400 Bad Request", "X: y")), both, "not_a_proxy", "400 Bad Request", "host and port in -proxy"},
		{"web server that closes at CONNECT", byMethod(page, closed), targets{plain}, "not_a_proxy", "no answer", "host and port in -proxy"},
		{"web server that redirects to https://", byMethod(answering("301 Moved Permanently", "Location: https://intranet.example.com/"), answering("405 No", "X: y")), both, "not_a_proxy", "answers 301", "host and port in -proxy"},

		{"portal", byMethod(answering("302 Found", "Location: http://portal.example.com/login?id=1"), answering("302 Found", "Location: http://portal.example.com/login?id=1")), both, "captive_portal", "302 Found, to http://portal.example.com", "browser"},
		{"portal that says so", byMethod(answering("511 Network Authentication Required", "X: y"), answering("511 Network Authentication Required", "X: y")), both, "captive_portal", "511", "browser"},
		{"portal for tunnels", byMethod(page, answering("302 Found", "Location: http://portal.example.com/")), targets{secure}, "captive_portal", "CONNECT", "browser"},

		{"malformed header", byMethod("HTTP/1.1 200 OK\r\nthis is no field\r\n\r\n", "HTTP/1.1 407 Who\r\nProxy-Authenticate Basic\r\n\r\n"), both, "proxy_failed", "is malformed", "mend the answer"},
		{"malformed status", byMethod("HTTP/1.1 abc OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n"), both, "proxy_failed", "is malformed", "mend the answer"},
		{"endless header", byMethod("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20), "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20)), both, "proxy_failed", "is malformed", "mend the answer"},
		{"other protocol with an H", byMethod("HELO mail.example.com\r\n", "HELO mail.example.com\r\n"), both, "not_a_proxy", "does not speak HTTP", "something other"},
	} {
		for _, target := range tt.targets {
			t.Run(tt.desc+" "+target, func(t *testing.T) {
				t.Parallel()
				report := command{args: []string{"doctor", "-proxy", startPeer(t, tt.peer), target}}.json(t)
				require.Equal(t, tt.cause, report.Verdict.Cause, "%+v", report)
				require.Contains(t, report.Verdict.Text, tt.text)
				require.Contains(t, report.Verdict.Fix, tt.fix)
				require.NotContains(t, report.Verdict.Text+report.Verdict.Fix, "id=1")
				requireNoLibraryWords(t, report.Verdict.Fix)
				require.Empty(t, report.Attempts)
			})
		}
	}
}

// A proxy that opens no tunnels is a proxy all the same, and a redirect of the target is its own.
func TestPeerThatIsAProxy(t *testing.T) {
	t.Parallel()
	for desc, config := range map[string]testproxy.Config{
		"no tunnels":           {Fault: testproxy.OnMethod("CONNECT", testproxy.Refuse(405, ""))},
		"redirect by a target": {Fault: testproxy.OnMethod("GET", &testproxy.Action{Status: 302, Header: http.Header{"Location": {"https://www.example.com/"}}})},
	} {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, config, newAccounts())
			report := l.doctor("", l.target(forward, "/")).json(t)
			require.Equal(t, "works", report.Verdict.Cause, "%+v", report)
			if desc != "no tunnels" {
				require.Contains(t, strings.Join(stepOf(t, report, "target").Details, ""), "https://www.example.com")
			}
		})
	}
}

// The name of a target is sent in ASCII, from the first question on.
func TestTargetWithAnUmlaut(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"http://bücher.example/", "https://bücher.example:8443/"} {
		l := newLab(t, testproxy.Config{}, newAccounts())
		report := l.doctor("", target).json(t)
		require.Equal(t, target, strings.Replace(report.URL, "b%C3%BCcher", "bücher", 1))
		for _, o := range report.Offers {
			require.Contains(t, o.Target, "xn--bcher-kva.example")
		}
		for _, leg := range l.proxy.Legs() {
			require.Contains(t, leg.Target, "xn--bcher-kva.example")
		}
	}
}

// A target in the clear is named as one.
func TestTargetWithoutTLS(t *testing.T) {
	t.Parallel()
	l := newLab(t, openProxy(nil), newAccounts())
	report := l.doctor("", "https://"+l.plain.Addr()+"/").json(t)
	require.Equal(t, "target_failed", report.Verdict.Cause)
	require.Contains(t, report.Verdict.Text, "does not speak TLS")
	require.Contains(t, report.Verdict.Fix, "http:// in place of https://")
}

// A 407 that a proxy passes on is not answered: the credentials are not for its sender.
func TestChallengeFromBehindTheProxy(t *testing.T) {
	t.Parallel()
	peer := startPeer(t, byMethod(
		answering("407 Who", "Via: 1.1 proxy\r\nProxy-Authenticate: Basic realm=\"x\""), answering("200 Connection established", "X: y"),
	))
	c := command{args: []string{"doctor", "-proxy", peer, "-user", user, "-password-stdin", outside}, stdin: password}
	report := c.json(t)
	require.Equal(t, "target_failed", report.Verdict.Cause)
	require.Contains(t, report.Verdict.Text, "behind the proxy")
	require.Empty(t, report.Attempts)
}

// A proxy that puts no Via into what it passes on leaves open whose 407 it is.
func TestChallengeThatMayBeTheTargets(t *testing.T) {
	t.Parallel()
	peer := startPeer(t, byMethod(answering("407 Who", "Proxy-Authenticate: Basic realm=\"x\""), answering("200 Connection established", "X: y")))
	report := command{args: []string{"doctor", "-proxy", peer, outside}}.json(t)
	require.Equal(t, "no_credentials", report.Verdict.Cause)
	require.Contains(t, report.Verdict.Fix, "may be the target's own")
}

// An error in answer to a forwarded request is the proxy's or the target's, as far as can be told.
func TestWhoseAnswerItIs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc    string
		status  int
		header  http.Header // of the answer
		connect int         // status of the proxy's answer to CONNECT, with the same Server as its own
		own     string      // its Server
		direct  int         // status without the proxy, zero for not asked
		cause   string
		text    string
		fix     string
	}{
		{"squid's 503", 503, http.Header{"X-Squid-Error": {"ERR_DNS_FAIL 0"}}, 503, "squid", 0, "target_unreachable", "the proxy answers 503", "can't reach the target"},
		{"tinyproxy's 500", 500, http.Header{"Server": {"tinyproxy/1.11.1"}}, 500, "tinyproxy/1.11.1", 0, "target_unreachable", "the proxy answers 500", "can't reach the target"},
		{"tinyproxy's 403", 403, http.Header{"Server": {"tinyproxy/1.11.1"}}, 403, "tinyproxy/1.11.1", 0, "denied", "the proxy answers 403", "does not allow 127.0.0.1"},
		{"the proxy's 401, without a question", 401, http.Header{"Server": {"tinyproxy/1.11.1"}}, 401, "tinyproxy/1.11.1", 0, "proxy_failed", "the proxy answers 401", "does not say so as a proxy does"},
		{"502 with Proxy-Status", 502, http.Header{"Proxy-Status": {"proxy.example.com; error=dns_error"}}, 200, "", 0, "target_unreachable", "the proxy answers 502", "can't reach the target"},
		{"500 that was passed on", 500, http.Header{"Via": {"1.1 tinyproxy"}}, 500, "tinyproxy/1.11.1", 0, "target_failed", "the target answers 500", "come through"},
		{"503 of other software", 503, http.Header{"Server": {"gunicorn"}}, 403, "tinyproxy/1.11.1", 0, "target_failed", "the target answers 503", "come through"},
		{"403 for a tunnel as well", 403, http.Header{"Server": {"Apache"}}, 403, "Apache", 0, "denied", "the proxy answers 403", "whoever asks"},
		{"403 of other software, at a proxy without tunnels", 403, http.Header{"Server": {"gunicorn"}}, 403, "Apache", 0, "target_forbidden", "the target answers 403", "whoever runs the target"},
		{"403 of other software", 403, http.Header{"Server": {"gunicorn"}}, 500, "tinyproxy/1.11.1", 0, "target_forbidden", "the target answers 403", "whoever runs the target"},
		{"503 of Apache, as proxy or target", 503, http.Header{"Server": {"Apache"}}, 403, "Apache", 0, "target_unreachable", "from the target or from the proxy", "-direct tells"},
		{"503 of nobody knows who", 503, nil, 200, "", 0, "target_unreachable", "from the target or from the proxy", "-direct tells"},
		{"500 of nobody knows who", 500, nil, 200, "", 0, "target_failed", "from the target or from the proxy", "-direct tells"},
		{"403 of nobody knows who", 403, nil, 200, "", 0, "target_forbidden", "from the target or from the proxy", "-direct tells"},

		{"502, and 200 without", 502, nil, 200, "", 200, "target_unreachable", "502", "the proxy that does not get there"},
		{"502, and 502 without", 502, nil, 200, "", 502, "target_failed", "502", "so that it is the target"},
		{"403, and 200 without", 403, nil, 200, "", 200, "denied", "403", "a matter of permission"},
		{"403, and 403 without", 403, nil, 200, "", 403, "target_forbidden", "403", "so that it is the target"},
		{"500, and 200 without", 500, nil, 200, "", 200, "proxy_failed", "500", "so that it is the proxy"},
		{"the proxy's 403, and 500 without", 403, http.Header{"X-Squid-Error": {"ERR_ACCESS_DENIED 0"}}, 403, "squid", 500, "denied", "403", "alone does not help"},
		{"the proxy's 403, and 200 without", 403, http.Header{"X-Squid-Error": {"ERR_ACCESS_DENIED 0"}}, 403, "squid", 200, "denied", "403", "a matter of permission"},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			t.Parallel()
			own := http.Header{"Server": {tt.own}}
			if tt.own == "" {
				own = nil
			}
			l := newLab(t, testproxy.Config{Fault: testproxy.First(
				testproxy.OnMethod("GET", &testproxy.Action{Status: tt.status, Header: tt.header}),
				testproxy.OnMethod("CONNECT", &testproxy.Action{Status: tt.connect, Header: own}),
			)}, newAccounts())
			c := l.doctor("", l.target(forward, map[int]string{0: "/", 200: "/", 403: "/403", 500: "/500", 502: "/502"}[tt.direct]))
			if tt.direct != 0 {
				c.args = append([]string{"doctor", "-direct"}, c.args[1:]...)
			}
			report := c.json(t)
			require.Equal(t, tt.cause, report.Verdict.Cause, "%+v", report)
			require.Contains(t, stepOf(t, report, "target").Text, tt.text)
			require.Contains(t, report.Verdict.Text, strconv.Itoa(tt.status))
			require.Contains(t, report.Verdict.Fix, tt.fix)
			requireNoLibraryWords(t, report.Verdict.Fix)
			require.Equal(t, "skipped", string(stepOf(t, report, "sign-in").Result), "nobody has asked")
		})
	}
}

// A 401 in the realm of the proxy's challenge is tinyproxy's refusal.
func TestRefusalWith401OfAForwardedRequest(t *testing.T) {
	t.Parallel()
	users := newAccounts()
	l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Accounts: users, Realm: "lab", Refuse401: true}}}, users)
	report := l.doctor(wrong, l.target(forward, "/")).json(t)
	require.Equal(t, "credentials_rejected", report.Verdict.Cause, "%+v", report)
	require.Contains(t, report.Verdict.Text, "401")
	require.Contains(t, report.Verdict.Fix, "-direct tells")
	require.Equal(t, "failed", string(stepOf(t, report, "sign-in").Result))
	require.False(t, report.Attempts[0].OK)
}

// The words of a silence say what was silent.
func TestSilence(t *testing.T) {
	t.Parallel()
	silent := func(string) string { return "" }
	for _, tt := range []struct{ desc, proxy, target, cause, text, fix string }{
		{"proxy", "http://", outside, "proxy_failed", "nothing within 300ms", "or wait for the target"},
		{"proxy with TLS", "https://", outside, "proxy_unreachable", "does not answer the TLS handshake: nothing within 300ms", "use http:// in place of https://"},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			t.Parallel()
			report := command{args: []string{"doctor", "-timeout", "300ms", "-proxy", tt.proxy + startPeer(t, silent), tt.target}}.json(t)
			require.Equal(t, tt.cause, report.Verdict.Cause, "%+v", report)
			require.Contains(t, report.Verdict.Text, tt.text)
			require.Contains(t, report.Verdict.Fix, tt.fix)
		})
	}
	for _, w := range []way{forward, tunnel} {
		t.Run("after the sign-in, "+string(w), func(t *testing.T) {
			t.Parallel()
			users := newAccounts()
			l := newLab(t, with(basicProxy, testproxy.OnScheme("Basic", &testproxy.Action{Stall: testproxy.OnRequest}))(users), users)
			report := l.doctor(password, l.target(w, "/"), "-timeout", "1s").json(t)
			require.Equal(t, "proxy_failed", report.Verdict.Cause, "%+v", report)
			require.Contains(t, report.Verdict.Text, "no answer")
			require.Contains(t, report.Verdict.Fix, "has answered before")
			require.NotContains(t, report.Verdict.Fix, "TLS")
			require.Equal(t, "failed", string(stepOf(t, report, "sign-in").Result))
		})
	}
	t.Run("target behind a tunnel", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, openProxy(nil), newAccounts())
		target := "https://" + startPeer(t, silent) + "/"
		report := l.doctor("", target, "-timeout", "1s").json(t)
		require.Equal(t, "target_failed", report.Verdict.Cause, "%+v", report)
		require.Contains(t, report.Verdict.Text, "nothing within 1s")
		require.Contains(t, report.Verdict.Fix, "-timeout")
		require.Equal(t, "ok", string(stepOf(t, report, "sign-in").Result))
	})
}

// A page that wants a sign-in may come after the proxy's own.
func TestPortalBehindTheSignIn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		way    way
		status int
	}{{tunnel, 302}, {tunnel, 511}, {forward, 511}} {
		users := newAccounts()
		page := &testproxy.Action{Status: tt.status, Header: http.Header{"Location": {"http://portal.example.com/login?id=1"}}}
		l := newLab(t, with(basicProxy, testproxy.OnScheme("Basic", page))(users), users)
		report := l.doctor(password, l.target(tt.way, "/")).json(t)
		require.Equal(t, "captive_portal", report.Verdict.Cause, "%+v", report)
		require.Contains(t, report.Verdict.Text, strconv.Itoa(tt.status))
		require.Contains(t, report.Verdict.Text, "to http://portal.example.com")
		require.Contains(t, report.Verdict.Fix, "browser")
		requireOneStory(t, report)
	}
}

// A 401 that may be the proxy's is not said to be the target's.
func TestWhose401ItIs(t *testing.T) {
	t.Parallel()
	refusal := answering("401 Unauthorized", `WWW-Authenticate: Basic realm="x"`)
	for _, tt := range []struct{ desc, connect, cause, fix string }{
		{"of a proxy that answers every request so", refusal, "proxy_failed", "does not say so as a proxy does"},
		{"of nobody knows who", answering("200 Connection established", "X: y"), "target_unauthorized", "-direct tells them apart"},
	} {
		report := command{args: []string{"doctor", "-proxy", startPeer(t, byMethod(refusal, tt.connect)), outside}}.json(t)
		require.Equal(t, tt.cause, report.Verdict.Cause, "%s: %+v", tt.desc, report)
		require.Contains(t, report.Verdict.Fix, tt.fix, tt.desc)
	}
}

// A page of which the rest does not come does not load.
func TestAnswerThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, "begin")
		w.(http.Flusher).Flush()
		if r.URL.Path == "/stall" {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(origin.Close)
	l := newLab(t, openProxy(nil), newAccounts())
	for _, flags := range [][]string{nil, {"-direct"}} {
		for _, tt := range []struct{ path, timeout, want string }{{"/stall", "500ms", "does not end within 3s"}, {"/cut", "1m", "breaks off"}} {
			t.Run(strings.Join(append(flags, tt.path), " "), func(t *testing.T) {
				t.Parallel()
				report := l.doctor("", origin.URL+tt.path, append(flags, "-timeout", tt.timeout)...).json(t)
				require.Equal(t, "target_failed", report.Verdict.Cause, "%+v", report)
				require.Contains(t, report.Verdict.Text, tt.want)
				if flags == nil {
					require.Contains(t, report.Verdict.Fix, "-direct tells")
				} else {
					require.Contains(t, report.Verdict.Fix, "Without the proxy its answer does not end either")
				}
			})
		}
	}
}

// What is wrong with the target's certificate decides what to do.
func TestCertificateOfTheTarget(t *testing.T) {
	t.Parallel()
	l := newLab(t, openProxy(nil), newAccounts())
	file := write(t, "expired.pem", nil)
	for _, tt := range []struct {
		desc string
		tls  *tls.Config
		ca   string
		text string
		fix  string
		not  string
	}{
		{"of another name", ca.ServerConfig("other.example.com"), l.ca, "127.0.0.1", "Use a name in the target's URL", "authority"},
		{"expired", expired(t, file), file, "expired", "this machine's clock", "authority"},
		{"of another authority", ca.ServerConfig("127.0.0.1"), file, "unknown authority", "-ca FILE", "clock"},
	} {
		origin := testproxy.StartOrigin(t, testproxy.OriginConfig{Handler: http.HandlerFunc(answer), TLS: tt.tls})
		report := command{args: []string{"doctor", "-proxy", l.proxy.URL().String(), "-ca", tt.ca, "-direct", origin.URL()}}.json(t)
		require.Equal(t, "target_certificate", report.Verdict.Cause, "%s: %+v", tt.desc, report)
		require.Contains(t, report.Verdict.Text, tt.text, tt.desc)
		require.NotContains(t, report.Verdict.Text, "possibly", tt.desc)
		require.Contains(t, report.Verdict.Fix, tt.fix, tt.desc)
		require.Contains(t, report.Verdict.Fix, "is not trusted either", tt.desc)
		require.NotContains(t, report.Verdict.Fix, tt.not, tt.desc)
	}
}

// expired returns a configuration with a certificate of the past, and writes it to a file.
func expired(t *testing.T, file string) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// squid's reason decides what to do about a target that it can't reach.
func TestSquidsReason(t *testing.T) {
	t.Parallel()
	for reason, fix := range map[string]string{
		"ERR_DNS_FAIL 0":           "does not find the name",
		"ERR_CONNECT_FAIL 111":     "accepts no connection",
		"ERR_ZERO_SIZE_OBJECT 0":   "begin with https://",
		"ERR_CANNOT_FORWARD 0":     "ask whoever runs the proxy whether it may connect",
		"ERR_SOMETHING_NEW 0":      "ask whoever runs the proxy whether it may connect",
		"ERR_READ_ERROR 104 again": "begin with https://",
	} {
		for _, w := range []way{forward, tunnel} {
			l := newLab(t, with(openProxy, testproxy.Always(&testproxy.Action{Status: 503, Header: http.Header{"X-Squid-Error": {reason}}}))(nil), newAccounts())
			report := l.doctor("", l.target(w, "/")).json(t)
			require.Equal(t, "target_unreachable", report.Verdict.Cause, "%+v", report)
			require.Contains(t, report.Verdict.Fix, fix)
		}
	}
}

// A 407 after the right password may be the target's, or squid's word for what the user may not.
func TestRefusalThatMayBeNone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		header http.Header
		fix    string
	}{
		{http.Header{"Via": {"1.1 proxy"}, "Server": {"target"}}, "has passed this 407 on"},
		{http.Header{"X-Squid-Error": {"ERR_CACHE_ACCESS_DENIED 0"}, "Proxy-Authenticate": {`Basic realm="lab"`}}, "does not allow this target to the user"},
	} {
		users := newAccounts()
		l := newLab(t, with(basicProxy, testproxy.OnScheme("Basic", &testproxy.Action{Status: 407, Header: tt.header}))(users), users)
		report := l.doctor(password, l.target(forward, "/")).json(t)
		require.Equal(t, "credentials_rejected", report.Verdict.Cause, "%+v", report)
		require.Contains(t, report.Verdict.Fix, tt.fix)
	}
}

// A netrc that is there and can't be read comes first in what to do.
func TestNetrcThatCannotBeRead(t *testing.T) {
	t.Parallel()
	l := newLab(t, basicProxy(newAccounts()), newAccounts())
	file := write(t, "netrc", []byte("machine 127.0.0.1 login ann password\n"))
	c := l.doctor("", l.target(forward, "/"))
	c.env = []string{"NETRC=" + file}
	report := c.json(t)
	require.Contains(t, report.Verdict.Fix, "correct netrc ("+file+":2: password without a value)")
	require.NoError(t, os.WriteFile(file, []byte("machine other.example.com login ann password x\n"), 0o600))
	require.NotContains(t, c.json(t).Verdict.Fix, "correct netrc")
}
