package main

import (
	"encoding/base64"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
)

// A lab is a proxy with an origin of each kind behind it.
type lab struct {
	proxy         *testproxy.Proxy
	plain, secure *testproxy.Origin
	users         *testproxy.Accounts
	ca            string // a file
}

// newLab starts a lab.
func newLab(t *testing.T, config testproxy.Config, users *testproxy.Accounts) *lab {
	t.Helper()
	l := &lab{users: users, ca: write(t, "ca.pem", ca.PEM())}
	l.plain = testproxy.StartOrigin(t, testproxy.OriginConfig{Handler: http.HandlerFunc(answer)})
	l.secure = testproxy.StartOrigin(t, testproxy.OriginConfig{Handler: http.HandlerFunc(answer), TLS: ca.ServerConfig("127.0.0.1")})
	config.Hosts = map[string]string{"origin.invalid:80": l.plain.Addr(), "origin.invalid:443": l.secure.Addr()}
	l.proxy = testproxy.Start(t, config)
	return l
}

// answer answers with the status that the path names.
func answer(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/401":
		w.Header().Set("WWW-Authenticate", "Basic realm=origin")
		w.WriteHeader(http.StatusUnauthorized)
	case "/407":
		w.WriteHeader(http.StatusProxyAuthRequired)
	case "/403":
		w.WriteHeader(http.StatusForbidden)
	case "/502":
		w.WriteHeader(http.StatusBadGateway)
	case "/500":
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func newAccounts() *testproxy.Accounts {
	return &testproxy.Accounts{Passwords: map[string]string{user: password}}
}

// A way is how a request takes the proxy.
type way string

const (
	forward way = "forwarded"
	tunnel  way = "tunnelled"
)

// target returns a URL of the origin that takes the way.
func (l *lab) target(w way, path string) string {
	if w == tunnel {
		return l.secure.URL() + path
	}
	return l.plain.URL() + path
}

// doctor returns the command for a target, with a password on standard input.
func (l *lab) doctor(password, target string, flags ...string) command {
	args := []string{"doctor", "-proxy", l.proxy.URL().String(), "-ca", l.ca}
	stdin := ""
	if password != "" {
		args, stdin = append(args, "-user", user, "-password-stdin"), password+"\n"
	}
	return command{args: append(append(args, flags...), target), stdin: stdin}
}

// A diagnosis is what doctor should find.
type diagnosis struct {
	desc   string
	config func(*testproxy.Accounts) testproxy.Config
	only   way    // empty means both
	path   string // empty means /
	with   string // the password, empty for none
	flags  []string
	change func(*testing.T, *lab, *command)

	cause string
	text  string // among others
	fix   string // among others; empty for a success
	legs  []string
}

func basicProxy(users *testproxy.Accounts) testproxy.Config {
	return testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Accounts: users, Realm: "lab"}}}
}

func digestProxy(users *testproxy.Accounts) testproxy.Config {
	return testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Digest{Accounts: users, Realm: "lab"}}}
}

func ntlmProxy(users *testproxy.Accounts) testproxy.Config {
	return testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.NTLM{Server: &ntlmserver.Server{Users: users.Passwords}}}}
}

func openProxy(*testproxy.Accounts) testproxy.Config { return testproxy.Config{} }

// with returns a configuration with a fault.
func with(config func(*testproxy.Accounts) testproxy.Config, fault testproxy.Fault) func(*testproxy.Accounts) testproxy.Config {
	return func(users *testproxy.Accounts) testproxy.Config {
		c := config(users)
		c.Fault = fault
		return c
	}
}

// offering returns a configuration that offers other lines than it stands by.
func offering(lines ...string) func(*testproxy.Accounts) testproxy.Config {
	return with(basicProxy, testproxy.On(407, testproxy.Offer(lines...)))
}

// via replaces the proxy's URL by what f makes of it.
func via(f func(proxy *url.URL) string) func(*testing.T, *lab, *command) {
	return func(_ *testing.T, l *lab, c *command) { c.args[2] = f(l.proxy.URL()) }
}

func overTLS(hosts ...string) func(*testproxy.Accounts) testproxy.Config {
	return func(users *testproxy.Accounts) testproxy.Config {
		c := basicProxy(users)
		c.TLS = ca.ServerConfig(hosts...)
		return c
	}
}

// diagnoses are those of DESIGN.md, section 7, that have nothing to do with Kerberos.
var diagnoses = []diagnosis{
	// What works.
	{desc: "no authentication", config: openProxy, cause: "works", text: "200"},
	{desc: "Basic", config: basicProxy, with: password, cause: "works", text: "accepts Basic", legs: []string{"", "Basic"}},
	{desc: "Digest", config: digestProxy, with: password, cause: "works", text: "accepts Digest", legs: []string{"", "Digest"}},
	{desc: "NTLM", config: ntlmProxy, with: password, cause: "works", text: "accepts NTLM", legs: []string{"", "NTLM", "NTLM"}},
	{desc: "TLS", config: overTLS("127.0.0.1"), with: password, cause: "works", text: "accepts Basic"},

	// The proxy is not there.
	{
		desc: "unknown name", config: basicProxy, change: via(func(*url.URL) string { return "http://proxy.invalid:3128" }),
		cause: "proxy_unreachable", text: "proxy.invalid", fix: "-proxy",
	},
	{
		desc: "closed port", config: basicProxy, change: via(func(*url.URL) string { return "http://127.0.0.1:1" }),
		cause: "proxy_unreachable", text: "refused", fix: "Nothing listens on port 1",
	},
	{
		desc: "https:// to a proxy without TLS", config: basicProxy, change: via(func(u *url.URL) string { return "https://" + u.Host }),
		cause: "proxy_unreachable", text: "does not speak TLS", fix: "Use http:// in place of https://",
	},
	{
		desc: "http:// to a proxy with TLS", config: overTLS("127.0.0.1"), change: via(func(u *url.URL) string { return "http://" + u.Host }),
		cause: "proxy_unreachable", text: "speaks TLS", fix: "Use https:// in place of http://",
	},
	{
		desc: "http:// to a server that says in the clear that it wants TLS", config: openProxy,
		change: func(_ *testing.T, l *lab, c *command) { c.args[2] = "http://" + l.secure.Addr() },
		cause:  "proxy_unreachable", text: "speaks TLS", fix: "Use https:// in place of http://",
	},
	{
		desc: "certificate of another name", config: overTLS("other.example.com"),
		cause: "proxy_unreachable", text: "not trusted", fix: "for which the certificate was made",
	},
	{
		desc: "certificate of another authority", config: overTLS("127.0.0.1"), change: func(_ *testing.T, _ *lab, c *command) { c.args = append(c.args[:3], c.args[5:]...) },
		cause: "proxy_unreachable", text: "not trusted", fix: "-ca FILE",
	},
	{
		desc: "not HTTP", config: with(openProxy, testproxy.Always(testproxy.Garbage("SSH-2.0-OpenSSH\r\n"))),
		cause: "not_a_proxy", text: "does not speak HTTP", fix: "something other than an HTTP proxy",
	},
	{
		desc: "no answer", config: openProxy, change: func(t *testing.T, _ *lab, c *command) { c.args[2] = "http://" + startClosing(t) },
		cause: "proxy_failed", text: "no answer", fix: "ask whoever runs the proxy",
	},
	{
		desc: "CONNECT is unknown", only: tunnel, config: with(openProxy, testproxy.OnMethod("CONNECT", testproxy.Refuse(405, ""))),
		cause: "not_a_proxy", text: "405", fix: "does not allow CONNECT",
	},
	{
		desc: "characters that are not percent-encoded", config: basicProxy,
		change: via(func(u *url.URL) string { return "http://CORP\\ann:x@" + u.Host }),
		cause:  "proxy_url_invalid", text: "-proxy", fix: "%5C",
	},
	{
		desc: "a scheme twice", config: basicProxy, change: via(func(u *url.URL) string { return "http://http://" + u.Host }),
		cause: "proxy_url_invalid", text: "-proxy", fix: "http://user:password@host:port",
	},

	// What it asks for.
	{desc: "no scheme in common", config: offering(`Foo realm="lab"`, "Bar"), with: password, cause: "no_common_scheme", text: "no scheme", fix: "Foo, Bar"},
	{
		desc: "no scheme in common with -scheme", config: basicProxy, with: password, flags: []string{"-scheme", "digest,ntlm"},
		cause: "no_common_scheme", text: "no scheme", fix: "NTLM, Digest",
	},
	{desc: "no challenge", config: offering(), with: password, cause: "no_challenge", text: "does not say how", fix: "misconfigured"},
	{desc: "malformed challenge", config: offering(`="lab`), with: password, cause: "malformed_challenge", text: "can't be read", fix: "RFC 9110"},

	// Who asks.
	{desc: "no credentials", config: basicProxy, cause: "no_credentials", text: "none were found", fix: "into the URL of -proxy", legs: []string{""}},
	{desc: "wrong password", config: basicProxy, with: wrong, cause: "credentials_rejected", text: "the proxy refuses", fix: "expired", legs: []string{"", "Basic"}},
	{desc: "wrong password of NTLM", config: ntlmProxy, with: wrong, cause: "credentials_rejected", text: "the proxy refuses", fix: "locked"},
	{
		desc: "wrong password of NTLM over TLS", with: wrong, cause: "credentials_rejected", text: "the proxy refuses", fix: "decrypts TLS to the proxy",
		config: func(users *testproxy.Accounts) testproxy.Config {
			c := ntlmProxy(users)
			c.TLS = ca.ServerConfig("127.0.0.1")
			return c
		},
	},
	{
		desc: "wrong password, refused with 401", only: tunnel, with: wrong, cause: "credentials_rejected", text: "401", fix: "password",
		config: func(users *testproxy.Accounts) testproxy.Config {
			return testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Accounts: users, Realm: "lab", Refuse401: true}}}
		},
	},
	{
		desc: "user name that can't be sent", config: basicProxy, with: password, change: func(_ *testing.T, _ *lab, c *command) { c.args[6] = "CORP:ann" },
		cause: "scheme_failed", text: "no scheme", fix: "colon",
	},
	{
		desc: "password with a line break", config: basicProxy, change: func(_ *testing.T, l *lab, c *command) {
			c.args[2] = "http://ann:" + password + "%0A@" + l.proxy.Addr()
		},
		cause: "scheme_failed", text: "no scheme", fix: "control character",
	},
	{
		desc: "handshake broken off", config: with(ntlmProxy, testproxy.OnScheme("NTLM", testproxy.DropAt(testproxy.BeforeAnswer))), with: password,
		cause: "handshake_broken", text: "breaks off", fix: "keep-alive",
	},
	{
		desc: "proxy does not know the password", with: password, cause: "proxy_not_verified", text: "does not prove", fix: "not be your proxy",
		config: func(users *testproxy.Accounts) testproxy.Config {
			return testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Digest{Accounts: users, Realm: "lab", RspAuth: testproxy.RspAuthWrong}}}
		},
	},

	// What is behind it.
	{
		desc: "target denied", only: tunnel, config: with(basicProxy, testproxy.OnScheme("Basic", testproxy.Refuse(403, ""))), with: password,
		cause: "denied", text: "403", fix: "to port 443 alone",
	},
	{
		desc: "target denied, nobody asked", only: tunnel, config: with(openProxy, testproxy.Always(testproxy.Refuse(403, ""))),
		cause: "denied", text: "403", fix: "The proxy does not allow 127.0.0.1",
	},
	{
		desc: "target unreachable", config: with(basicProxy, testproxy.OnScheme("Basic", testproxy.Refuse(503, ""))), with: password,
		cause: "target_unreachable", text: "503", fix: "can't reach the target",
	},
	{
		desc: "proxy fails", only: tunnel, config: with(basicProxy, testproxy.OnScheme("Basic", testproxy.Refuse(429, ""))), with: password,
		cause: "proxy_failed", text: "429", fix: "ask whoever runs the proxy",
	},
	{
		desc: "no answer to the right password", only: forward, with: password, cause: "proxy_failed", text: "no answer comes back", fix: "-direct tells",
		config: with(basicProxy, testproxy.OnScheme("Basic", testproxy.DropAt(testproxy.BeforeAnswer))),
	},
	{
		desc: "target that is dead without the proxy, too", config: with(basicProxy, testproxy.OnScheme("Basic", testproxy.Refuse(503, ""))), with: password, flags: []string{"-direct"},
		change: func(_ *testing.T, _ *lab, c *command) { c.args[len(c.args)-1] = "https://127.0.0.1:1/" }, only: tunnel,
		cause: "target_unreachable", text: "503", fix: "does not answer without the proxy either",
	},
	{desc: "401 of the target", path: "/401", config: basicProxy, with: password, cause: "target_unauthorized", text: "401", fix: "The 401 is the target's"},
	{
		desc: "wrong password that is a word of the fix", config: basicProxy, with: "password",
		cause: "credentials_rejected", text: "refuses", fix: "the password is wrong",
	},
	{
		desc: "target denied by the proxy's page, nobody asked", only: forward, config: with(openProxy, testproxy.Always(&testproxy.Action{
			Status: 403, Header: http.Header{"X-Squid-Error": {"ERR_ACCESS_DENIED 0"}},
		})),
		cause: "denied", text: "403", fix: "whoever asks",
	},
	{desc: "403 of the target", path: "/403", config: basicProxy, with: password, cause: "target_forbidden", text: "403", fix: "-direct tells"},
	{
		desc: "403 of the target, also without the proxy", path: "/403", config: basicProxy, with: password, flags: []string{"-direct"},
		cause: "target_forbidden", text: "403", fix: "Without the proxy it answers 403, so that it is the target",
	},
	{desc: "500 of the target", path: "/500", config: basicProxy, with: password, cause: "target_failed", text: "500", fix: "come through"},
	{
		desc: "certificate of the target", only: tunnel, config: basicProxy, with: password, change: func(_ *testing.T, _ *lab, c *command) { c.args = append(c.args[:3], c.args[5:]...) },
		cause: "target_certificate", text: "not trusted", fix: "looks into TLS",
	},
	{
		desc: "denied by the proxy alone", only: tunnel, config: with(basicProxy, testproxy.OnScheme("Basic", testproxy.Refuse(403, ""))), with: password, flags: []string{"-direct"},
		cause: "denied", text: "403", fix: "Without the proxy the target answers",
	},
}

// startClosing starts a server that closes each connection, and returns its address.
func startClosing(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return ln.Addr().String()
}

// requireNoLibraryWords requires that a fix names nothing that only the author of a program can
// set.
func requireNoLibraryWords(t *testing.T, fix string) {
	t.Helper()
	require.NotRegexp(t, `\b(Transport|Error|Base|Request|Scheme|proxyauth|negotiate|digest|credentials)\.[A-Z]|\b(Preemptive|Insecure|Canonicalize|RequireMutual)`, fix)
}

func TestDiagnoses(t *testing.T) {
	t.Parallel()
	for row, tt := range diagnoses {
		ways := sample.Of(row, []way{forward, tunnel})
		if tt.only != "" {
			ways = []way{tt.only}
		}
		for _, w := range ways {
			t.Run(tt.desc+", "+string(w), func(t *testing.T) {
				t.Parallel()
				tt.check(t, w)
			})
		}
	}
}

// check runs doctor in both forms, each in a lab of its own: accounts count.
func (tt diagnosis) check(t *testing.T, w way) {
	call := func() (*lab, command) {
		users := newAccounts()
		l := newLab(t, tt.config(users), users)
		c := l.doctor(tt.with, l.target(w, "/"+strings.TrimPrefix(tt.path, "/")), tt.flags...)
		if tt.change != nil {
			tt.change(t, l, &c)
		}
		return l, c
	}
	l, c := call()
	report := c.json(t)
	require.Equal(t, tt.cause, report.Verdict.Cause, "%+v", report)
	require.Equal(t, tt.fix == "", report.Verdict.OK)
	require.Contains(t, report.Verdict.Text, tt.text)
	require.Contains(t, report.Verdict.Fix, tt.fix)
	if tt.legs != nil {
		var legs []string
		for _, leg := range report.Attempts[0].Legs {
			legs = append(legs, leg.Scheme)
		}
		require.Equal(t, tt.legs, legs)
	}
	requireNoLibraryWords(t, report.Verdict.Fix)
	requireOneStory(t, report)
	require.LessOrEqual(t, l.users.Failures(user), 1)
	if w == tunnel && tt.only == "" && sample.Thorough() {
		return // the text differs in nothing else from that of the forwarded request
	}

	_, c = call()
	c.args = append([]string{"doctor", "-v"}, c.args[1:]...)
	text := c.run(t)
	require.Empty(t, text.stderr)
	require.Equal(t, map[bool]int{true: exitOK, false: exitFinding}[report.Verdict.OK], text.exit)
	end := strings.Join(strings.Fields(text.stdout[strings.LastIndex(text.stdout, "\nverdict"):]), " ")
	require.Contains(t, end, "("+tt.cause+")")
	require.Contains(t, end, tt.fix)
	require.NotContains(t, text.stdout, "\x1b", "colours without a terminal")
}

// One refusal ends it, unless -try-all is set.
func TestRefusedPasswordIsSentOnce(t *testing.T) {
	t.Parallel()
	users := newAccounts()
	l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{
		&testproxy.Digest{Accounts: users, Realm: "lab"}, &testproxy.Basic{Accounts: users, Realm: "lab"},
	}}, users)
	report := l.doctor(wrong, l.target(tunnel, "/")).json(t)
	require.Equal(t, "credentials_rejected", report.Verdict.Cause)
	require.Equal(t, []string{"Digest", "Basic"}, report.Schemes.Common)
	require.Len(t, report.Attempts, 1)
	require.Equal(t, 1, users.Failures(user))

	report = l.doctor(wrong, l.target(tunnel, "/"), "-try-all").json(t)
	require.Equal(t, "credentials_rejected", report.Verdict.Cause)
	require.Len(t, report.Attempts, 2)
	require.Equal(t, []string{"Digest"}, report.Attempts[0].Schemes)
	require.Equal(t, []string{"Basic"}, report.Attempts[1].Schemes)
	require.Equal(t, 3, users.Failures(user), "once with each")

	// A handshake that breaks off says less than a refusal.
	ntlm := &testproxy.NTLM{Server: &ntlmserver.Server{Users: users.Passwords}}
	l.proxy.SetAuth(ntlm, &testproxy.Digest{Accounts: users, Realm: "lab"}, &testproxy.Basic{Accounts: users, Realm: "lab"})
	l.proxy.SetFault(testproxy.OnScheme("NTLM", testproxy.DropAt(testproxy.BeforeAnswer)))
	report = l.doctor(wrong, l.target(tunnel, "/"), "-try-all").json(t)
	require.Equal(t, "handshake_broken", report.Attempts[0].Cause)
	require.Equal(t, "credentials_rejected", report.Verdict.Cause, "%+v", report)

	report = l.doctor(password, l.target(tunnel, "/"), "-try-all").json(t)
	require.Equal(t, "works", report.Verdict.Cause)
	require.Len(t, report.Attempts, 3)
}

// What a proxy puts into the fields that doctor quotes is looked through as well.
func TestEchoedPasswordIsNotQuoted(t *testing.T) {
	t.Parallel()
	for _, echo := range []*testproxy.Action{
		{Status: 502, Header: http.Header{"X-Squid-Error": {password}, "Server": {password}}},
		{Status: 503, Header: http.Header{"Proxy-Status": {"proxy; error=\"" + password + "\""}}},
		{Status: 302, Header: http.Header{"Location": {"http://" + password + ".example.com/" + password}}},
		{Status: 200, Header: http.Header{"Server": {password}}},
	} {
		users := newAccounts()
		l := newLab(t, with(basicProxy, testproxy.OnScheme("Basic", echo))(users), users)
		for _, w := range []way{forward, tunnel} {
			got := l.doctor(password, l.target(w, "/"), "-v").run(t)
			require.NotContains(t, got.stdout, password)
		}
	}
}

// What a proxy sends back is looked through before it is shown.
func TestEchoedPasswordIsNotShown(t *testing.T) {
	t.Parallel()
	echo := func(r *http.Request) http.Header {
		secret := r.Header.Get("Proxy-Authorization")
		return http.Header{"X-Echo": {secret}, "Set-Cookie": {secret}, "Proxy-Authenticate": {`Basic realm="` + password + `"`}}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") == "" {
			w.Header().Set("Proxy-Authenticate", `Basic realm="lab"`)
		} else {
			maps.Copy(w.Header(), echo(r))
		}
		w.WriteHeader(http.StatusProxyAuthRequired)
	})}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	for _, target := range []string{"http://origin.invalid/", "https://origin.invalid/"} {
		args := []string{"doctor", "-v", "-proxy", ln.Addr().String(), "-user", user, "-password-stdin", target}
		got := command{args: args, stdin: password}.run(t)
		require.Equal(t, exitFinding, got.exit)
		require.Contains(t, got.stdout, "X-Echo: [removed]")
		require.Contains(t, got.stdout, "Proxy-Authorization: Basic [removed]")
		require.NotContains(t, got.stdout, password)
	}
}

// An authorization of Digest or NTLM lets a password be guessed at leisure, and is a secret, too,
// in whatever a proxy makes of it.
func TestEchoedAuthorizationIsNotShown(t *testing.T) {
	t.Parallel()
	for scheme, config := range map[string]func(*testproxy.Accounts) testproxy.Config{"Digest": digestProxy, "NTLM": ntlmProxy} {
		for _, w := range []way{forward, tunnel} {
			t.Run(scheme+" "+string(w), func(t *testing.T) {
				t.Parallel()
				users := newAccounts()
				l := newLab(t, with(config, func(leg *testproxy.Leg) *testproxy.Action {
					if leg.Status != http.StatusOK || leg.Scheme == "" {
						return nil
					}
					sent := leg.Header.Get("Proxy-Authorization")
					return &testproxy.Action{Status: 502, Header: http.Header{
						"X-Echo":       {sent},
						"X-Escaped":    {url.QueryEscape(sent)},
						"X-Quoted":     {strconv.Quote(sent)},
						"X-Parameters": {strings.TrimPrefix(sent, scheme+" ")},
						"Proxy-Status": {"proxy; error=" + sent},
					}}
				})(users), users)
				got := l.doctor(password, l.target(w, "/"), "-v").run(t)
				for _, field := range []string{"X-Echo", "X-Escaped", "X-Quoted", "X-Parameters", "Proxy-Status"} {
					require.Contains(t, got.stdout, field+": [removed]")
				}
				require.NotRegexp(t, `(?i)[0-9a-f]{32}"|TlRMTVNTUAAD`, after(got.stdout, "sign-in"))
			})
		}
	}
}

// What the target's URL has besides host and path is shown in no header either.
func TestEchoedTargetIsNotShown(t *testing.T) {
	t.Parallel()
	echo := func(leg *testproxy.Leg) *testproxy.Action {
		return &testproxy.Action{Status: 302, Header: http.Header{
			"Location": {"http://portal.example.com/?" + url.QueryEscape(leg.Target)},
			"X-Orig":   {leg.Target},
			"X-Echo":   {leg.Header.Get("Authorization")},
		}}
	}
	l := newLab(t, testproxy.Config{Fault: func(leg *testproxy.Leg) *testproxy.Action {
		if leg.Method != http.MethodGet {
			return nil
		}
		return echo(leg)
	}}, newAccounts())
	target := strings.Replace(l.target(forward, "/?token=t0ken&b=c%20d"), "://", "://tom:s3cret-of-tom@", 1)
	got := l.doctor("", target, "-v").run(t)
	require.Contains(t, got.stdout, "Location: [removed]")
	require.Contains(t, got.stdout, "X-Echo: [removed]")
	require.NotContains(t, got.stdout, "t0ken")
	require.NotContains(t, got.stdout, "s3cret-of-tom")
	require.NotContains(t, got.stdout, base64.StdEncoding.EncodeToString([]byte("tom:s3cret-of-tom")))
}

// Thousands of lines of a header don't bury the rest.
func TestManyLinesAreCutShort(t *testing.T) {
	t.Parallel()
	lines := slices.Repeat([]string{"Foo"}, 3000)
	l := newLab(t, offering(lines...)(newAccounts()), newAccounts())
	got := l.doctor("", l.target(forward, "/"), "-v").run(t)
	require.Less(t, strings.Count(got.stdout, "\n"), 700)
	require.Contains(t, got.stdout, "… and 2900 more")
}

// after returns what follows the first sep in text.
func after(text, sep string) string {
	_, rest, _ := strings.Cut(text, sep)
	return rest
}
