package doctor

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/proxyaddr"
)

// flagSource is the source of a proxy that the command line names.
const flagSource = "-proxy"

// choose finds out which proxy the target takes, and why. It returns nil for none.
func (d *diagnosis) choose() (*url.URL, *Verdict) {
	if d.config.Proxy != "" {
		return d.chosen(parseProxy(d.config.Proxy))
	}
	variable, value := proxyVariable(d.target.Scheme)
	d.report.Proxy = &Proxy{Source: variable}
	u, err := http.ProxyFromEnvironment(&http.Request{URL: d.target})
	_, flaw := parseProxy(value)
	switch {
	case err != nil: // of a CGI program
		return nil, d.none("HTTP_PROXY is not read in a CGI program (REQUEST_METHOD is set)")
	case value == "":
		d.report.Proxy.Source = ""
		return nil, d.none(variable+" is not set", hintsOfEnvironment(d.target.Scheme)...)
	case u != nil || flaw != nil: // net/http ignores what it can't parse
		return d.chosen(u, flaw)
	}
	return nil, d.none(whyBypassed(d.target))
}

// chosen reports the proxy in use, or why it can't be.
func (d *diagnosis) chosen(u *url.URL, flaw *flaw) (*url.URL, *Verdict) {
	p := d.report.Proxy
	if p == nil {
		p = &Proxy{Source: flagSource}
		d.report.Proxy = p
	}
	if flaw != nil {
		text := "the URL in " + p.Source + " can't be used: " + flaw.text
		d.step("proxy", Failed, text)
		return nil, finding(proxyauth.CauseProxyURLInvalid, text, flaw.fix)
	}
	p.URL = u.Scheme + "://" + u.Host
	var details []string
	if u.Port() == "" {
		details = append(details, "the URL names no port, so that it is "+portOf(u))
	}
	if _, hasPassword := u.User.Password(); hasPassword && p.Source == flagSource {
		details = append(details, "others on this machine can see the password in "+flagSource+"; use -password-stdin or the environment")
	}
	if p.Source == flagSource && noProxy() != "" {
		details = append(details, "NO_PROXY is not looked at because of "+flagSource)
	}
	d.step("proxy", OK, p.URL+", from "+p.Source, details...)
	return u, nil
}

// none reports that no proxy is used.
func (d *diagnosis) none(reason string, details ...string) *Verdict {
	d.report.Proxy.Reason = reason
	d.step("proxy", Warning, "none is used: "+reason, details...)
	return nil
}

// proxyVariable returns the environment variable that net/http reads for URLs with the
// scheme, and its value.
func proxyVariable(scheme string) (name, value string) {
	name = proxyaddr.Variable(scheme)
	return name, os.Getenv(name)
}

func noProxy() string {
	if value := os.Getenv("NO_PROXY"); value != "" {
		return value
	}
	return os.Getenv("no_proxy")
}

// hintsOfEnvironment names variables that are set, though not the one that counts.
func hintsOfEnvironment(scheme string) (hints []string) {
	other := map[string]string{"http": "https", "https": "http"}[scheme]
	if name, value := proxyVariable(other); value != "" {
		hints = append(hints, name+" is set, and is for "+other+":// URLs only")
	}
	if os.Getenv("ALL_PROXY")+os.Getenv("all_proxy") != "" {
		hints = append(hints, "ALL_PROXY is set, which Go programs don't read")
	}
	return hints
}

// portOf returns the port of a URL, or that of its scheme.
func portOf(u *url.URL) string {
	switch port := u.Port(); {
	case port != "":
		return port
	case u.Scheme == "https":
		return "443"
	case strings.HasPrefix(u.Scheme, "socks5"):
		return "1080"
	}
	return "80"
}

// addressOf returns host and port of a URL.
func addressOf(u *url.URL) string { return net.JoinHostPort(u.Hostname(), portOf(u)) }
