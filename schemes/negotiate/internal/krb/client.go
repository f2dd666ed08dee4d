// Package krb is the client's side of Kerberos (RFC 4120, RFC 4121), as much as
// a proxy takes: tickets from a ticket cache, a keytab or a password, the token
// that opens a GSS-API context, and the verification of the one that comes back.
//
// It is built of gokrb5's messages and cryptography. gokrb5's client, its
// configuration and its readers of files are left out: they neither know of a
// context nor of a limit, panic on what is truncated, renew tickets behind the
// caller's back, and send a wrong password twice.
package krb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-proxyauth/proxyauth/internal/onecall"
)

// A Source is where tickets come from.
type Source int

// The sources.
const (
	TicketCache Source = iota + 1
	Keytab
	Password
)

// A Config is the configuration of a [Client]. The zero value works.
type Config struct {
	Realm      string        // "" for the default realm of krb5.conf
	KDCs       []string      // of Realm, nil for those of krb5.conf or DNS
	ConfFile   string        // "" for KRB5_CONFIG, or else the system's
	CacheName  string        // "" for KRB5CCNAME, and so on
	KeytabName string        // "" for KRB5_CLIENT_KTNAME, and so on
	Principal  string        // of cache or keytab, "" for the user or the first
	Sources    []Source      // in order
	Dial       DialFunc      // nil for net.Dialer's
	Resolver   *net.Resolver // nil for net.DefaultResolver
}

// A Client gets tickets. It is safe for concurrent use.
type Client struct {
	config  Config
	conf    confFile
	caches  cacheTable
	keytab  keytabFile
	prints  fingerprints
	pauses  atomic.Pointer[pauses] // another one after Forget
	table   table
	good    lastGood
	lookups onecall.Group[string, []string] // by service and realm
	auths   authenticators
}

// NewClient returns a client. It reads nothing before it is asked for a ticket.
func NewClient(config Config) *Client {
	if config.Dial == nil {
		config.Dial = new(net.Dialer).DialContext
	}
	if config.Resolver == nil {
		config.Resolver = net.DefaultResolver
	}
	c := &Client{config: config}
	c.pauses.Store(new(pauses))
	return c
}

// A User is who a ticket is for. The zero value means whoever ticket cache or
// keytab belong to.
type User struct {
	Name     string
	Password func() string // nil for none
}

// Ticket returns a ticket for a service, such as "HTTP/proxy.example.com", at a
// host, which tells the realm. It tries the sources one after another.
func (c *Client) Ticket(ctx context.Context, user User, spn, host string) (*Ticket, error) {
	conf, err := c.conf.load(ctx, c.config.ConfFile)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		what := strings.TrimPrefix(strings.TrimPrefix(err.Error(), errorPrefix), "krb5.conf: ")
		return nil, detailed{fmt.Errorf("%w (%s)%w", ErrConfig, what, silent{err}), About{What: what}}
	}
	conf = conf.with(c.config.Realm, c.config.KDCs)
	s := newService(spn, conf.realmOf(host))
	var errs []error
	for _, source := range c.config.Sources {
		ticket, err := c.ticketFrom(ctx, source, conf, user, s)
		if err == nil {
			return ticket, nil
		}
		if err != errNotHere {
			errs = append(errs, err)
		}
		if !elsewhere(err) {
			break
		}
	}
	return nil, sourceError(errs)
}

func (c *Client) ticketFrom(ctx context.Context, source Source, conf *conf, user User, s service) (*Ticket, error) {
	id, in, err := c.open(ctx, source, conf, user)
	if err != nil {
		return nil, err
	}
	defer c.table.release(id)
	cred, err := id.ticket(ctx, s, c.exchange(conf), in)
	if err != nil {
		return nil, err
	}
	return &Ticket{cred: cred, auths: &c.auths, forget: func() { id.forget(s.key(), cred) }}, nil
}

// errNotHere says that a source has nothing and was not meant to.
var errNotHere = errors.New("not here")

// elsewhere reports whether another source may do better.
func elsewhere(err error) bool {
	for _, e := range []error{errNotHere, ErrNoTicket, ErrTicketExpired, ErrCacheType, ErrMalformedFile, ErrKeytabStale} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (c *Client) exchange(conf *conf) *tgsExchange {
	return &tgsExchange{conf: conf, auths: &c.auths, transport: func(ctx context.Context, realm string) (*transport, error) {
		return c.transport(ctx, conf, realm)
	}}
}

func (c *Client) transport(ctx context.Context, conf *conf, realm string) (*transport, error) {
	kdcs, err := conf.kdcs(ctx, realm, c.lookUp)
	if err != nil {
		return nil, err
	}
	first := addresses(conf.primaries[realm])
	for _, kdc := range first {
		if !slices.Contains(kdcs, kdc) {
			kdcs = append(slices.Clip(kdcs), kdc)
		}
	}
	return &transport{realm: realm, kdcs: kdcs, first: first, dial: c.config.Dial, good: &c.good}, nil
}

// lookUp returns the addresses of the KDCs that DNS has for a realm.
func (c *Client) lookUp(ctx context.Context, realm string) ([]string, error) {
	return c.lookUpService(ctx, anyKDC, realm)
}

// lookUpService returns the addresses that DNS has for a service of a realm. Any number of users
// may ask for them at once.
func (c *Client) lookUpService(ctx context.Context, service, realm string) ([]string, error) {
	return c.lookups.Do(ctx, service+" "+realm, onecall.Options{NoValues: true}, func(ctx context.Context) ([]string, error) {
		return lookUpKDCs(ctx, c.config.Resolver, service, realm)
	})
}

// better returns the transport for the KDCs of t's realm that may know what one does not yet: the
// primary ones, which DNS may name where krb5.conf names none, or else the others.
func (c *Client) better(ctx context.Context, conf *conf, t *transport, kdc string) *transport {
	kdcs := t.first
	if kdcs == nil && conf.inDNS(t.realm) {
		kdcs, _ = c.lookUpService(ctx, primaryKDC, t.realm)
	}
	if kdcs == nil {
		kdcs = t.kdcs
	}
	clone := *t
	clone.kdcs = slices.DeleteFunc(slices.Clone(kdcs), func(k string) bool { return k == kdc })
	return &clone
}

// authenticate is the AS exchange for a secret, whose fingerprint is print. A
// secret that a KDC has refused, or of which it has not said whether it is right, is not sent
// again for a while. But another KDC is asked once about one that was refused, and about a user
// that the first one does not know: a replica may get a new key, or user, late.
func (c *Client) authenticate(ctx context.Context, conf *conf, who principal, secret longTermKey, print fingerprint) (*credential, error) {
	known := c.pauses.Load() // what comes of a proof from before Forget counts no more
	if err := known.of(print); err != nil {
		return nil, err
	}
	owner := c.prints.of("owner", who.realm, who.name.PrincipalNameString())
	if until, why := known.enter(owner); why != nil {
		err := secret.wrong()
		if why == errRowUnderWay {
			err = ErrNoVerdict
		}
		return nil, heldUntil{inRealm(secret.heldBack(because(err, "%v", why)), who.realm), until}
	}
	defer known.leave(owner)
	// The exchange may go on when nobody waits for it any more. Without its identity
	// another one would begin.
	defer c.table.release(c.table.use(print))
	t, err := c.transport(ctx, conf, who.realm)
	if err != nil {
		return nil, err
	}
	x := &asExchange{transport: t, conf: conf, client: who, secret: secret}
	x.proves = func() { known.sending(print, inRealm(secret.heldBack(ErrNoVerdict), who.realm)) }
	again := !known.refused(print)
	cred, err := x.run(ctx)
	unknown := x.kdc != "" && !x.proved && errors.Is(err, ErrClientUnknown)
	late := unknown && known.of(owner) == nil || errors.Is(err, secret.wrong()) && errors.Is(err, errRefused)
	if again && late {
		y := &asExchange{transport: c.better(ctx, conf, t, x.kdc), conf: conf, client: who, secret: secret, proves: x.proves}
		if len(y.kdcs) > 0 {
			if better, err2 := y.run(ctx); err2 == nil || unknown && y.kdc != "" {
				cred, err, x = better, err2, y
			}
		}
	}
	err = inRealm(err, who.realm)
	switch {
	case err == nil:
		known.forget(print, owner)
	case !verdictless(err):
		if errors.Is(err, errPaused) {
			c.good.leave(who.realm, t.kdcs, x.kdc)
		}
		if again && errors.Is(err, errRefused) {
			known.refusedOf(owner)
		}
		err = known.add(print, err)
	case late:
		known.add(owner, err) // nobody knows the user: other KDCs are not asked again for a while
	}
	return cred, err
}

// SecretRefused reports whether err says that the KDC has refused the password,
// or the account it belongs to.
func SecretRefused(err error) bool { return errors.Is(err, errSecretRefused) }

// SecretHeld reports whether err says that the password is held back for a while:
// the KDC may have refused it, or says that the account is not to be used.
func SecretHeld(err error) bool { return errors.Is(err, errSecretHeld) }

// Forget forgets the secrets that KDCs have refused or not answered, the KDCs
// that were unreachable, and all tickets.
func (c *Client) Forget() {
	c.pauses.Store(new(pauses))
	c.table.clear()
	c.good.clear()
	c.caches.forget()
}
