// Package keyring takes the credentials for a proxy from the system's store: the
// Secret Service (GNOME Keyring, KWallet) on Linux and the BSDs, the Keychain on
// macOS, the Credential Manager on Windows.
//
// It is a package of its own so that only who imports it links D-Bus and the
// like.
package keyring

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/zalando/go-keyring"

	"github.com/go-proxyauth/proxyauth"
)

// Provider is a [proxyauth.CredentialsProvider] that looks in the system's store
// for the password of a user. The store may ask to be unlocked, which waits no
// longer than the context.
//
// Where no session bus of D-Bus runs, as on a server, it fails and starts none.
//
// By default it only reads. After a refusal it looks again; if the password has
// not changed, the answer is the same, and a Transport does not send it again.
//
// The zero value is ready to use. A Provider must not be copied after first use.
type Provider struct {
	// Service is the name that the entry is stored under. If it is empty, it is
	// the proxy's URL, such as "http://proxy.example.com:3128". Entries of px
	// are stored under "Px".
	Service string

	// Username is whose password is looked for. If it is empty, it is the user
	// of the proxy's URL; if that names none, there are no credentials, since
	// the stores can't be searched for it.
	Username string

	// SaveAndDelete calls Save for credentials that the proxy has accepted, if
	// they are not stored yet, and Delete for those that it has refused. Set it
	// for the store of [github.com/go-proxyauth/proxyauth/credentials.Saved].
	// A store that does not answer is given up after a minute. False means that the
	// provider only reads.
	SaveAndDelete bool

	// Logger logs failures of Save and Delete with SaveAndDelete, at
	// [slog.LevelWarn]. Nil means no log.
	Logger *slog.Logger

	once sync.Once
	turn chan struct{}
}

// Credentials implements [proxyauth.CredentialsProvider].
func (p *Provider) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	user := p.user(req)
	if user == "" {
		return proxyauth.Credentials{}, p.none("no user name is given")
	}
	password, err := p.get(ctx, p.service(req.Proxy), user)
	if errors.Is(err, keyring.ErrNotFound) {
		return proxyauth.Credentials{}, p.none("no entry of the user for " + p.service(req.Proxy))
	} else if err != nil {
		return proxyauth.Credentials{}, err
	}
	return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}, nil
}

// Save stores c for the proxy, in place of what is stored for this user. It is
// for the program that has asked for the password once.
func (p *Provider) Save(ctx context.Context, proxy *url.URL, c proxyauth.Credentials) error {
	if err := p.check(p.service(proxy), c.Username); err != nil {
		return err
	}
	return p.use(ctx, func() error {
		return keyring.Set(p.service(proxy), c.Username, c.Password.Reveal())
	})
}

// Delete deletes what is stored for the user of the proxy, if anything is.
func (p *Provider) Delete(ctx context.Context, proxy *url.URL, user string) error {
	if err := p.check(p.service(proxy), user); err != nil {
		return err
	}
	err := p.use(ctx, func() error { return keyring.Delete(p.service(proxy), user) })
	if errors.Is(err, keyring.ErrNotFound) {
		return nil
	}
	return err
}

// maxStoring is how long a store that may have to be unlocked, or hangs, keeps Accepted and
// Rejected.
const maxStoring = time.Minute

// Accepted implements [proxyauth.CredentialsObserver].
func (p *Provider) Accepted(ctx context.Context, req *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	if !p.SaveAndDelete {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, maxStoring)
	defer cancel()
	stored, err := p.get(ctx, p.service(req.Proxy), c.Username)
	if err == nil && stored == c.Password.Reveal() {
		return
	}
	p.warn(ctx, "storing", p.Save(ctx, req.Proxy, c))
}

// Rejected implements [proxyauth.CredentialsObserver].
func (p *Provider) Rejected(ctx context.Context, req *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	if !p.SaveAndDelete {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, maxStoring)
	defer cancel()
	// What somebody has stored since was not refused.
	stored, err := p.get(ctx, p.service(req.Proxy), c.Username)
	if err != nil || stored != c.Password.Reveal() {
		return
	}
	p.warn(ctx, "deleting", p.Delete(ctx, req.Proxy, c.Username))
}

// String returns the provider's name.
func (p *Provider) String() string { return "keyring" }

func (p *Provider) service(proxy *url.URL) string {
	return cmp.Or(p.Service, (&url.URL{Scheme: proxy.Scheme, Host: proxy.Host}).String())
}

func (p *Provider) user(req *proxyauth.CredentialsRequest) string {
	if p.Username == "" && req.UserInfo != nil {
		return req.UserInfo.Username
	}
	return p.Username
}

func (p *Provider) none(why string) error {
	return fmt.Errorf("%w: %v: %s", proxyauth.ErrNoCredentials, p, why)
}

func (p *Provider) warn(ctx context.Context, doing string, err error) {
	if err != nil && p.Logger != nil {
		p.Logger.WarnContext(ctx, "keyring failed", "doing", doing, "error", err)
	}
}

func (p *Provider) get(ctx context.Context, service, user string) (string, error) {
	if err := p.check(service, user); err != nil {
		return "", err
	}
	password := make(chan string, 1)
	err := p.use(ctx, func() error {
		text, err := keyring.Get(service, user)
		password <- text
		return err
	})
	if err != nil {
		return "", err
	}
	return <-password, nil
}

// check refuses what would be another line in what is written to the tool of
// macOS.
func (p *Provider) check(service, user string) error {
	if strings.ContainsFunc(service+user, unicode.IsControl) {
		return p.failed(errors.New("a control character in the service or user name"))
	}
	return nil
}

// use calls f if there is a store.
func (p *Provider) use(ctx context.Context, f func() error) error {
	return p.do(ctx, func() error {
		if err := reachable(); err != nil {
			return err
		}
		return f()
	})
}

// do calls f, which knows no context, and waits no longer than ctx. One call is
// under way at a time: if the store hangs, so does one goroutine and not one for
// each request.
func (p *Provider) do(ctx context.Context, f func() error) error {
	p.once.Do(func() { p.turn = make(chan struct{}, 1) })
	if ctx.Err() != nil {
		return p.failed(context.Cause(ctx))
	}
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return p.failed(context.Cause(ctx))
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-p.turn }()
		done <- f()
	}()
	select {
	case err := <-done:
		return p.failed(err)
	case <-ctx.Done():
		return p.failed(context.Cause(ctx))
	}
}

func (p *Provider) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("proxyauth: %v: %w", p, err)
}
