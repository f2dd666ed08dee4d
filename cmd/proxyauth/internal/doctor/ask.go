package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-proxyauth/proxyauth"
)

const (
	userAgent = "proxyauth-doctor"

	// maxHead bounds the head of an answer.
	maxHead = 256 << 10

	// maxInterim bounds the 1xx answers before an answer.
	maxInterim = 8
)

// A bare request has no authorization.
type bare struct {
	method, uri, host string
}

// bareGet returns the request for a URL in the form for a proxy, or for its host alone if
// the URL is for a tunnel.
func bareGet(target *url.URL) bare {
	if target.Scheme == "http" {
		u := *target
		u.User, u.Fragment = nil, ""
		if u.Path == "" {
			u.Path = "/"
		}
		return bare{http.MethodGet, u.String(), target.Host}
	}
	host := target.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return bare{http.MethodGet, "http://" + host + "/", host}
}

// bareConnect returns the request for a tunnel. For an http:// URL, whose port proxies open
// no tunnel to, it is that of https://.
func bareConnect(target *url.URL) bare {
	address := addressOf(target)
	if target.Scheme == "http" {
		address = net.JoinHostPort(target.Hostname(), "443")
	}
	return bare{http.MethodConnect, address, address}
}

func (b bare) lines() []string {
	lines := []string{b.method + " " + b.uri + " HTTP/1.1", "Host: " + b.host, "User-Agent: " + userAgent}
	if b.method == http.MethodGet {
		lines = append(lines, "Connection: close")
	}
	return lines
}

// ask sends a request and returns the answer without its body.
func ask(conn net.Conn, b bare) (*http.Response, error) {
	if _, err := io.WriteString(conn, strings.Join(b.lines(), "\r\n")+"\r\n\r\n"); err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: conn, N: maxHead}
	r := bufio.NewReader(limited)
	const version = "HTTP/"
	begin, err := r.Peek(len(version))
	if len(begin) == 0 {
		return nil, err
	}
	first := string(begin)
	for range maxInterim {
		resp, err := http.ReadResponse(r, &http.Request{Method: b.method})
		_, broken := errors.AsType[net.Error](err)
		switch {
		case err != nil && first != version:
			return nil, notHTTP(first[0])
		case limited.N <= 0, err != nil && !broken && !errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errMalformed // err quotes the line
		case err != nil || resp.StatusCode >= 200:
			return resp, err
		}
	}
	return nil, errors.New("too many 1xx answers")
}

// errMalformed is the error for an answer of HTTP that breaks its syntax.
var errMalformed = errors.New("a line of its status or header breaks the syntax of HTTP, or the header is too long")

// notHTTP is the error for an answer that is not HTTP. It is the first octet.
type notHTTP byte

func (notHTTP) Error() string { return "it does not speak HTTP" }

// isAlert reports whether the answer may be an alert of TLS (RFC 8446, Section 5.1).
func (n notHTTP) isAlert() bool { return n == 0x15 }

// A probe is a bare request with its answer.
type probe struct {
	bare
	resp *http.Response // nil for none
	err  error
	took time.Duration
	date time.Time // when the answer came
}

// offer finds out what the proxy asks for.
func (d *diagnosis) offer(ctx context.Context) *Verdict {
	both := []*probe{{bare: bareGet(d.target)}, {bare: bareConnect(d.target)}}
	var wg sync.WaitGroup
	for _, a := range both {
		wg.Go(func() { d.ask(ctx, a) })
	}
	wg.Wait()
	decides := both[0]
	if d.target.Scheme == "https" {
		decides = both[1]
	}
	if v := d.speaks(ctx, both, decides); v != nil {
		return v
	}
	d.decides = decides
	d.clock(both)
	d.servers, d.connectStatus = serversOf(both), both[1].status()
	d.opensUnasked = both[1].status()/100 == 2 && decides.status() == http.StatusProxyAuthRequired
	made, v := d.foreign(ctx, both)
	var details, headers []string
	for _, a := range made {
		o := d.offerOf(a)
		d.report.Offers = append(d.report.Offers, o)
		details = append(details, o.line())
		for _, c := range o.Challenges {
			details = append(details, "  Proxy-Authenticate: "+c)
		}
		headers = append(headers, d.exchangeLines(a)...)
	}
	step := Step{Name: "offer", Result: resultOf(decides), Text: decides.summary(), Details: details, Headers: headers}
	if v != nil {
		step.Result, step.Text = Failed, v.Text
	}
	d.stepWith(step)
	return v
}

func (d *diagnosis) ask(ctx context.Context, a *probe) {
	begin := time.Now()
	conn, err := d.open(ctx, d.proxy.Scheme == "https")
	if err != nil {
		a.err = err
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	a.resp, a.err = ask(conn, a.bare)
	a.date = time.Now()
	a.took = a.date.Sub(begin)
}

// speaks finds out whether the proxy speaks HTTP, and in the way that its URL says.
func (d *diagnosis) speaks(ctx context.Context, both []*probe, decides *probe) *Verdict {
	if ctx.Err() != nil {
		return cancelled()
	}
	if d.proxy.Scheme == "http" {
		d.report.TLS = &TLS{}
		if mayWantTLS(decides) && d.speaksTLS(ctx) {
			d.report.TLS.Spoken = true
			text := "the proxy speaks TLS, and its URL begins with http://"
			d.step("tls", Failed, text)
			return finding(proxyauth.CauseProxyUnreachable, text,
				fmt.Sprintf("Use https:// in place of http:// in the proxy's URL (%s): https://%s.", d.report.Proxy.Source, d.proxy.Host))
		}
		d.step("tls", OK, "none, as the proxy's URL says")
	}
	if errors.Is(decides.err, errMalformed) {
		text := "the answer to " + decides.method + " is malformed: " + errMalformed.Error()
		d.step("offer", Failed, text)
		return finding(proxyauth.CauseProxyFailed, text, "Ask whoever runs the proxy on "+addressOf(d.proxy)+", or what is before it, to mend the answer; net/http and this library take none like it.")
	}
	if slices.ContainsFunc(both, func(a *probe) bool { return a.resp != nil }) {
		return nil
	}
	if _, other := errors.AsType[notHTTP](decides.err); other {
		text := "what listens on " + addressOf(d.proxy) + " does not speak HTTP"
		d.step("offer", Failed, text)
		return finding(proxyauth.CauseNotAProxy, text, "Check host and port in "+d.report.Proxy.Source+": something other than an HTTP proxy listens there.")
	}
	text := "the proxy gives no answer: " + d.noAnswer(decides.err)
	d.step("offer", Failed, text)
	fix := "The proxy accepts connections and does not answer: it may be overloaded, or closed to this machine"
	if isTimeout(decides.err) {
		fix += ", or wait for the target, or for the target's name; try a longer -timeout"
	}
	return finding(proxyauth.CauseProxyFailed, text, fix+". Check host and port in "+d.report.Proxy.Source+", and ask whoever runs the proxy.")
}

// mayWantTLS reports whether an answer in the clear may come from a server that wants TLS.
// Some say so in the clear, some send an alert, some close the connection; none is silent.
func mayWantTLS(a *probe) bool {
	if a.resp != nil {
		return a.resp.StatusCode == http.StatusBadRequest
	}
	if isTimeout(a.err) {
		return false
	}
	other, ok := errors.AsType[notHTTP](a.err)
	return !ok || other.isAlert()
}

// noAnswer puts the error of a request in few words.
func (d *diagnosis) noAnswer(err error) string {
	if isTimeout(err) {
		return fmt.Sprintf("nothing within %v", d.config.Timeout)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return "the connection is broken off: " + printable(e.Err.Error())
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the connection is closed"
	}
	return printable(err.Error())
}

func (d *diagnosis) offerOf(a *probe) Offer {
	o := Offer{Op: a.method, Target: without(a.uri), Millis: millis(a.took)}
	if a.resp == nil {
		o.Error = d.noAnswer(a.err)
		return o
	}
	o.Status, o.Server = a.resp.StatusCode, d.secrets.clean(a.resp.Header.Get("Server"))
	if o.Status != http.StatusProxyAuthRequired {
		return o
	}
	for _, line := range a.resp.Header.Values("Proxy-Authenticate") {
		o.Challenges = append(o.Challenges, printable(line))
	}
	o.Challenges = bounded(o.Challenges)
	challenges, err := proxyauth.ParseChallenges(a.resp.Header)
	o.Schemes = schemesOf(challenges)
	if err != nil {
		o.Malformed = strings.ReplaceAll(printable(err.Error()), "proxyauth: ", "")
	}
	return o
}

// without returns a URI without its query.
func without(uri string) string {
	before, _, found := strings.Cut(uri, "?")
	if found {
		before += "?…"
	}
	return printable(before)
}

func (o Offer) line() string {
	line := o.Op + " " + o.Target + ": "
	switch {
	case o.Status == 0:
		return line + o.Error
	case o.Malformed != "":
		return fmt.Sprintf("%s%d, malformed: %s", line, o.Status, o.Malformed)
	}
	return fmt.Sprintf("%s%d %s (%v)", line, o.Status, http.StatusText(o.Status), o.Millis)
}

// resultOf tells the step's result from the answer that decides.
func resultOf(a *probe) Result {
	switch {
	case a.resp == nil:
		return Failed
	case a.resp.StatusCode/100 == 2, a.resp.StatusCode == http.StatusProxyAuthRequired:
		return OK
	}
	return Warning
}

func (a *probe) summary() string {
	switch {
	case a.resp == nil:
		return "no answer to " + a.method
	case a.resp.StatusCode != http.StatusProxyAuthRequired:
		return fmt.Sprintf("%s is answered with %d, without a question for authentication", a.method, a.resp.StatusCode)
	}
	if names := schemesOf(a.challenges()); len(names) > 0 {
		return "asks for " + listed(names)
	}
	return "407 without a challenge that can be read"
}

// challenges returns those of a 407.
func (a *probe) challenges() []proxyauth.Challenge {
	if a == nil || a.resp == nil || a.resp.StatusCode != http.StatusProxyAuthRequired {
		return nil
	}
	return parsed(a.resp.Header.Values("Proxy-Authenticate")...)
}

// exchangeLines returns request and answer, if headers are wanted.
func (d *diagnosis) exchangeLines(a *probe) (lines []string) {
	if !d.config.Headers {
		return nil
	}
	for i, line := range a.lines() {
		if i == 0 {
			line = a.method + " " + without(a.uri) + " HTTP/1.1"
		}
		lines = append(lines, "> "+printable(line))
	}
	if a.resp == nil {
		return lines
	}
	return append(lines, d.answerLines(a.resp.StatusCode, a.resp.Header)...)
}

func (d *diagnosis) answerLines(status int, header http.Header) (lines []string) {
	lines = append(lines, fmt.Sprintf("< %d %s", status, http.StatusText(status)))
	for _, line := range d.secrets.header(header) {
		lines = append(lines, "< "+line)
	}
	return lines
}

// clock compares the proxy's clock with this machine's.
func (d *diagnosis) clock(both []*probe) {
	for _, a := range both {
		if a.resp == nil || a.resp.StatusCode != http.StatusProxyAuthRequired {
			continue // the answer may be the target's
		}
		if date, err := http.ParseTime(a.resp.Header.Get("Date")); err == nil {
			skew := date.Sub(a.date).Round(time.Second)
			d.skew = &skew
			return
		}
	}
}

// schemesOf returns the auth-schemes of challenges, each once.
func schemesOf(challenges []proxyauth.Challenge) (names []string) {
	for _, c := range challenges {
		name := printable(c.Scheme)
		if !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
			names = append(names, name)
		}
	}
	return names
}

func listed(names []string) string { return strings.Join(names, ", ") }
