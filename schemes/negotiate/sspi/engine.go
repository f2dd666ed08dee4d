// Package sspi authenticates as the user who is logged in to Windows, with the security
// support providers of the system: Kerberos, Negotiate and NTLM. It needs no cgo.
//
// schemes.Default uses [Engine] on Windows, for Kerberos. NTLM as the user who is logged
// in, which gives any proxy something to guess the user's password from, is used only if
// the program asks for it: with [Engine.Package] or with the scheme [NTLM].
//
// On other systems everything here fails with [ErrNotWindows], so that a program needs no
// build tags.
package sspi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/lockout"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// A Package is a security package of SSPI.
type Package string

// The packages.
const (
	// Kerberos is Kerberos alone.
	Kerberos Package = "Kerberos"

	// Negotiate is Kerberos or NTLM, as Windows chooses: NTLM where there is no
	// ticket for the proxy.
	Negotiate Package = "Negotiate"

	// ntlmPackage is the package of the scheme NTLM.
	ntlmPackage Package = "NTLM"
)

// ErrNotWindows means that this system has no SSPI.
var ErrNotWindows = errors.New("proxyauth: sspi: this system is not Windows")

// An Engine is a [negotiate.Engine] with the tickets of the user as whom the process runs.
// The zero value works. It must not be copied, and not be changed after first use. It is
// safe for concurrent use.
//
// If the provider names a user, the Engine has no ticket ([negotiate.NoTicket]), unless
// UseCredentials is set.
type Engine struct {
	// Package is the security package. Empty means [Kerberos]. With [Negotiate],
	// Windows may choose NTLM, which the scheme takes to https:// proxies and to those
	// that [proxyauth.Transport.AllowProxy] allows: see
	// [negotiate.Scheme.InsecureLogonNTLM].
	Package Package

	// UseCredentials gives user and password of the provider to SSPI's Kerberos,
	// whatever the Package. The user name is DOMAIN\user or user@domain. A password
	// that a domain controller has refused is not sent to it again before Reset.
	UseCredentials bool

	system  system // nil means this computer's
	logins  logins
	limiter lockout.Limiter // of passwords at the domain controllers
}

var _ negotiate.Engine = (*Engine)(nil)

// NewContext makes a context. The domain controller is not asked before its first token.
func (e *Engine) NewContext(ctx context.Context, t negotiate.Target) (negotiate.Context, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	pkg := e.Package
	if pkg == "" {
		pkg = Kerberos
	}
	id, err := e.identity(t)
	if err != nil {
		return nil, err
	}
	if id != nil {
		pkg = Kerberos
	}
	target := t.SPN
	switch {
	case target == "" && pkg == Kerberos:
		return nil, fmt.Errorf("proxyauth: sspi: %w: configure the proxy's host name", negotiate.IPAddress)
	case target == "":
		target = "HTTP/" + t.Host
	}
	x := &security{
		system: systemOr(e.system), logins: &e.logins,
		pkg: pkg, id: id, target: target, bindings: bindingsBuffer(t.Bindings),
	}
	if id != nil {
		x.secret = e.limiter.Handle(lockout.Secret{Proxy: "domain " + id.domain, User: id.user, Password: id.password()})
	}
	if pkg == Kerberos {
		return newWrapped(x), nil
	}
	return &chosen{security: x}, nil
}

// identity returns the user of a target, nil for the one who is logged in.
func (e *Engine) identity(t negotiate.Target) (*identity, error) {
	switch {
	case t.User == "":
		return nil, nil
	case !e.UseCredentials:
		return nil, &failure{
			codes: []error{negotiate.NoTicket},
			text:  "tickets are those of the user who is logged in, and the provider names another",
			hint: "Windows has Kerberos tickets for the user who is logged in, and the provider of credentials names a user. " +
				"Let it return no credentials, or set sspi.Engine.UseCredentials.",
		}
	case t.Password == nil:
		return nil, fmt.Errorf("proxyauth: sspi: %w: there is no password for the user whom the provider names", negotiate.NoTicket)
	}
	return newIdentity(t.User, t.Password)
}

// Describe returns, for people, who is logged in and which packages SSPI offers. It is
// empty on other systems than Windows.
func (e *Engine) Describe() string { return describe() }

// Reset forgets which passwords were refused, and releases the login that is kept for
// further contexts. [negotiate.Scheme.Reset] calls it.
func (e *Engine) Reset() {
	e.limiter.Reset()
	e.logins.reset()
}

// An identity is a user with a password.
type identity struct {
	domain, user string
	password     func() string
}

// newIdentity takes `DOMAIN\user` apart. A user principal name is left whole.
func newIdentity(name string, password func() string) (*identity, error) {
	id := &identity{user: name, password: password}
	if domain, user, ok := strings.Cut(name, `\`); ok {
		id.domain, id.user = domain, user
	}
	if id.user == "" || strings.ContainsRune(name+password(), 0) {
		return nil, errors.New("proxyauth: sspi: the user name is empty, or name or password has a NUL")
	}
	return id, nil
}

// same reports whether two identities, nil for the user who is logged in, are the same.
func (id *identity) same(other *identity) bool {
	if id == nil || other == nil {
		return id == other
	}
	return id.domain == other.domain && id.user == other.user && id.password() == other.password()
}

// logins keeps the login in use, for further contexts. Its zero value is empty.
type logins struct {
	mu   sync.Mutex
	last *login
}

// A login is a credentials handle of SSPI, which serves any number of contexts. It is
// released with the last of them; one with a password, which a domain controller has
// looked at, is kept until another one is used.
type login struct {
	pkg        Package
	id         *identity
	credential credential
	users      int // guarded by logins.mu
}

// take returns a login, which must be given back. Under Wine, a domain controller may be
// asked for it.
func (l *logins) take(sys system, pkg Package, id *identity) (*login, status) {
	if in := l.reuse(pkg, id); in != nil {
		return in, statusOK
	}
	c, st := sys.acquire(pkg, id)
	if st != statusOK {
		return nil, st
	}
	if in := l.reuse(pkg, id); in != nil { // of a call at the same time
		c.release()
		return in, statusOK
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropLast()
	l.last = &login{pkg: pkg, id: id, credential: c, users: 1}
	return l.last, statusOK
}

// reuse returns the last login if it is the one that is asked for, nil otherwise.
func (l *logins) reuse(pkg Package, id *identity) *login {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil || l.last.pkg != pkg || !l.last.id.same(id) {
		return nil
	}
	l.last.users++
	return l.last
}

func (l *logins) give(in *login) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in.users--
	switch {
	case in.users > 0:
	case in != l.last:
		in.credential.release()
	case in.id == nil:
		l.dropLast()
	}
}

func (l *logins) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropLast()
}

func (l *logins) dropLast() {
	if l.last != nil && l.last.users == 0 {
		l.last.credential.release()
	}
	l.last = nil
}

// heldBack is the error for a password that is not sent for now.
func heldBack(err error) error {
	h, ok := errors.AsType[*lockout.HeldError](err)
	switch {
	case !ok:
		return err
	case h.Reason == lockout.ReasonRefused || h.Reason == lockout.ReasonDenied:
		return &failure{
			codes: []error{negotiate.PasswordWrong, proxyauth.ErrRejected},
			text:  "the domain controller has refused the password before; it is not sent again, to spare the account",
		}
	}
	return &failure{
		codes: []error{negotiate.NoVerdict, proxyauth.ErrHeldBack},
		text:  "the domain controller has not said whether the password is right; it is held back for a while, to spare the account",
		retry: h.Until,
	}
}
