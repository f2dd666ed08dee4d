package krb

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana"
	"github.com/jcmturner/gokrb5/v8/iana/msgtype"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// A Setup is what a Client has to work with. It holds no key.
type Setup struct {
	ConfFiles []string
	ConfErr   error
	Skew      time.Duration
	Realm     string // of the user
	Caches    []CacheInfo
	Keytab    string
	KDCs      []string // of Realm
	KDCErr    error
}

// A CacheInfo is what is known of a ticket cache.
type CacheInfo struct {
	Name    string
	From    string // what names it
	Owner   string
	Realm   string // of the owner
	Tickets []TicketInfo
	Err     error // why it is of no use, nil if it is
}

// A TicketInfo is what is known of a ticket.
type TicketInfo struct {
	Service    string
	Start, End time.Time
}

// maxCaches bounds the ticket caches that are looked at.
const maxCaches = 8

// Inspect returns what there is to work with for a user. It reads files and ticket caches,
// asks DNS for KDCs, and asks no KDC.
func (c *Client) Inspect(ctx context.Context, user User) *Setup {
	conf, err := c.conf.load(ctx, c.config.ConfFile)
	if err != nil {
		return &Setup{ConfErr: err}
	}
	s := &Setup{ConfFiles: c.conf.files(), Skew: conf.skew}
	conf = conf.with(c.config.Realm, c.config.KDCs)
	s.Caches = c.inspectCaches(ctx, conf, user)
	s.Keytab, _ = conf.keytabPath(c.config.KeytabName)
	if s.Realm = c.realmOf(conf, user, s.Caches); s.Realm != "" {
		s.KDCs, s.KDCErr = conf.kdcs(ctx, s.Realm, c.lookUp)
	}
	return s
}

// files returns the files that were read.
func (f *confFile) files() (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.stamps {
		if s.info != nil && !s.info.IsDir() {
			names = append(names, s.name)
		}
	}
	return names
}

// realmOf returns the realm whose KDCs are asked first: that of the user's name, or else of
// the ticket cache that is read, or else the default.
func (c *Client) realmOf(conf *conf, user User, caches []CacheInfo) string {
	if name := cmp.Or(c.config.Principal, user.Name); name != "" {
		if p, err := conf.principalOf(name, c.config.Realm); err == nil {
			return p.realm
		}
	}
	return cmp.Or(caches[0].Realm, conf.defaultRealm)
}

// inspectCaches returns the ticket cache that is read, and then the others of its collection
// and those found in the usual place.
func (c *Client) inspectCaches(ctx context.Context, conf *conf, user User) []CacheInfo {
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	from := conf.cacheFrom(c.config.CacheName)
	name, err := conf.cacheNameOf(c.config.CacheName)
	if err != nil {
		return []CacheInfo{{From: from, Err: err}}
	}
	meant := func(p principal) bool { return c.meant(conf, p, user) }
	var all []found
	add := func(name string) {
		for f := range c.caches.all(ctx, conf, name) {
			if len(all) == maxCaches {
				return
			}
			if !slices.ContainsFunc(all, func(g found) bool { return g.name == f.name }) {
				all = append(all, f)
			}
		}
	}
	add(name)
	read := choose(slices.Values(all), wanted{name, c.principal(user)}, meant)
	for _, path := range otherCaches() {
		add("FILE:" + path)
	}
	list := []CacheInfo{infoOf(read, meant)}
	list[0].From = from
	for _, f := range all {
		if f.name != read.name {
			list = append(list, infoOf(f, meant))
		}
	}
	return list
}

// cacheFrom returns what names the ticket cache that is read.
func (c *conf) cacheFrom(configured string) string {
	switch {
	case configured != "":
		return "Scheme.TicketCache"
	case os.Getenv("KRB5CCNAME") != "":
		return "KRB5CCNAME"
	case c.cacheName != "":
		return "default_ccache_name in krb5.conf"
	}
	return "the default"
}

// otherCaches returns the files of the user's in the default place.
func otherCaches() []string {
	paths, _ := filepath.Glob("/tmp/krb5cc_" + strconv.Itoa(os.Getuid()) + "*")
	return paths
}

// infoOf returns what is known of a ticket cache.
func infoOf(f found, meant func(principal) bool) CacheInfo {
	info := CacheInfo{Name: f.name, Err: f.usable(meant)}
	if f.cache == nil {
		return info
	}
	info.Owner, info.Realm = f.cache.owner.name.PrincipalNameString()+"@"+f.cache.owner.realm, f.cache.owner.realm
	for _, t := range f.cache.tickets {
		service := t.ticket.SName.PrincipalNameString() + "@" + t.ticket.Realm
		info.Tickets = append(info.Tickets, TicketInfo{Service: service, Start: t.start, End: t.end})
	}
	return info
}

// Probe asks the KDC of a realm for a ticket of the anonymous principal (RFC 8062, Section
// 3), without a proof, so that no account is concerned, and returns by how much its clock is
// ahead of this machine's. A ticket, which some KDCs grant, is no answer that tells the
// time in the clear; then zero is returned.
func (c *Client) Probe(ctx context.Context, realm, address string) (skew time.Duration, err error) {
	request, err := recovered(anonymousRequest(realm).Marshal)
	if err != nil {
		return 0, errNoToken
	}
	t := &transport{realm: realm, kdcs: []string{address}, dial: c.config.Dial}
	begin := time.Now()
	reply, _, err := t.exchange(ctx, request, isKerberos)
	if err != nil {
		return 0, err
	}
	e := parseError(reply)
	switch {
	case e != nil:
		middle := begin.Add(time.Since(begin) / 2)
		return e.STime.Add(time.Duration(e.Susec) * time.Microsecond).Sub(middle), nil
	case isReply(reply):
		return 0, nil
	}
	return 0, ErrMalformedReply
}

// anonymousRequest returns an AS-REQ for the anonymous principal.
func anonymousRequest(realm string) *messages.ASReq {
	const wellKnown = 11 // RFC 6111, Section 3
	return &messages.ASReq{KDCReqFields: messages.KDCReqFields{
		PVNO:    iana.PVNO,
		MsgType: msgtype.KRB_AS_REQ,
		ReqBody: messages.KDCReqBody{
			KDCOptions: types.NewKrbFlags(),
			Realm:      realm,
			CName:      types.PrincipalName{NameType: wellKnown, NameString: []string{"WELLKNOWN", "ANONYMOUS"}},
			SName:      ticketGranting(realm),
			Till:       time.Now().UTC().Add(time.Hour),
			Nonce:      newNonce(),
			EType:      slices.Clone(defaultEncTypes),
		},
	}}
}

// isReply reports whether data is an AS-REP.
func isReply(data []byte) bool {
	_, err := recovered(func() (messages.ASRep, error) {
		var rep messages.ASRep
		return rep, rep.Unmarshal(data)
	})
	return err == nil
}
