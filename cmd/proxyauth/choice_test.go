package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// The target is one that net/http does not take for this machine, and that does not resolve.
const outside = "http://origin.invalid/"

func TestProxyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	l := newLab(t, testproxy.Config{}, newAccounts())
	proxy := l.proxy.URL().String()
	for _, tt := range []struct {
		desc    string
		env     []string
		target  string
		source  string
		reason  string // why there is none
		cause   string // empty means works
		details string
		fix     string // among others
	}{
		{desc: "HTTP_PROXY", env: []string{"HTTP_PROXY=" + proxy}, source: "HTTP_PROXY"},
		{desc: "http_proxy", env: []string{"http_proxy=" + l.proxy.Addr()}, source: "http_proxy"},
		{desc: "HTTPS_PROXY", env: []string{"HTTPS_PROXY=" + proxy}, target: "https://origin.invalid/", source: "HTTPS_PROXY", cause: "target_certificate"},
		{
			desc: "the one for the other scheme", env: []string{"HTTPS_PROXY=" + proxy, "ALL_PROXY=" + proxy},
			reason: "HTTP_PROXY is not set", cause: "no_proxy", details: "HTTPS_PROXY is set, and is for https:// URLs only",
		},
		{desc: "ALL_PROXY", env: []string{"all_proxy=" + proxy}, reason: "HTTP_PROXY is not set", cause: "no_proxy", details: "ALL_PROXY is set, which Go programs don't read"},
		{
			desc: "NO_PROXY", env: []string{"HTTP_PROXY=" + proxy, "NO_PROXY=localhost, .example.org,.Invalid:80"},
			source: "HTTP_PROXY", reason: "the entry .Invalid:80 of NO_PROXY matches", cause: "no_proxy", fix: "take that entry out of NO_PROXY",
		},
		{desc: "localhost", env: []string{"HTTP_PROXY=" + proxy}, target: "http://localhost:1/", source: "HTTP_PROXY", reason: "localhost", cause: "no_proxy", fix: "Check that the service runs"},
		{desc: "SOCKS", env: []string{"HTTP_PROXY=socks5://127.0.0.1:1"}, source: "HTTP_PROXY", cause: "proxy_unreachable", fix: "host and port of the SOCKS proxy"},
		{
			desc: "not a URL", env: []string{"HTTP_PROXY=http://ann:" + password + "%zz@" + l.proxy.Addr()},
			source: "HTTP_PROXY", cause: "proxy_url_invalid",
		},
		{
			desc: "misread", env: []string{"HTTP_PROXY=http://CORP\\ann:" + password + "@" + l.proxy.Addr()},
			source: "HTTP_PROXY", cause: "proxy_url_invalid",
		},
		{
			desc: "CGI", env: []string{"HTTP_PROXY=" + proxy, "REQUEST_METHOD=GET"},
			source: "HTTP_PROXY", reason: "REQUEST_METHOD", cause: "no_proxy", fix: "Unset REQUEST_METHOD",
		},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			t.Parallel()
			target := tt.target
			if target == "" {
				target = outside
			}
			c := command{args: []string{"doctor", target}, env: tt.env}
			report := c.json(t)
			cause := tt.cause
			if cause == "" {
				cause = "works"
			}
			require.Equal(t, cause, report.Verdict.Cause, "%+v", report)
			require.Contains(t, report.Verdict.Fix, tt.fix)
			require.Equal(t, tt.source, report.Proxy.Source)
			require.Contains(t, report.Proxy.Reason, tt.reason)
			require.Equal(t, tt.reason != "" || cause == "proxy_url_invalid", report.Proxy.URL == "")
			step := stepOf(t, report, "proxy")
			if tt.details != "" {
				require.Contains(t, step.Details, tt.details)
			}
		})
	}
}

func TestTargetWithoutProxy(t *testing.T) {
	t.Parallel()
	l := newLab(t, testproxy.Config{}, newAccounts())
	report := command{args: []string{"doctor", l.target(forward, "/")}}.json(t)
	require.Equal(t, "works", report.Verdict.Cause)
	require.Equal(t, 200, report.Target.Direct.Status)
	report = command{args: []string{"doctor", l.target(forward, "/401")}}.json(t)
	require.Equal(t, "target_unauthorized", report.Verdict.Cause)
}

// The flag is what counts, and a password in it is warned of.
func TestProxyOfTheFlag(t *testing.T) {
	t.Parallel()
	users := newAccounts()
	l := newLab(t, basicProxy(users), users)
	c := command{
		args: []string{"doctor", "-proxy", "ann:" + password + "@" + l.proxy.Addr(), outside},
		env:  []string{"HTTP_PROXY=http://proxy.invalid:3128", "NO_PROXY=*"},
	}
	report := c.json(t)
	require.Equal(t, "works", report.Verdict.Cause)
	require.Equal(t, l.proxy.URL().String(), report.Proxy.URL)
	require.Equal(t, "-proxy", report.Proxy.Source)
	require.Contains(t, stepOf(t, report, "proxy").Details, "NO_PROXY is not looked at because of -proxy")
	require.Contains(t, stepOf(t, report, "proxy").Details[0], "others on this machine can see the password")
	require.Equal(t, "user info of the proxy's URL", report.Credentials[0].Name)
	require.True(t, report.Credentials[0].Found)
}

func TestWhereCredentialsComeFrom(t *testing.T) {
	t.Parallel()
	users := newAccounts()
	l := newLab(t, basicProxy(users), users)
	netrc := write(t, "netrc", []byte("machine 127.0.0.1 login ann password "+password+"\n"))
	malformed := write(t, "netrc", []byte("machine 127.0.0.1 login ann password "+password+" password again\n"))
	proxy := "HTTP_PROXY=" + l.proxy.URL().String()
	for _, tt := range []struct {
		desc   string
		env    []string
		flags  []string
		source string // where they were found
		cause  string // empty means works
	}{
		{desc: "URL", env: []string{"HTTP_PROXY=http://ann:" + password + "@" + l.proxy.Addr()}, source: "user info of the proxy's URL"},
		{desc: "environment", env: []string{proxy, "PROXY_USER=ann", "PROXY_PASSWORD=" + password}, source: "environment"},
		{desc: "environment, the user in the URL", env: []string{"HTTP_PROXY=http://ann@" + l.proxy.Addr(), "PROXY_PASSWORD=" + password}, source: "environment"},
		{desc: "netrc", env: []string{proxy, "NETRC=" + netrc}, source: "netrc"},
		{desc: "netrc, another user", env: []string{proxy, "NETRC=" + netrc}, flags: []string{"-user", "bob"}, cause: "no_credentials"},
		{desc: "environment, another user", env: []string{proxy, "PROXY_USER=ann", "PROXY_PASSWORD=" + password}, flags: []string{"-user", "bob"}, cause: "no_credentials"},
		{desc: "none", env: []string{proxy}, cause: "no_credentials"},
		{desc: "user name alone", env: []string{"HTTP_PROXY=http://ann@" + l.proxy.Addr()}, cause: "no_credentials"},
		{desc: "malformed", env: []string{proxy, "NETRC=" + malformed}, cause: "no_credentials"},
		{desc: "password missing", env: []string{proxy, "PROXY_USER=ann"}, cause: "no_credentials"},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			t.Parallel()
			report := command{args: append(append([]string{"doctor"}, tt.flags...), outside), env: tt.env}.json(t)
			last := report.Credentials[len(report.Credentials)-1]
			if tt.cause != "" {
				require.Equal(t, tt.cause, report.Verdict.Cause, "%+v", report)
				require.False(t, last.Found)
				require.NotEmpty(t, last.Text)
				return
			}
			require.Equal(t, "works", report.Verdict.Cause, "%+v", report)
			require.Equal(t, tt.source, last.Name)
			require.True(t, last.Found)
			require.Equal(t, user, last.User)
		})
	}
	require.Zero(t, users.Failures(user))
	require.Zero(t, users.Failures("bob"))
}

// An empty password is not sent, wherever it comes from: it would count as a wrong one.
func TestEmptyPasswordIsNotSent(t *testing.T) {
	t.Parallel()
	users := newAccounts()
	l := newLab(t, basicProxy(users), users)
	netrc := write(t, "netrc", []byte("machine 127.0.0.1 login ann password \"\"\n"))
	proxy := "HTTP_PROXY=" + l.proxy.URL().String()
	for _, tt := range []struct {
		desc   string
		env    []string
		source string
	}{
		{"environment", []string{proxy, "PROXY_USER=ann", "PROXY_PASSWORD="}, "environment"},
		{"netrc", []string{proxy, "NETRC=" + netrc}, "netrc"},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			t.Parallel()
			report := command{args: []string{"doctor", outside}, env: tt.env}.json(t)
			require.Equal(t, "no_credentials", report.Verdict.Cause, "%+v", report)
			require.Contains(t, report.Verdict.Fix, "The password from "+tt.source+" is empty")
		})
	}
	t.Cleanup(func() { require.Zero(t, users.Failures(user)) })
}

// What to do about missing credentials names the variable or flag that is in use.
func TestMissingCredentialsNameTheVariable(t *testing.T) {
	t.Parallel()
	users := newAccounts()
	l := newLab(t, basicProxy(users), users)
	proxy := l.proxy.URL().String()
	for _, tt := range []struct {
		desc   string
		env    []string
		flags  []string
		target string
		want   string
		not    string
	}{
		{"HTTP_PROXY", []string{"HTTP_PROXY=" + proxy}, nil, outside, "(HTTP_PROXY=http://user:password@host:port)", "HTTPS_PROXY"},
		{"http_proxy", []string{"http_proxy=" + proxy}, nil, outside, "(http_proxy=http", "HTTPS_PROXY"},
		{"HTTPS_PROXY", []string{"HTTPS_PROXY=" + proxy}, nil, "https://origin.invalid/", "(HTTPS_PROXY=http", "HTTP_PROXY"},
		{"-proxy", nil, []string{"-proxy", proxy}, outside, "URL of -proxy", "HTTP"},
		{"-user", nil, []string{"-proxy", proxy, "-user", "ann"}, outside, "For user ann, give the password with -password-stdin", "-user or"},
		{"PROXY_USER", []string{"HTTP_PROXY=" + proxy, "PROXY_USER=ann"}, nil, outside, "For user ann, give the password with -password-stdin", "-user or"},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			t.Parallel()
			report := command{args: append(append([]string{"doctor"}, tt.flags...), tt.target), env: tt.env}.json(t)
			require.Equal(t, "no_credentials", report.Verdict.Cause, "%+v", report)
			require.Contains(t, report.Verdict.Fix, tt.want)
			require.NotContains(t, report.Verdict.Fix, tt.not)
		})
	}
}

// Each kind of mistake in the URL of a proxy is named, and nothing of the URL is shown.
func TestInvalidProxyURLs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"http://ann:` + password + `@127.0.0.1:1"`:   "quotation marks",
		"http://ann:" + password + " x@127.0.0.1:1":   "blanks",
		"http:/127.0.0.1:1":                           "two slashes",
		"http:ann:" + password + "@127.0.0.1:1":       "two slashes",
		"ftp://ann:" + password + "@127.0.0.1:1":      "ftp://",
		"http://ann:" + password + "@127.0.0.1:99999": "65535",
		"http://ann:" + password + "@:1":              "no host",
		"http://127.0.0.1:" + password:                "65535",
		"http://http://127.0.0.1:1":                   "twice",
		"http://2001:db8::1:3128":                     "colon",
		`http://CORP\ann:` + password + "@127.0.0.1":  "user name or password",
	} {
		for _, c := range []command{
			{args: []string{"doctor", "-proxy", text, outside}},
			{args: []string{"doctor", outside}, env: []string{"HTTP_PROXY=" + text}},
		} {
			report := c.json(t)
			require.Equal(t, "proxy_url_invalid", report.Verdict.Cause, "%+v", report)
			require.Contains(t, report.Verdict.Text, want)
			require.NotEmpty(t, report.Verdict.Fix)
		}
	}
}
