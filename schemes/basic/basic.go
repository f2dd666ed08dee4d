// Package basic implements the Basic scheme (RFC 7617) for package proxyauth.
//
// Basic sends the password to the proxy, merely encoded. Over an http:// proxy
// anyone on the way can read it.
package basic

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/go-proxyauth/proxyauth"
)

// Scheme is the Basic scheme. It needs no challenge, and one leg. The zero value is
// ready to use.
//
// User name and password are sent as the bytes that they consist of, usually UTF-8,
// whether the proxy asks for that (charset) or not.
type Scheme struct{}

var _ proxyauth.Describer = Scheme{}

// Errors of NewSession. Neither the user name nor the password is in them.
var (
	// ErrColon means that the user name contains a colon, which would end it
	// (RFC 7617, Section 2).
	ErrColon = errors.New("proxyauth: basic: colon in the user name")

	errControl = errors.New("proxyauth: basic: control character in the user name or password")
)

// Name returns "Basic".
func (Scheme) Name() string { return "Basic" }

// Properties returns that the authorization reveals the password.
func (Scheme) Properties() proxyauth.SchemeProperties {
	return proxyauth.SchemeProperties{RevealsSecret: true}
}

// NewSession returns a session for ex.Credentials. A control character is an error,
// often the line end of the file that the password was read from, and a colon in the
// user name is [ErrColon]. The password may be empty.
func (Scheme) NewSession(_ context.Context, ex proxyauth.Exchange) (proxyauth.Session, error) {
	if accepted, ok := ex.Accepted.(session); ok {
		return accepted, nil
	}
	user, password := ex.Credentials.Username, ex.Credentials.Password.Reveal()
	if strings.Contains(user, ":") {
		return nil, ErrColon
	}
	if strings.ContainsFunc(user+password, isControl) {
		return nil, errControl
	}
	text := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	return session{proxyauth.NewSecret("Basic " + text)}, nil
}

// session holds the authorization as a Secret, so that it does not show when a
// session is printed.
type session struct{ authorization proxyauth.Secret }

// Authorization implements [proxyauth.Session].
func (s session) Authorization(context.Context, proxyauth.Leg) (proxyauth.Authorization, error) {
	return proxyauth.Authorization{Value: s.authorization.Reveal()}, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
