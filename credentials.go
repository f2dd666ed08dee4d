package proxyauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"time"
)

// Credentials are a user name and a secret.
type Credentials struct {
	// Username is the name of the user in the form that the proxy expects. For
	// Active Directory this may be `DOMAIN\user` or user@realm.
	Username string

	// Password is the password or, for a scheme that documents it, another
	// secret such as a token.
	Password Secret

	// Expires is the time, by the wall clock, from which on the credentials must
	// not be sent. The zero time means that they don't expire. Connections and
	// tunnels that they have opened before are used on, until they are closed or the
	// provider names another user: the provider is asked when credentials are
	// to be sent.
	Expires time.Time
}

// A CredentialsProvider supplies the credentials for a proxy. It must be safe for
// concurrent use. It may implement [CredentialsObserver] as well.
//
// A Transport asks when a proxy challenges it for the first time, and remembers
// the answer for the proxy until it expires or is refused. All requests through
// this proxy then use it, so different identities need a Transport each, or user
// info in the proxy's URL. After a refusal the Transport asks again; other
// credentials are used at once, and the same ones not, but for what the package
// comment says. A provider that fails is asked again by the next request.
type CredentialsProvider interface {
	// Credentials returns the credentials for req, which it must not change.
	// The error wraps [ErrNoCredentials] if the provider has none. Any other
	// error means that the provider has failed. Credentials that have expired
	// are an error.
	//
	// Requests that the provider makes itself must use ctx or another client.
	// With ctx, they are sent through the Transport without credentials and wait
	// for no other request.
	Credentials(ctx context.Context, req *CredentialsRequest) (Credentials, error)
}

// CredentialsFunc adapts a function to a [CredentialsProvider].
type CredentialsFunc func(ctx context.Context, req *CredentialsRequest) (Credentials, error)

// Credentials calls f.
func (f CredentialsFunc) Credentials(ctx context.Context, req *CredentialsRequest) (Credentials, error) {
	return f(ctx, req)
}

// A CredentialsRequest describes the credentials that are needed.
type CredentialsRequest struct {
	// Proxy is the proxy's URL, reduced to scheme, host and port.
	Proxy *url.URL

	// UserInfo is the user info of the proxy's URL, nil if it has none.
	UserInfo *Credentials

	// Scheme is the auth-scheme that the credentials are for, such as "Basic".
	Scheme string

	// Realm is the realm that the proxy named (RFC 9110, Section 11.5). It is
	// empty if the proxy named none or has not been asked yet. It comes from
	// the peer.
	Realm string

	// Rejected holds the credentials that the proxy has refused, the last one
	// last. Old ones are forgotten.
	Rejected []Credentials

	// Doubted means that credentials which had worked were refused, though
	// perhaps not for good: some proxies refuse a forbidden target in this way.
	// The provider should return newer credentials if its source has them, and
	// otherwise the same ones again. It must not ask a person.
	Doubted bool
}

// A CredentialsObserver is a [CredentialsProvider] that is told what became of
// its answers, so that it can store the ones that work and drop the others.
//
// A Transport calls each method once for each decision of a proxy on the
// credentials, not for each request, with the request that the provider was
// asked. Requests that the methods make themselves may use ctx, as in
// [CredentialsProvider]. A provider that delegates to others passes the call on to
// the one that supplied the credentials.
type CredentialsObserver interface {
	CredentialsProvider

	// Accepted is called when the proxy has accepted c for the first time, by a
	// goroutine of the Transport, as Rejected is: a panic ends the program.
	Accepted(ctx context.Context, req *CredentialsRequest, c Credentials)

	// Rejected is called when the proxy has refused c, before the provider is
	// asked again. It is not called where c had been accepted and the proxy may have
	// refused the target instead: see [CredentialsRequest.Doubted].
	Rejected(ctx context.Context, req *CredentialsRequest, c Credentials)
}

// ErrNoCredentials is wrapped by the error of a [CredentialsProvider] that has
// no credentials for a proxy.
var ErrNoCredentials = errors.New("proxyauth: no credentials")

// A Secret holds text that must not be printed. It appears as "[redacted]" for
// every verb of package fmt, in JSON, in log/slog, and as part of another value.
// The zero value is the empty secret. A Secret can't be compared with ==.
type Secret struct {
	// A func, since package fmt prints a string or a pointer in an unexported
	// field without calling Format.
	reveal func() string
}

const redacted = "[redacted]"

// NewSecret returns a Secret that holds text.
func NewSecret(text string) Secret {
	return Secret{reveal: func() string { return text }}
}

// Reveal returns the text of s.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// Format writes "[redacted]", whatever the verb and flags.
func (Secret) Format(f fmt.State, verb rune) { io.WriteString(f, redacted) }

// MarshalText returns "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
