package proxyauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
)

// Credentials are what a user proves to a proxy.
type Credentials struct {
	// Username is the name of the user in the form that the proxy expects;
	// for Active Directory this may be `DOMAIN\user` or user@realm.
	Username string

	// Password is the password or, for a scheme that says so, another secret
	// such as a token.
	Password Secret
}

// A CredentialsProvider supplies the credentials for a proxy. It must be safe for
// concurrent use.
//
// A Transport asks when a proxy challenges it for the first time, and remembers
// the answer for as long as the proxy accepts it or, of an [ExpiringProvider],
// until its time has passed. After a refusal it asks again with the refused
// credentials in [CredentialsRequest.Rejected]; an answer that has been refused
// before is not sent a second time.
type CredentialsProvider interface {
	// Credentials returns the credentials for req, which it must not change.
	// An error that wraps [ErrNoCredentials] says that it has none; any other
	// error, that it could not find out.
	//
	// Requests that it makes itself must have ctx, or be made by another
	// client: through the same proxy they are sent without credentials.
	Credentials(ctx context.Context, req *CredentialsRequest) (Credentials, error)
}

// CredentialsFunc adapts a function to a [CredentialsProvider].
type CredentialsFunc func(ctx context.Context, req *CredentialsRequest) (Credentials, error)

// Credentials calls f.
func (f CredentialsFunc) Credentials(ctx context.Context, req *CredentialsRequest) (Credentials, error) {
	return f(ctx, req)
}

// A CredentialsRequest says which credentials are asked for.
type CredentialsRequest struct {
	// Proxy is the proxy's URL with nothing but scheme and host, the latter
	// with a port.
	Proxy *url.URL

	// UserInfo is what the user info of the proxy's URL said, nil if it had
	// none.
	UserInfo *Credentials

	// Scheme is the auth-scheme that the credentials are for, such as "Basic".
	Scheme string

	// Realm is the realm that the proxy named (RFC 9110, Section 11.5). It is
	// empty if the proxy named none or has not been asked yet. It comes from
	// the peer.
	Realm string

	// Rejected holds the credentials that the proxy has refused, the last one
	// last, as far as they are remembered.
	Rejected []Credentials
}

// ErrNoCredentials is wrapped by the error of a [CredentialsProvider] that has
// no credentials for a proxy.
var ErrNoCredentials = errors.New("proxyauth: no credentials")

// A Secret holds a text that must not be seen: it prints as "[redacted]"
// whatever the verb, in JSON, in log/slog, and as part of another value. The
// zero value is the empty secret. A Secret can't be compared with ==.
type Secret struct {
	// A func, since package fmt follows a pointer or a string in an unexported
	// field without asking Format.
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
