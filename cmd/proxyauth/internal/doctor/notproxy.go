package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/go-proxyauth/proxyauth"
)

// nowhere is a URL that no proxy can reach (RFC 6761, Section 6.4).
var nowhere = &url.URL{Scheme: "http", Host: "proxyauth-doctor.invalid"}

// foreign returns a verdict if the answers to the bare requests are not those of a proxy that
// looks after the target: of a web server, of a network's own sign-in, or of what is behind the
// proxy. It adds the request that it makes, if it makes one, to those that were made.
func (d *diagnosis) foreign(ctx context.Context, made []*probe) ([]*probe, *Verdict) {
	get, connect := made[0], made[1]
	switch {
	case d.decides.status() == http.StatusNetworkAuthenticationRequired,
		d.decides == connect && isRedirect(connect.status()),
		isRedirect(get.status()) && isRedirect(connect.status()):
		return made, d.portal()
	case d.decides == get && isPassedOn(get) && connect.status()/100 == 2:
		return made, finding(causeTarget, "the 407 comes from behind the proxy, which asks for nothing itself",
			"It has a Via field, and a tunnel is opened without a question: no credentials were sent. "+
				"Ask whoever runs the target, or another proxy on the way to it, what the 407 is to say: it is a proxy's.")
	case mayBeWebServer(get, connect):
		other := &probe{bare: bareGet(nowhere)}
		d.ask(ctx, other)
		made = append(made, other)
		if status := other.status(); status != 0 && status < 500 && status != http.StatusProxyAuthRequired {
			return made, finding(proxyauth.CauseNotAProxy,
				fmt.Sprintf("what listens on %s is a web server, and no proxy: it does not know CONNECT (%s), and answers %d for a host that does not exist",
					addressOf(d.proxy), connect.outcome(), status),
				"Check host and port in "+d.report.Proxy.Source+": something other than an HTTP proxy listens there.")
		}
	}
	return made, nil
}

// portal returns the verdict on an answer that sends a person to a page of the network's.
func (d *diagnosis) portal() *Verdict {
	return d.portalOf(d.decides.method, d.decides.status(), d.decides.resp.Header)
}

func (d *diagnosis) portalOf(method string, status int, h http.Header) *Verdict {
	text := fmt.Sprintf("a web page wants a sign-in first: %s is answered with %s", method, statusText(status))
	if to := d.redirectOf(h); to != "" {
		text += ", to " + to
	}
	return finding(causePortal, text, portalFix)
}

// isPortals reports whether the library's error is an answer to a CONNECT that sends a person to
// a page.
func isPortals(e *proxyauth.Error) bool {
	return e.Op == http.MethodConnect && (isRedirect(e.Status) || e.Status == http.StatusNetworkAuthenticationRequired)
}

const portalFix = "Open any page in a browser on this machine, sign in where it leads, and try again. " +
	"The sign-in is one of the network, or of the proxy, that programs can't do. If the page says that the target is blocked, ask whoever runs the proxy."

// redirectOf returns where an answer redirects to, without path and query, "" if nowhere.
func (d *diagnosis) redirectOf(h http.Header) string {
	u, err := url.Parse(h.Get("Location"))
	if err != nil || u.Host == "" {
		return ""
	}
	return d.secrets.clean(u.Scheme + "://" + u.Host)
}

func isRedirect(status int) bool { return status/100 == 3 && status != http.StatusNotModified }

// isPassedOn reports whether a 407 looks as if the proxy had received it. squid puts Via into
// its own, too.
func isPassedOn(a *probe) bool {
	return a.status() == http.StatusProxyAuthRequired && a.resp.Header.Get("Via") != "" && a.resp.Header.Get("X-Squid-Error") == ""
}

// mayBeWebServer reports whether the answers to GET and CONNECT may be those of a web server.
func mayBeWebServer(get, connect *probe) bool {
	if get.status() == 0 || get.status() == http.StatusProxyAuthRequired || get.resp.Header.Get("Via") != "" {
		return false
	}
	switch connect.status() {
	case 0, http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return isRedirect(connect.status())
}

// status returns the status of the answer, 0 for none.
func (a *probe) status() int {
	if a == nil || a.resp == nil {
		return 0
	}
	return a.resp.StatusCode
}

// outcome returns the status in words.
func (a *probe) outcome() string {
	if a.resp == nil {
		return "no answer"
	}
	return statusText(a.resp.StatusCode)
}

// statusText returns a status and what it means.
func statusText(status int) string {
	if text := http.StatusText(status); text != "" {
		return fmt.Sprintf("%d %s", status, text)
	}
	return fmt.Sprint(status)
}
