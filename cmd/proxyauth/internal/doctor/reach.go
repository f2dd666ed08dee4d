package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-proxyauth/proxyauth"
)

// maxAddresses bounds the addresses that are connected to.
const maxAddresses = 8

// reach finds out whether there is a way to the proxy. The first address that accepts
// connections is used from then on.
func (d *diagnosis) reach(ctx context.Context) *Verdict {
	addresses, v := d.resolve(ctx)
	if v != nil {
		return v
	}
	if v := d.connect(ctx, addresses); v != nil || d.proxy.Scheme != "https" {
		return v
	}
	return d.handshake(ctx)
}

// resolve returns the addresses of the proxy.
func (d *diagnosis) resolve(ctx context.Context) ([]string, *Verdict) {
	host := d.proxy.Hostname()
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{host}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.config.Timeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err == nil && len(addresses) > 0 {
		d.step("name", OK, fmt.Sprintf("%s is %s", host, listed(addresses)))
		return addresses[:min(len(addresses), maxAddresses)], nil
	}
	text := "the proxy's name " + printable(host) + " does not resolve"
	if e, ok := errors.AsType[*net.DNSError](err); ok && (e.IsTimeout || e.IsTemporary) {
		text = "name resolution gives no answer for the proxy's name " + printable(host)
	}
	d.step("name", Failed, text)
	return nil, finding(proxyauth.CauseProxyUnreachable, text,
		"Check the spelling of the name in "+d.report.Proxy.Source+", and whether this machine is in the network (VPN) in which it is known.")
}

// connect connects to all addresses at once.
func (d *diagnosis) connect(ctx context.Context, addresses []string) *Verdict {
	results, errs := make([]Address, len(addresses)), make([]error, len(addresses))
	var wg sync.WaitGroup
	for i, ip := range addresses {
		wg.Go(func() {
			results[i].Address = net.JoinHostPort(ip, portOf(d.proxy))
			begin := time.Now()
			var conn net.Conn
			conn, errs[i] = d.dial(ctx, results[i].Address)
			results[i].Millis = millis(time.Since(begin))
			if errs[i] != nil {
				results[i].Error = d.dialError(errs[i])
				return
			}
			conn.Close()
			results[i].OK = true
		})
	}
	wg.Wait()
	d.report.Addresses = results
	return d.connected(results, errs)
}

func (d *diagnosis) connected(results []Address, errs []error) *Verdict {
	var accepting, details []string
	for _, a := range results {
		if a.OK {
			accepting = append(accepting, fmt.Sprintf("%s (%v)", a.Address, a.Millis))
			continue
		}
		details = append(details, a.Address+": "+a.Error)
	}
	result := OK
	if len(details) > 0 {
		result = Warning
	}
	if len(results) == 1 {
		details = nil
	}
	for _, a := range results {
		if a.OK {
			d.address = a.Address
			d.step("connect", result, "accepts connections: "+listed(accepting), details...)
			return nil
		}
	}
	text := fmt.Sprintf("no connection to %s: %s", addressOf(d.proxy), results[0].Error)
	fix := fmt.Sprintf("No answer comes back: check host and port in %s, the network (VPN), and whether a firewall lets this machine connect.", d.report.Proxy.Source)
	if errors.Is(errs[0], syscall.ECONNREFUSED) {
		fix = fmt.Sprintf("Nothing listens on port %s there: check the port in %s.", portOf(d.proxy), d.report.Proxy.Source)
	}
	d.step("connect", Failed, text, details...)
	return finding(proxyauth.CauseProxyUnreachable, text, fix)
}

// dial connects to an address of the proxy.
func (d *diagnosis) dial(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: d.config.Timeout}).DialContext(ctx, "tcp", address)
}

// isTimeout reports whether err is that of something that took too long.
func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

// dialError puts the error of a dial in few words.
func (d *diagnosis) dialError(err error) string {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "connection refused"
	}
	if isTimeout(err) {
		return fmt.Sprintf("no answer within %v", d.config.Timeout)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		err = e.Err
	}
	return printable(err.Error())
}

// open opens a connection to the proxy, with TLS if secure is set.
func (d *diagnosis) open(ctx context.Context, secure bool) (net.Conn, error) {
	conn, err := d.dial(ctx, d.address)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(d.config.Timeout))
	if !secure {
		return conn, nil
	}
	client := tls.Client(conn, &tls.Config{ServerName: d.proxy.Hostname(), RootCAs: d.config.Roots, NextProtos: []string{"http/1.1"}})
	if err := client.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return client, nil
}

// handshake finds out whether an https:// proxy speaks TLS, and whether it is trusted.
func (d *diagnosis) handshake(ctx context.Context) *Verdict {
	d.report.TLS = &TLS{Wanted: true}
	state, err := d.openTLS(ctx)
	if err == nil {
		d.report.TLS.Spoken, d.report.TLS.Version = true, tls.VersionName(state.Version)
		d.describe(state.PeerCertificates[0])
		d.step("tls", OK, fmt.Sprintf("%s, and the certificate is trusted", d.report.TLS.Version), d.certificate()...)
		return nil
	}
	d.report.TLS.Error = printable(err.Error())
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		d.report.TLS.Spoken = true
		return d.untrusted(e)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, errInTheClear) {
		text := "the proxy does not speak TLS, and its URL begins with https://"
		d.step("tls", Failed, text)
		return finding(proxyauth.CauseProxyUnreachable, text,
			fmt.Sprintf("Use http:// in place of https:// in the proxy's URL (%s): http://%s.", d.report.Proxy.Source, d.proxy.Host))
	}
	if isTimeout(err) {
		text := fmt.Sprintf("the proxy does not answer the TLS handshake: nothing within %v", d.config.Timeout)
		d.step("tls", Failed, text)
		return finding(proxyauth.CauseProxyUnreachable, text, fmt.Sprintf("Check host and port in %s. If the proxy speaks no TLS, use http:// in place of https:// there; "+
			"if it does, ask whoever runs it: it accepts connections and does not answer.", d.report.Proxy.Source))
	}
	text := "the proxy breaks off the TLS handshake: " + printable(err.Error())
	d.step("tls", Failed, text)
	return finding(proxyauth.CauseProxyUnreachable, text, "Check the port. If it is right, ask whoever runs the proxy which TLS versions and client certificates it wants.")
}

// errInTheClear says that the proxy answers HTTP without TLS.
var errInTheClear = errors.New("it speaks HTTP in the clear")

// clearDelay is how long a TLS handshake has before the proxy is asked in the clear as well: one
// that speaks no TLS waits for the rest of what it takes for a request.
const clearDelay = time.Second

// openTLS opens a connection with TLS. If that does not work at once, and HTTP in the clear
// does, the error is errInTheClear.
func (d *diagnosis) openTLS(ctx context.Context) (tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(ctx, d.config.Timeout)
	defer cancel()
	type result struct {
		state tls.ConnectionState
		err   error
	}
	results := make(chan result, 1)
	go func() {
		var r result
		var conn net.Conn
		if conn, r.err = d.open(ctx, true); r.err == nil {
			r.state = conn.(*tls.Conn).ConnectionState()
			conn.Close()
		}
		results <- r
	}()
	select {
	case r := <-results:
		_, untrusted := errors.AsType[*tls.CertificateVerificationError](r.err)
		if r.err != nil && !untrusted && d.speaksHTTP(ctx) {
			r.err = errInTheClear
		}
		return r.state, r.err
	case <-time.After(min(clearDelay, d.config.Timeout/2)):
	}
	if d.speaksHTTP(ctx) {
		cancel()
		<-results
		return tls.ConnectionState{}, errInTheClear
	}
	r := <-results
	return r.state, r.err
}

// untrusted reports a certificate that is not trusted.
func (d *diagnosis) untrusted(e *tls.CertificateVerificationError) *Verdict {
	if len(e.UnverifiedCertificates) > 0 {
		d.describe(e.UnverifiedCertificates[0])
	}
	text := "the proxy's certificate is not trusted: " + certificateFlaw(e)
	d.step("tls", Failed, text, d.certificate()...)
	fix := "Add the certificate of the authority that has signed it to this machine's trusted ones, or to the program's. Check with -ca FILE."
	switch {
	case isOfAnotherName(e):
		fix = "Use a name in the proxy's URL for which the certificate was made."
	case isExpired(e):
		fix = "Check this machine's clock. If it is right, the proxy needs a new certificate."
	}
	return finding(proxyauth.CauseProxyUnreachable, text, fix)
}

// certificateFlaw returns why a certificate is not trusted, without guesses at which of those here
// might have signed it.
func certificateFlaw(e *tls.CertificateVerificationError) string {
	return printable(before(strings.TrimPrefix(e.Err.Error(), "x509: "), " (possibly because of "))
}

func isOfAnotherName(e *tls.CertificateVerificationError) bool {
	_, ok := errors.AsType[x509.HostnameError](e)
	return ok
}

func isExpired(e *tls.CertificateVerificationError) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](e)
	return ok && invalid.Reason == x509.Expired
}

func (d *diagnosis) describe(c *x509.Certificate) {
	d.report.TLS.Subject, d.report.TLS.Issuer, d.report.TLS.Expires = printable(c.Subject.String()), printable(c.Issuer.String()), c.NotAfter
}

func (d *diagnosis) certificate() []string {
	t := d.report.TLS
	if t.Subject == "" && t.Issuer == "" {
		return nil
	}
	return []string{
		"certificate of " + t.Subject + ", signed by " + t.Issuer,
		"valid until " + t.Expires.Format(time.DateOnly),
	}
}

// speaksHTTP reports whether the proxy answers in the clear. A server that wants TLS may say so
// with 400, which is no such answer.
func (d *diagnosis) speaksHTTP(ctx context.Context) bool {
	conn, err := d.open(ctx, false)
	if err != nil {
		return false
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	resp, err := ask(conn, bareGet(d.target))
	return err == nil && resp.StatusCode != http.StatusBadRequest
}

// speaksTLS reports whether the proxy answers to a TLS handshake. A certificate that is not
// trusted is an answer, too.
func (d *diagnosis) speaksTLS(ctx context.Context) bool {
	conn, err := d.open(ctx, true)
	if err == nil {
		conn.Close()
		return true
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	alert, isAlert := errors.AsType[tls.AlertError](err)
	return untrusted || isAlert && alert != 0
}
