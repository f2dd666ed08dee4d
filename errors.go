package proxyauth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/printable"
	"github.com/go-proxyauth/proxyauth/internal/weakmap"
)

// An Error says why a request did not get through a proxy. Use [errors.AsType] to
// find it in the error of an [http.Client], and [ResponseError] for a 407.
//
// It prints as one line of text, whatever the verb, and has no secret in any
// exported field. It must not be changed.
type Error struct {
	// Cause is the reason.
	Cause Cause

	// Op is the operation: "CONNECT" for a tunnel, "forward" for a forwarded
	// request, "dial" for the connection to the proxy.
	Op string

	// Proxy is the URL of the proxy, without user info.
	Proxy string

	// Target is the host, with a port for CONNECT, that the request was for.
	Target string

	// Status is the status code of the answer to the last leg, zero if there was
	// none.
	Status int

	// Offered lists the auth-schemes of the proxy's last challenge, in its
	// order and spelling.
	Offered []string

	// Enabled lists the auth-schemes of the Transport.
	Enabled []string

	// Tried holds the schemes that were tried and did not succeed, with the
	// error of each.
	Tried []*SchemeError

	// Err is the error underneath, nil if there is none.
	Err error

	// Retry is when another try makes sense, where the credentials were not sent:
	// for CauseHeldBack, where it may come from the scheme, and for CauseDenied and
	// CauseCredentialsRejected after an earlier refusal. The zero time means that it is not known, or that only other
	// credentials or Transport.Reset help.
	Retry time.Time

	source string // where the proxy comes from, "" if that is not known

	// A func, since a proxy may echo credentials into its error page.
	answer func() (header http.Header, body []byte)
}

// A SchemeError is the failure of one scheme.
type SchemeError struct {
	Scheme string
	Err    error
}

// Error returns the scheme and its error, on one line.
func (e *SchemeError) Error() string {
	if e == nil || e.Err == nil {
		return "<nil>"
	}
	return printable.Text(e.Scheme) + ": " + printable.Unprefixed(strings.ToLower(e.Scheme)+": ", unprefixed(e.Err.Error()))
}

// Unwrap returns e.Err.
func (e *SchemeError) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// Error returns one line that says what failed, why, and what is known of it.
// That of a nil *Error is "<nil>".
func (e *Error) Error() string {
	if e == nil {
		return "<nil>"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "proxyauth: %s", e.Op)
	if e.Target != "" {
		fmt.Fprintf(&b, " %s", printable.Text(e.Target))
	}
	if e.Proxy != "" {
		fmt.Fprintf(&b, " via %s", printable.Text(e.Proxy))
	}
	fmt.Fprintf(&b, ": %s", e.Cause.words())
	if e.Status != 0 {
		fmt.Fprintf(&b, " (status %d)", e.Status)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %s", printable.Text(unprefixed(e.Err.Error())))
	}
	for i, t := range e.Tried {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		b.WriteString(sep + printable.Text(t.Error()))
	}
	return b.String()
}

// Format writes the text of Error, whatever the verb and flags.
func (e *Error) Format(f fmt.State, verb rune) { io.WriteString(f, e.Error()) }

// MarshalText returns the text of Error.
func (e *Error) MarshalText() ([]byte, error) { return []byte(e.Error()), nil }

// Unwrap returns e.Err and the errors of the schemes tried.
func (e *Error) Unwrap() []error {
	if e == nil {
		return nil
	}
	var errs []error
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	for _, t := range e.Tried {
		errs = append(errs, t)
	}
	return errs
}

// Timeout reports whether something took too long: the error underneath has a Timeout
// method that says so. So the Timeout of the [url.Error] of an [http.Client] is that of
// net/http.
func (e *Error) Timeout() bool { return e != nil && isTimeout(e.Err) }

// isTimeout reports whether err says that something took too long.
func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// schemeCause returns the cause that the first of the errors names, "" if none does.
func schemeCause(tried []*SchemeError) Cause {
	for _, t := range tried {
		if c := causeOf(t); c != "" {
			return c
		}
	}
	return ""
}

// unprefixed returns the text of an error on one line, and without the "proxyauth: " with
// which it, and each error within, begins.
func unprefixed(text string) string { return printable.Unprefixed("proxyauth: ", text) }

// Header returns the header of the proxy's last answer, nil if there was none. It
// must not be changed, and does not belong in a log: a proxy may have put
// credentials into it.
func (e *Error) Header() http.Header {
	if e == nil || e.answer == nil {
		return nil
	}
	header, _ := e.answer()
	return header
}

// maxErrorBody is how much of a proxy's error page Body returns.
const maxErrorBody = 1 << 10

// Body returns the first KiB of the body of the proxy's last answer, nil if there was
// none. Like Header, it does not belong in a log.
func (e *Error) Body() []byte {
	if e == nil || e.answer == nil {
		return nil
	}
	_, body := e.answer()
	return bytes.Clone(body[:min(len(body), maxErrorBody)])
}

// explained says why a 407 was not answered, or what a 401 may mean. The key is the request of the
// response: a program, or http.Client with a Timeout, may copy the response or wrap
// its body.
var explained weakmap.Map[http.Request, *Error]

// ResponseError returns the *Error that says why resp, a 407 that a [Transport]
// has returned for a forwarded request, could not be answered. It has one as well for a
// 401 in the realm of the proxy's own challenge, with which tinyproxy refuses credentials;
// the Transport can't tell it from that of an origin server with such a realm. It returns
// false for any other response, such as a 407 of an origin server. A shallow copy of the
// response, or one with another Body, has the same *Error.
func ResponseError(resp *http.Response) (*Error, bool) {
	if resp == nil || resp.Request == nil {
		return nil, false
	}
	if e, ok := explained.Load(resp.Request); ok && e.Status == resp.StatusCode {
		return e, true
	}
	return nil, false
}
