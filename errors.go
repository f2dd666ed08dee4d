package proxyauth

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode"
	"weak"
)

// An Error says why a request did not get through a proxy.
//
// It prints as one line of text, whatever the verb, and holds no secret in a form
// that can be printed.
type Error struct {
	// Cause is the reason, in one word.
	Cause Cause

	// Op is what was tried: "CONNECT" for a tunnel, "forward" for a forwarded
	// request, "dial" for the connection to the proxy.
	Op string

	// Proxy is the URL of the proxy, without user info.
	Proxy string

	// Target is the host, with a port for CONNECT, that the request was for.
	Target string

	// Status is the status code of the proxy's last answer, zero if there was
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

	// A func, since a proxy may echo credentials into its error page.
	answer func() (header http.Header, body []byte)
}

// A SchemeError is the failure of one scheme.
type SchemeError struct {
	Scheme string
	Err    error
}

// Error returns the scheme and its error.
func (e *SchemeError) Error() string { return e.Scheme + ": " + e.Err.Error() }

// Unwrap returns e.Err.
func (e *SchemeError) Unwrap() error { return e.Err }

// Error returns one line that says what failed, why, and what is known of it.
// That of a nil *Error, which [ResponseError] may return, is "<nil>".
func (e *Error) Error() string {
	if e == nil {
		return "<nil>"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "proxyauth: %s", e.Op)
	if e.Target != "" {
		fmt.Fprintf(&b, " %s", printable(e.Target))
	}
	if e.Proxy != "" {
		fmt.Fprintf(&b, " via %s", printable(e.Proxy))
	}
	fmt.Fprintf(&b, ": %s", e.Cause)
	if e.Status != 0 {
		fmt.Fprintf(&b, " (status %d)", e.Status)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %s", printable(e.Err.Error()))
	}
	for i, t := range e.Tried {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		b.WriteString(sep + printable(t.Error()))
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

// Hint says, in the words of somebody who has to fix it, what is likely to be
// wrong and what to do.
func (e *Error) Hint() string {
	if e == nil {
		return ""
	}
	hint := hints[e.Cause]
	switch e.Cause {
	case NoCommonScheme:
		if len(e.Tried) > 0 {
			return unknownForm
		}
		hint = fmt.Sprintf(hint, joined(e.Offered), joined(e.Enabled))
	case PolicyForbids:
		hint = fmt.Sprintf(hint, strings.Join(e.rules(), "; "))
	}
	return hint
}

func joined(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return printable(strings.Join(slices.Compact(slices.Clone(names)), ", "))
}

// Header returns the header of the proxy's last answer, nil if there was none.
// Nothing of it is meant for a log: a proxy may have put credentials into it.
func (e *Error) Header() http.Header {
	if e == nil || e.answer == nil {
		return nil
	}
	header, _ := e.answer()
	return header
}

// maxErrorBody is how much of a proxy's error page Body returns.
const maxErrorBody = 1 << 10

// Body returns the first KiB of the body of the proxy's last answer to a
// CONNECT, nil if there was none. As with Header, it is not meant for a log.
func (e *Error) Body() []byte {
	if e == nil || e.answer == nil {
		return nil
	}
	_, body := e.answer()
	return bytes.Clone(body[:min(len(body), maxErrorBody)])
}

// printable returns s without control characters, cut where it gets long.
func printable(s string) string {
	const maxPrinted = 1 << 10
	s = strings.ToValidUTF8(s, "?")
	if len(s) > maxPrinted {
		s = strings.ToValidUTF8(s[:maxPrinted], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}

// explained holds, for as long as a response lives, why its 407 was not
// answered. The response's body would be the simpler place, but http.Client with
// a Timeout wraps it.
var explained sync.Map // weak.Pointer[http.Response] -> *Error

// ResponseError returns the *Error that says why resp, a 407 that a [Transport]
// has returned for a forwarded request, could not be answered. It returns nil
// for any other response, a 407 of an origin server included. A func that returns
// an error must compare it with nil first: a nil *Error in an error is not nil.
func ResponseError(resp *http.Response) *Error {
	if resp == nil {
		return nil
	}
	if e, ok := explained.Load(weak.Make(resp)); ok {
		return e.(*Error)
	}
	return nil
}

func explain(resp *http.Response, e *Error) {
	key := weak.Make(resp)
	explained.Store(key, e)
	runtime.AddCleanup(resp, func(key weak.Pointer[http.Response]) { explained.Delete(key) }, key)
}
