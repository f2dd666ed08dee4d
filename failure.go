package proxyauth

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/go-proxyauth/proxyauth/internal/httpmsg"
)

var errInside = errors.New("proxyauth: a callback of the Transport makes this request through the proxy, which wants the credentials for it")

// failure returns the error of an exchange that has failed.
func (d *driver) failure() error {
	if e, ok := errors.AsType[*Error](d.err); ok && d.cause == "" {
		return e
	}
	return d.error(cmp.Or(d.cause, CauseProxyFailed), d.err)
}

// error returns an *Error for the exchange.
func (d *driver) error(cause Cause, err error) *Error {
	e := &Error{Cause: cause, Op: d.op, Proxy: d.p.name, Target: d.host, Offered: schemesOf(d.challenges), Err: err}
	for _, s := range d.p.schemes {
		e.Enabled = append(e.Enabled, s.Name())
	}
	e.Tried = d.tried()
	if d.heldErr != nil {
		e.Retry = d.heldErr.Until
	}
	if d.last != nil {
		header, body := d.last.Header, httpmsg.Kept(d.last)
		e.Status = d.last.StatusCode
		e.answer = func() (http.Header, []byte) { return header, body }
	}
	return e
}

// tried returns the failures of schemes.
func (d *driver) tried() (tried []*SchemeError) {
	for _, f := range d.failures {
		tried = append(tried, &SchemeError{d.p.schemes[f.rank].Name(), f.err})
	}
	return tried
}

// verdict returns the cause where no scheme is left.
func (d *driver) verdict() Cause {
	is := func(f failure, target error) bool { return errors.Is(f.err, target) }
	all := func(target error) bool {
		return !slices.ContainsFunc(d.failures, func(f failure) bool { return !is(f, target) })
	}
	switch {
	case slices.ContainsFunc(d.failures, func(f failure) bool { return is(f, ErrForbidden) }):
		return CausePolicyForbids
	case all(ErrUnsupportedChallenge): // or nothing in common at all
		return CauseNoCommonScheme
	case all(ErrNoCredentials):
		return CauseNoCredentials
	case schemeCause(d.tried()) != "":
		return schemeCause(d.tried())
	case is(d.failures[len(d.failures)-1], errBroken):
		return CauseHandshakeBroken
	case all(ErrRejected):
		return CauseCredentialsRejected
	}
	return CauseSchemeFailed
}

// hasControls reports whether text would not survive in a header field.
func hasControls(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
