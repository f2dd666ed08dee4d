package krb

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/nametype"
)

// with returns the configuration with a realm that was given in code, and its
// KDCs. Then nothing need be configured elsewhere, not even in DNS.
func (c *conf) with(realm string, kdcs []string) *conf {
	if realm = cmp.Or(realm, c.defaultRealm); realm == "" {
		return c
	}
	clone := *c
	clone.defaultRealm = realm
	if len(kdcs) > 0 {
		clone.realms = maps.Clone(c.realms)
		clone.realms[realm] = slices.Clone(kdcs)
		clone.primaries = maps.Clone(c.primaries)
		delete(clone.primaries, realm)
	}
	return &clone
}

// newService returns the service of that name, which may have its realm behind
// an @.
func newService(spn, realm string) service {
	p := newPrincipal(nametype.KRB_NT_SRV_INST, spn, realm)
	last := &p.name.NameString[len(p.name.NameString)-1]
	if name, r, ok := cutLast(*last, '@'); ok {
		*last, p.realm = name, r
	}
	return service(p)
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == sep {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// open returns the identity of a source, which the caller releases, and its login.
func (c *Client) open(ctx context.Context, source Source, conf *conf, user User) (*identity, login, error) {
	switch source {
	case TicketCache:
		return c.openCache(ctx, conf, user)
	case Keytab:
		return c.openKeytab(ctx, conf, user)
	case Password:
		return c.openPassword(conf, user)
	}
	return nil, nil, errNotHere
}

// openCache opens the ticket cache.
func (c *Client) openCache(ctx context.Context, conf *conf, user User) (*identity, login, error) {
	name, err := conf.cacheNameOf(c.config.CacheName)
	if err != nil {
		return nil, nil, err
	}
	f, err := c.caches.open(ctx, conf, wanted{name, c.principal(user)}, func(p principal) bool { return c.meant(conf, p, user) })
	if err != nil {
		return nil, nil, err
	}
	return f.cache.id, func(context.Context) (*credential, error) {
		if tgt := f.cache.initial(); tgt.valid(time.Now()) {
			return tgt, nil
		}
		return nil, because(ErrTicketExpired, "%s", shown(f.name))
	}, nil
}

// principal returns whose tickets or keys are wanted, "" for anybody's.
func (c *Client) principal(user User) string { return cmp.Or(c.config.Principal, user.Name) }

// meant reports whether a principal is the one that is configured, or else the
// user's.
func (c *Client) meant(conf *conf, p principal, user User) bool {
	return conf.meant(p, c.principal(user), c.config.Realm)
}

// openKeytab opens the keytab.
func (c *Client) openKeytab(ctx context.Context, conf *conf, user User) (*identity, login, error) {
	path, err := conf.keytabPath(c.config.KeytabName)
	if err != nil {
		return nil, nil, err
	}
	if path == "" {
		return nil, nil, errNotHere
	}
	tab, err := c.keytab.load(ctx, path)
	if err != nil {
		return nil, nil, unreadable("keytab", err)
	}
	who, ok := tab.owner(func(p principal) bool { return c.meant(conf, p, user) })
	if !ok {
		return nil, nil, because(ErrNoTicket, "no key of the user in %s", path)
	}
	keys := keytabKeys(tab.keys(who))
	print := c.prints.of(append([]string{"keytab", who.realm, who.name.PrincipalNameString()}, keys.text()...)...)
	return c.table.use(print), func(ctx context.Context) (*credential, error) {
		return c.authenticate(ctx, conf, who, keys, print)
	}, nil
}

// text returns the keys in an order that does not change.
func (k keytabKeys) text() []string {
	var list []string
	for id, e := range k {
		list = append(list, fmt.Sprint(id, e.kvno, string(e.key.KeyValue)))
	}
	slices.Sort(list)
	return list
}

// openPassword opens the user's password.
func (c *Client) openPassword(conf *conf, user User) (*identity, login, error) {
	if user.Name == "" || user.Password == nil || user.Password() == "" {
		return nil, nil, errNotHere
	}
	who, err := conf.principalOf(user.Name, c.config.Realm)
	if err != nil {
		return nil, nil, err
	}
	secret := user.Password()
	print := c.prints.of("password", who.realm, who.name.PrincipalNameString(), secret)
	return c.table.use(print), func(ctx context.Context) (*credential, error) {
		return c.authenticate(ctx, conf, who, password(secret), print)
	}, nil
}
