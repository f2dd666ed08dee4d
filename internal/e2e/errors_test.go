package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/internal/secretscan"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
)

// A failure is a way not to get through a proxy, and what the Error says of it.
type failure struct {
	desc   string
	config testproxy.Config
	change func(l *lab)
	only   string // method at the proxy; empty means both paths

	cause   proxyauth.Cause
	status  int  // of a tunnel's, and of a forwarded request's that gets no response
	lost    bool // that a forwarded request gets no response
	offered []string
	tried   []string
	is      error
	hint    string // words of the hint, separated by bars
	not     string // words that it must not have
}

// requireHint requires one or two sentences with the words of want, and without those of
// not, which bars separate.
func requireHint(t *testing.T, e *proxyauth.Error, want, not string) {
	t.Helper()
	hint := e.Hint()
	for word := range strings.SplitSeq(want, "|") {
		require.Contains(t, hint, word)
	}
	for word := range strings.SplitSeq(not+"|%!|  |proxyauth:|()", "|") {
		if word != "" {
			require.NotContains(t, hint, word)
		}
	}
	require.Greater(t, len(hint), 40)
	sentences := regexp.MustCompile(`[.?](\s+[A-Z]|$)`).FindAllString(hint, -1)
	require.LessOrEqual(t, len(sentences), 2, hint)
	require.True(t, strings.HasSuffix(hint, "."), hint)
}

// wrongPassword is bob's.
const wrongPassword = "hunter2"

var errVault = errors.New("vault is sealed")

// failures returns the failures, each with mechanisms of its own.
func failures() []failure {
	basicProxy := testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}}
	offer := func(lines ...string) testproxy.Config {
		c := basicProxy
		c.Fault = testproxy.On(407, testproxy.Offer(lines...))
		return c
	}
	faulty := func(f testproxy.Fault, m testproxy.Mechanism) testproxy.Config {
		return testproxy.Config{Auth: []testproxy.Mechanism{m}, Fault: f}
	}
	answer := func(f func(*proxyauth.CredentialsRequest) (string, error)) func(*lab) {
		return func(l *lab) { l.rt.Credentials = &witness{answer: f} }
	}
	failing := func(err error) func(*lab) {
		return answer(func(*proxyauth.CredentialsRequest) (string, error) { return "", err })
	}
	proxyURL := func(u string) func(*lab) {
		return func(l *lab) {
			l.base.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(u) }
		}
	}
	plainProxy := func(serve func(net.Conn)) func(*lab) {
		return func(l *lab) {
			proxyURL("https://plain.example.com:3128")(l)
			l.serve("plain.example.com:3128", serve)
		}
	}
	return []failure{
		{
			desc: "provider has none", config: basicProxy,
			change: failing(fmt.Errorf("%w: no entry", proxyauth.ErrNoCredentials)),
			cause:  proxyauth.CauseNoCredentials, status: 407, offered: []string{"Basic"}, tried: []string{"Basic"},
			is: proxyauth.ErrNoCredentials, hint: "Transport.Credentials|(no entry)", not: "Mend",
		}, {
			desc: "no provider and no user info", config: basicProxy,
			change: func(l *lab) { l.rt.Credentials = nil },
			cause:  proxyauth.CauseNoCredentials, status: 407, offered: []string{"Basic"}, tried: []string{"Basic"},
			is: proxyauth.ErrNoCredentials, hint: "HTTPS_PROXY|in the user info of the proxy's URL",
		}, {
			desc: "nothing in a chain", config: basicProxy,
			change: func(l *lab) {
				l.rt.Credentials = credentials.Chain(credentials.Environment("E2E_NO_USER", ""), credentials.Netrc{Path: "testdata/no-netrc"})
			},
			cause: proxyauth.CauseNoCredentials, status: 407, offered: []string{"Basic"}, tried: []string{"Basic"},
			is: proxyauth.ErrNoCredentials, hint: "looked for in this order: environment: E2E_NO_USER is not set; netrc: testdata/no-netrc does not exist",
		}, {
			desc: "provider fails", config: basicProxy,
			change: failing(fmt.Errorf("asking: %w", errVault)),
			cause:  proxyauth.CauseNoCredentials, status: 407, offered: []string{"Basic"}, tried: []string{"Basic"}, is: errVault,
			hint: "provider of credentials", not: "HTTPS_PROXY",
		}, {
			desc: "wrong password", config: basicProxy, change: answer(always(wrongPassword)),
			cause: proxyauth.CauseCredentialsRejected, status: 407, offered: []string{"Basic"}, tried: []string{"Basic"},
			is: proxyauth.ErrRejected, hint: "The proxy refused|expired|locked|Transport.Reset", not: "KDC|empty",
		}, {
			desc:   "wrong password, Digest before Basic",
			config: testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}, &testproxy.Digest{Realm: "lab"}}},
			change: answer(always(wrongPassword)),
			cause:  proxyauth.CauseCredentialsRejected, status: 407, offered: []string{"Basic", "Digest"}, tried: []string{"Digest"},
			is: proxyauth.ErrRejected, hint: `domain is missing|DOMAIN\user`,
		}, {
			desc: "domain that Basic does not want", config: basicProxy, change: func(l *lab) { l.rt = l.transport(`LAB\`+user, password) },
			cause: proxyauth.CauseCredentialsRejected, status: 407, offered: []string{"Basic"}, tried: []string{"Basic"},
			is: proxyauth.ErrRejected, hint: `the domain in the user name (DOMAIN\user) is not wanted|bare name`, not: "LAB|missing",
		}, {
			desc: "domain that NTLM wants", change: func(l *lab) { l.rt = l.transport(user, wrongPassword) },
			config: testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.NTLM{}}},
			cause:  proxyauth.CauseCredentialsRejected, status: 407, offered: []string{"NTLM"}, tried: []string{"NTLM"},
			is: proxyauth.ErrRejected, hint: `domain is missing from the user name (DOMAIN\user)`, not: "Basic",
		}, {
			desc: "empty password, as of a user in the URL", config: basicProxy, change: answer(always("")),
			cause: proxyauth.CauseCredentialsRejected, status: 407, offered: []string{"Basic"}, tried: []string{"Basic"},
			is: proxyauth.ErrRejected, hint: "empty password|credentials.ProxyURL|credentials/defaults", not: "bob|locked",
		}, {
			desc: "refused without a challenge", change: answer(always(wrongPassword)),
			config: faulty(testproxy.OnScheme("Basic", testproxy.Offer()), &testproxy.Basic{Realm: "lab"}),
			cause:  proxyauth.CauseCredentialsRejected, status: 407, tried: []string{"Basic"}, is: proxyauth.ErrRejected,
		}, {
			desc: "refused with 401", change: answer(always(wrongPassword)), only: http.MethodConnect,
			config: testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab", Refuse401: true}}},
			cause:  proxyauth.CauseCredentialsRejected, status: 401, offered: []string{"Basic"}, tried: []string{"Basic"},
			is: proxyauth.ErrRejected,
		}, {
			desc: "strange schemes", config: offer(`Foo realm="lab"`, "Bar"),
			cause: proxyauth.CauseNoCommonScheme, status: 407, offered: []string{"Foo", "Bar"},
			hint: "Foo, Bar; this program has enabled NTLM, Digest, Basic",
		}, {
			desc: "strange algorithm", config: offer(`Digest realm="lab", nonce="n", algorithm=ROT13`),
			cause: proxyauth.CauseNoCommonScheme, status: 407, offered: []string{"Digest"}, tried: []string{"Digest"},
			is: proxyauth.ErrUnsupportedChallenge, hint: "such as an algorithm of Digest",
		}, {
			desc: "no challenge", config: offer(),
			cause: proxyauth.CauseNoChallenge, status: 407, hint: "does not say how|origin server's|Transport.Preemptive",
		}, {
			desc: "malformed challenge", config: offer(`="lab`),
			cause: proxyauth.CauseMalformedChallenge, status: 407, hint: "RFC 9110|Error.Header",
		}, {
			desc: "user name that Basic can't send", config: basicProxy,
			change: func(l *lab) { l.rt = l.transport("CORP:"+user, password) },
			cause:  proxyauth.CauseSchemeFailed, status: 407, offered: []string{"Basic"}, tried: []string{"Basic"},
			is: basic.ErrColon, hint: "listed",
		}, {
			desc: "broken off in mid-handshake", lost: true,
			config: faulty(testproxy.OnScheme("NTLM", testproxy.DropAt(testproxy.BeforeAnswer)), &testproxy.NTLM{}),
			cause:  proxyauth.CauseHandshakeBroken, offered: []string{"NTLM"}, tried: []string{"NTLM"},
			hint: "keep-alive",
		}, {
			desc: "proxy does not know the password", lost: true,
			config: testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Digest{Realm: "lab", RspAuth: testproxy.RspAuthWrong}}},
			cause:  proxyauth.CauseProxyNotVerified, status: 200, offered: []string{"Digest"}, is: proxyauth.ErrNotVerified, hint: "not be your proxy",
		}, {
			desc: "403 to CONNECT", only: http.MethodConnect,
			config: faulty(testproxy.OnScheme("Basic", testproxy.Refuse(403, "not you")), &testproxy.Basic{Realm: "lab"}),
			cause:  proxyauth.CauseDenied, status: 403, offered: []string{"Basic"}, hint: "does not allow origin.example.com:443 to this user", not: "Preemptive|password",
		}, {
			desc: "403 to CONNECT, nobody asked who", only: http.MethodConnect,
			config: testproxy.Config{Fault: testproxy.Always(testproxy.Refuse(403, "not there"))},
			cause:  proxyauth.CauseDenied, status: 403, hint: "does not allow origin.example.com:443|Transport.Preemptive", not: "password",
		}, {
			desc: "401 to CONNECT, no challenge", only: http.MethodConnect,
			config: testproxy.Config{Fault: testproxy.Always(testproxy.Refuse(401, "who?"))},
			cause:  proxyauth.CauseProxyFailed, status: 401, hint: "Transport.Preemptive",
		}, {
			desc: "no answer to CONNECT", only: http.MethodConnect,
			config: testproxy.Config{Fault: testproxy.Always(testproxy.DropAt(testproxy.BeforeAnswer))},
			cause:  proxyauth.CauseProxyFailed, hint: "proxy.example.com:3128|https://|Transport.Preemptive",
		}, {
			desc: "400 to CONNECT", only: http.MethodConnect,
			config: testproxy.Config{Fault: testproxy.Always(testproxy.Refuse(400, "Bad Request"))},
			cause:  proxyauth.CauseProxyFailed, status: 400, hint: "web server|proxy.example.com:3128|Transport.Base.Proxy", not: "TLS",
		}, {
			desc: "405 to CONNECT", only: http.MethodConnect,
			config: testproxy.Config{Fault: testproxy.Always(testproxy.Refuse(405, "GET, HEAD"))},
			cause:  proxyauth.CauseNotAProxy, status: 405, hint: "other than an HTTP proxy|proxy.example.com:3128|Transport.Base.Proxy",
		}, {
			desc: "unknown host", change: proxyURL("http://nowhere.example.com:3128"), lost: true,
			cause: proxyauth.CauseProxyUnreachable, is: syscall.Errno(0), hint: "nowhere.example.com:3128|Transport.Base.Proxy|DNS",
		}, {
			desc: "closed port", change: proxyURL("http://proxy.example.com:1"), lost: true,
			cause: proxyauth.CauseProxyUnreachable, is: syscall.ECONNREFUSED, hint: "proxy.example.com:1|Transport.Base.Proxy|host and port", not: "TLS",
		}, {
			desc: "certificate of somebody else", lost: true,
			config: testproxy.Config{TLS: testproxy.NewCA().ServerConfig("proxy.example.com")},
			cause:  proxyauth.CauseProxyUnreachable, hint: "certificate|Transport.ProxyTLSClientConfig", not: "http://",
		}, {
			desc: "https:// for a proxy without TLS", lost: true,
			change: plainProxy(func(conn net.Conn) {
				conn.Read(make([]byte, 1))
				io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			}),
			cause: proxyauth.CauseProxyUnreachable, hint: "does not speak TLS|http:// in place of https://|plain.example.com:3128",
		}, {
			desc: "https:// for a proxy that waits for a line", lost: true,
			change: plainProxy(func(conn net.Conn) { io.Copy(io.Discard, conn) }),
			cause:  proxyauth.CauseProxyUnreachable, hint: "does not answer|http:// in place of https://",
		}, {
			desc: "https:// for a proxy that closes", lost: true,
			change: plainProxy(func(conn net.Conn) { conn.Read(make([]byte, 1)) }),
			cause:  proxyauth.CauseProxyUnreachable, hint: "TLS handshake|http:// in place of https://",
		}, {
			desc: "http:// for a proxy with TLS", lost: true,
			config: testproxy.Config{Fault: testproxy.Always(testproxy.Garbage("\x15\x03\x01\x00\x02\x02\x28"))},
			cause:  proxyauth.CauseProxyUnreachable, hint: "speaks TLS|https:// in place of http://", not: "not speak",
		}, {
			desc: "http:// for a proxy with TLS that says so", only: http.MethodConnect,
			config: testproxy.Config{Fault: testproxy.Always(testproxy.Refuse(400, "You're speaking plain HTTP to an SSL-enabled server port."))},
			cause:  proxyauth.CauseProxyUnreachable, status: 400, hint: "speaks TLS|https:// in place of http://",
		}, {
			desc: "503 to CONNECT", only: http.MethodConnect,
			config: faulty(testproxy.OnScheme("Basic", testproxy.Refuse(503, "no route")), &testproxy.Basic{Realm: "lab"}),
			cause:  proxyauth.CauseTargetUnreachable, status: 503, offered: []string{"Basic"}, hint: "can't reach the target, origin.example.com:443",
		}, {
			desc: "not HTTP", lost: true,
			config: testproxy.Config{Fault: testproxy.Always(testproxy.Garbage("SSH-2.0-OpenSSH\r\n"))},
			cause:  proxyauth.CauseNotAProxy, hint: "other than an HTTP proxy|proxy.example.com:3128",
		}, {
			desc: "rule of the program", config: basicProxy,
			change: func(l *lab) { l.rt.AllowProxy = func(_ context.Context, _ *url.URL) bool { return false } },
			cause:  proxyauth.CausePolicyForbids, status: 407, offered: []string{"Basic"}, tried: []string{"Basic"}, hint: "rule",
		},
	}
}

// serve calls f for each connection to addr, and closes it.
func (l *lab) serve(addr string, f func(net.Conn)) {
	l.t.Helper()
	ln, err := l.network.Listen(addr)
	require.NoError(l.t, err)
	l.t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				f(conn)
			}()
		}
	}()
}

// fail makes the failure happen to an http.Client.
func (f failure) fail(t *testing.T, w way, timeout time.Duration) *proxyauth.Error {
	t.Helper()
	l := newLab(t, f.config)
	if f.change != nil {
		f.change(l)
	}
	client := &http.Client{Transport: l.rt, Timeout: timeout}
	if w.method == http.MethodConnect {
		_, err := client.Get(httpsOrigin)
		_, ok := errors.AsType[*url.Error](err)
		require.True(t, ok, "%v", err)
		return requireCause(t, f.cause, err)
	}
	resp, err := client.Get(httpOrigin)
	if f.lost {
		return requireCause(t, f.cause, err)
	}
	require.NoError(t, err)
	require.Equal(t, http.StatusProxyAuthRequired, resp.StatusCode)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), "Proxy Authentication Required", "the proxy's page")
	require.NoError(t, resp.Body.Close())
	e := explained(resp)
	require.NotNil(t, e)
	require.Equal(t, f.cause, e.Cause)
	return e
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for i, tt := range failures() {
		for _, w := range ways {
			for _, timeout := range []time.Duration{0, time.Hour} {
				if tt.only != "" && tt.only != w.method {
					continue
				}
				t.Run(fmt.Sprint(tt.desc, " ", w.desc, " ", timeout), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						tt := failures()[i]
						e := tt.fail(t, w, timeout)
						status := tt.status
						if w.method == http.MethodGet && !tt.lost {
							status = 407
						}
						require.Equal(t, status, e.Status)
						require.Equal(t, tt.offered, e.Offered)
						if tt.cause != proxyauth.CauseProxyUnreachable {
							require.Equal(t, []string{"NTLM", "Digest", "Basic"}, e.Enabled)
						}
						var tried []string
						for _, s := range e.Tried {
							tried = append(tried, s.Scheme)
							require.Error(t, s.Err)
							require.Contains(t, e.Error(), s.Error())
						}
						require.Equal(t, tt.tried, tried)
						if _, errno := tt.is.(syscall.Errno); errno && tt.is == syscall.Errno(0) {
							_, ok := errors.AsType[*net.DNSError](e)
							require.True(t, ok)
						} else if tt.is != nil {
							require.ErrorIs(t, e, tt.is)
						}
						requireHint(t, e, tt.hint, tt.not)
						require.Contains(t, e.Error(), strings.ReplaceAll(string(tt.cause), "_", " "))
						require.Contains(t, e.Error(), ".example.com:")
						require.Equal(t, 1, strings.Count(e.Error(), "proxyauth:"), e.Error())
						require.NotContains(t, e.Error(), "?")
						require.Equal(t, status != 0, strings.Contains(e.Error(), fmt.Sprintf("(status %d)", status)))
						require.Equal(t, status != 0, e.Header() != nil)
					})
				})
			}
		}
	}
}

// Each cause is in failures, or in one of the tests beside it.
func TestEachCauseHasATest(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../../causes.go")
	require.NoError(t, err)
	tested := map[proxyauth.Cause]bool{
		proxyauth.CauseHeldBack:          true, // TestKDCRefusesCredentials
		proxyauth.CauseBodyNotReplayable: true, // TestBodyNotReplayable
		proxyauth.CauseProxyURLInvalid:   true, // TestProxyURLIsInvalid
	}
	for _, f := range failures() {
		tested[f.cause] = true
	}
	for _, f := range kerberosFailures(t) {
		tested[f.cause] = true
	}
	constants := regexp.MustCompile(`Cause = "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	require.Greater(t, len(constants), 15)
	for _, c := range constants {
		require.True(t, tested[proxyauth.Cause(c[1])], c[1])
	}
}

// A library that dials through the Transport, and has a proxy setting of its own, asks the
// proxy for a tunnel to itself.
func TestConnectToItselfIsExplained(t *testing.T) {
	t.Parallel()
	for _, status := range []int{403, 404, 503, 400} {
		bubble(t, fmt.Sprint(status), func(t *testing.T) {
			l := newLab(t, testproxy.Config{Fault: testproxy.Always(testproxy.Refuse(status, "no"))})
			_, err := l.rt.DialContext(t.Context(), "tcp", "Proxy.example.com:3128")
			e, ok := errors.AsType[*proxyauth.Error](err)
			require.True(t, ok)
			require.Contains(t, e.Error(), "to CONNECT to itself")
			requireHint(t, e, "proxy.example.com:3128|proxy setting of its own|WithNoProxy", "")
		})
	}
}

// A request that the program has authenticated itself fails with an *Error as well.
func TestFailureOfPreauthorizedIsExplained(t *testing.T) {
	t.Parallel()
	for desc, tt := range map[string]struct {
		fault *testproxy.Action
		cause proxyauth.Cause
	}{
		"no answer": {testproxy.DropAt(testproxy.BeforeAnswer), proxyauth.CauseProxyFailed},
		"not HTTP":  {testproxy.Garbage("SSH-2.0-OpenSSH\r\n"), proxyauth.CauseNotAProxy},
	} {
		bubble(t, desc, func(t *testing.T) {
			l := newLab(t, testproxy.Config{Fault: testproxy.Always(tt.fault)})
			req := l.request(http.MethodGet, httpOrigin, nil)
			req.SetBasicAuth(user, password)
			req.Header["Proxy-Authorization"] = req.Header["Authorization"]
			_, _, err := l.do(req)
			e := requireCause(t, tt.cause, err)
			require.Equal(t, "forward", e.Op)
			requireNoSecret(t, e)
		})
	}
}

// The hint for a proxy that can't be reached names the variable that it comes from. The
// environment is read once, so that it takes a process of its own.
func TestHintNamesTheVariable(t *testing.T) {
	const child = "PROXYAUTH_TEST_VARIABLE"
	if os.Getenv(child) != "" {
		for _, w := range ways {
			l := newLab(t, testproxy.Config{})
			l.base.Proxy = http.ProxyFromEnvironment
			e := requireCause(t, proxyauth.CauseProxyUnreachable, w.reach(t.Context(), l.rt, originHost))
			requireHint(t, e, map[string]string{"forwarded": "http_proxy", "tunnelled": "HTTPS_PROXY"}[w.desc], "")
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHintNamesTheVariable$")
	cmd.Env = append(os.Environ(), child+"=1", "http_proxy=http://nowhere.example.com:3128", "HTTPS_PROXY=http://nowhere.example.com:3128", "HTTP_PROXY=", "NO_PROXY=", "no_proxy=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestUntrustedProxyIsExplained(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, testproxy.Config{TLS: testproxy.NewCA().ServerConfig("proxy.example.com")})
		_, _, err := l.do(l.request(http.MethodGet, httpsOrigin, nil))
		_, ok := errors.AsType[*tls.CertificateVerificationError](err)
		require.True(t, ok, "%v", err)
		_, ok = errors.AsType[x509.UnknownAuthorityError](err)
		require.True(t, ok)
	})
}

// A body is gone where the proxy takes back what it had accepted.
func TestBodyNotReplayable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := newWitnessedLab(t, &testproxy.Basic{Realm: "lab"}, untilDoubted(password, "new"))
		l.get(httpOrigin + "/")
		l.users.SetPassword(user, "new")
		resp, err := (&http.Client{Transport: l.rt}).Post(httpOrigin, "text/plain", unreplayable("body"))
		require.NoError(t, err)
		defer resp.Body.Close()
		e := explained(resp)
		require.NotNil(t, e)
		require.Equal(t, proxyauth.CauseBodyNotReplayable, e.Cause)
		requireHint(t, e, "GetBody", "")
		require.Equal(t, 407, e.Status)
	})
}

// The CONNECT's answer is at hand, cut, and what comes before it is not.
func TestErrorHasTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		page := strings.Repeat("denied ", 1000)
		l := newLab(t, testproxy.Config{Fault: testproxy.Always(&testproxy.Action{
			Status: 403, Body: page, Header: http.Header{"X-Squid-Error": {"ERR_ACCESS_DENIED 0"}},
		})})
		_, err := l.rt.DialContext(t.Context(), "tcp", "origin.example.com:443")
		e := requireCause(t, proxyauth.CauseDenied, err)
		require.Equal(t, page[:1<<10], string(e.Body()))
		require.Equal(t, "ERR_ACCESS_DENIED 0", e.Header().Get("X-Squid-Error"))
		require.NotContains(t, e.Error(), "denied denied")
		require.Equal(t, "CONNECT", e.Op)
		require.Equal(t, "origin.example.com:443", e.Target)
		require.Equal(t, "http://proxy.example.com:3128", e.Proxy)
	})
}

// A nil *Error, and one that a program has made, can be printed and asked.
func TestErrorOfTheProgram(t *testing.T) {
	t.Parallel()
	for desc, e := range map[string]*proxyauth.Error{
		"nil":            nil,
		"zero":           {},
		"unknown cause":  {Cause: "of tomorrow\n"},
		"nil in Tried":   {Cause: proxyauth.CausePolicyForbids, Tried: []*proxyauth.SchemeError{nil, {Scheme: "Basic"}}},
		"nothing common": {Cause: proxyauth.CauseNoCommonScheme, Offered: []string{"%s"}},
	} {
		t.Run(desc, func(t *testing.T) {
			for how, text := range secretscan.Printed(e) {
				require.NotContains(t, text, "PANIC", how)
			}
			require.NotContains(t, e.Error()+e.Hint(), "\n")
			require.NotErrorIs(t, e, io.EOF)
			require.Nil(t, e.Header())
			require.Nil(t, e.Body())
		})
	}
}

func TestResponseErrorOfOthers(t *testing.T) {
	t.Parallel()
	for _, resp := range []*http.Response{nil, {StatusCode: 407}, {StatusCode: 407, Request: new(http.Request)}} {
		e, ok := proxyauth.ResponseError(resp)
		require.Nil(t, e)
		require.False(t, ok)
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		resp, _, err := l.do(l.request(http.MethodGet, httpOrigin, nil))
		require.NoError(t, err)
		require.Nil(t, explained(resp))
		l.proxy.SetFault(testproxy.OnScheme("Basic", testproxy.Refuse(403, "no")))
		resp, _, err = l.do(l.request(http.MethodGet, httpOrigin, nil))
		require.NoError(t, err)
		require.Equal(t, 403, resp.StatusCode)
		require.Nil(t, explained(resp))
	})
}

// tinyproxy refuses credentials with a 401 that could be the origin's.
func TestProxys401IsExplained(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := newWitnessedLab(t, &testproxy.Basic{Realm: "lab", Refuse401: true}, always(wrongPassword))
		req := l.request(http.MethodGet, httpOrigin, nil)
		resp, _, err := l.do(req)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
		e := explained(resp)
		require.NotNil(t, e)
		require.Equal(t, proxyauth.CauseCredentialsRejected, e.Cause)
		require.Equal(t, http.StatusUnauthorized, e.Status)
		require.ErrorIs(t, e, proxyauth.ErrRejected)
		requireHint(t, e, "401|tinyproxy|may be wrong", "")
		requireNoSecret(t, e)

		l.proxy.SetAuth()
		l.proxy.SetFault(testproxy.Always(&testproxy.Action{Status: 401, Header: http.Header{"Www-Authenticate": {`Basic realm="other"`}}}))
		resp, _, err = l.do(req)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
		require.Nil(t, explained(resp), "the origin's")
	})
	synctest.Test(t, func(t *testing.T) {
		l, p := newWitnessedLab(t, &testproxy.Basic{Realm: "lab", Refuse401: true}, always(wrongPassword))
		for range 2 {
			_, _, err := l.do(l.request(http.MethodGet, httpOrigin, nil))
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Equal(t, []string{wrongPassword}, p.rejected, "the second in a row")
		require.EqualValues(t, 1, l.counted().Rejections)
	})
}

// NTLM and Negotiate have no realm, at the proxy and at an origin server, so that the 401 of
// one says nothing of what the proxy was sent.
func TestOriginsNTLMIsNoRefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, w := newWitnessedLab(t, &testproxy.NTLM{}, always(password))
		origin := testproxy.StartOrigin(t, testproxy.OriginConfig{
			Network: l.network, Addr: "intranet.example.com:80",
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Www-Authenticate"] = []string{"Negotiate", "NTLM"}
				w.WriteHeader(http.StatusUnauthorized)
			}),
		})
		for range 4 {
			resp, _, err := l.do(l.request(http.MethodGet, origin.URL(), nil))
			require.NoError(t, err)
			require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
			require.Nil(t, explained(resp))
			l.hangUp()
		}
		l.get(httpOrigin + "/")
		require.Empty(t, w.rejected)
	})
}

// A program may copy the response, wrap its body, and send the request again.
func TestResponseErrorOfACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		l.rt.Credentials = nil
		req := l.request(http.MethodGet, httpOrigin, nil)
		resp, _, err := l.do(req)
		require.NoError(t, err)
		clone := *resp
		clone.Body = http.NoBody
		require.Equal(t, proxyauth.CauseNoCredentials, explained(&clone).Cause)

		l.proxy.SetAuth()
		l.proxy.SetFault(testproxy.Always(testproxy.Refuse(403, "no")))
		resp, _, err = l.do(req)
		require.NoError(t, err)
		require.Nil(t, explained(resp), "which is no 407")
	})
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		l.rt.Credentials = nil
		direct := false
		l.base.Proxy = func(*http.Request) (*url.URL, error) {
			if direct {
				return nil, nil
			}
			return l.proxy.URL(), nil
		}
		origin := testproxy.StartOrigin(t, testproxy.OriginConfig{
			Network: l.network, Addr: "asks.example.com:80",
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) }),
		})
		req := l.request(http.MethodGet, origin.URL(), nil)
		resp, _, err := l.do(req)
		require.NoError(t, err)
		require.NotNil(t, explained(resp))
		direct = true
		resp, _, err = l.do(req)
		require.NoError(t, err)
		require.Equal(t, http.StatusProxyAuthRequired, resp.StatusCode)
		require.Nil(t, explained(resp), "the origin's")
	})
}

// What explains a response lives no longer than the response.
func TestExplanationsAreNotKept(t *testing.T) {
	l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
	l.rt.Credentials = nil
	const n = 200
	var kept *http.Response
	var gone atomic.Int64
	for range n {
		resp, _, err := l.do(l.request(http.MethodGet, httpOrigin, nil))
		require.NoError(t, err)
		e := explained(resp)
		require.NotNil(t, e)
		runtime.AddCleanup(e, func(struct{}) { gone.Add(1) }, struct{}{})
		kept = resp
	}
	for range 1000 {
		runtime.GC()
		if gone.Load() >= n-2 {
			break
		}
		runtime.Gosched()
	}
	require.GreaterOrEqual(t, gone.Load(), int64(n-2))
	require.NotNil(t, explained(kept), "as long as it lives")
}

// What takes too long is a timeout to programs that ask the error of http.Client, as with
// net/http alone.
func TestTimeoutsAreTimeouts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc   string
		change func(*lab)
		want   bool
	}{
		{"no answer", func(l *lab) {
			l.base.ResponseHeaderTimeout = time.Second
			l.proxy.SetFault(testproxy.Always(testproxy.StallAt(testproxy.BeforeAnswer)))
		}, true},
		{"no connection", func(l *lab) {
			l.network.Blackhole(l.proxy.Addr())
			l.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				return l.network.DialContext(ctx, network, addr)
			}
		}, true},
		{"refused", func(l *lab) { require.NoError(l.t, l.proxy.Close()) }, false},
		{"garbage", func(l *lab) { l.proxy.SetFault(testproxy.Always(testproxy.Garbage("garbage\r\n\r\n"))) }, false},
	} {
		eachWay(t, tt.desc, func(t *testing.T, w way) {
			l := newLab(t, testproxy.Config{})
			tt.change(l)
			_, err := (&http.Client{Transport: l.rt}).Get(w.target("/"))
			scanned.Error(t.Name(), err)
			_, ok := errors.AsType[*proxyauth.Error](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, tt.want, os.IsTimeout(err), err)
			ne, ok := errors.AsType[net.Error](err)
			require.True(t, ok)
			require.Equal(t, tt.want, ne.Timeout(), err)
		})
	}
	require.False(t, (*proxyauth.Error)(nil).Timeout())
}
