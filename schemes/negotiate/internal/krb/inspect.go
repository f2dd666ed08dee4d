package krb

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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

// Inspect returns what there is to work with for a user. It reads files, asks DNS for
// KDCs, and asks no KDC.
func (c *Client) Inspect(ctx context.Context, user User) *Setup {
	conf, err := c.conf.load(ctx, c.config.ConfFile)
	if err != nil {
		return &Setup{ConfErr: err}
	}
	s := &Setup{ConfFiles: c.conf.files(), Skew: conf.skew}
	conf = conf.with(c.config.Realm, c.config.KDCs)
	s.Caches = c.caches(ctx, conf, user)
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

// caches returns the ticket cache that is read, and then those found in the usual places.
func (c *Client) caches(ctx context.Context, conf *conf, user User) []CacheInfo {
	name := conf.cacheNameOf(c.config.CacheName)
	list := []CacheInfo{c.cacheInfo(ctx, conf, user, name, conf.cacheFrom(c.config.CacheName))}
	read, _ := cachePath(ctx, name)
	for _, path := range otherCaches(name) {
		if path != read && len(list) < maxCaches {
			list = append(list, c.cacheInfo(ctx, conf, user, "FILE:"+path, ""))
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

// otherCaches returns the files of the user's in the default place and, of a DIR, those
// beside the one that is read.
func otherCaches(name string) []string {
	paths, _ := filepath.Glob("/tmp/krb5cc_" + strconv.Itoa(os.Getuid()) + "*")
	if kind, dir := splitType(name); kind == "DIR" && !strings.HasPrefix(dir, ":") {
		more, _ := filepath.Glob(filepath.Join(dir, "tkt*"))
		paths = append(paths, more...)
	}
	return paths
}

// cacheInfo reads a ticket cache.
func (c *Client) cacheInfo(ctx context.Context, conf *conf, user User, name, from string) CacheInfo {
	info := CacheInfo{Name: name, From: from}
	if name == "" {
		info.Err = because(ErrNoTicket, "KRB5CCNAME names no ticket cache")
		return info
	}
	path, err := cachePath(ctx, name)
	if err != nil {
		info.Err = unreadable("ticket cache", err)
		return info
	}
	data, _, err := readFile(ctx, path, maxCacheSize)
	if errors.Is(err, fs.ErrNotExist) {
		info.Err = because(ErrNoTicket, "there is no %s", path)
		return info
	}
	var held *cache
	if err == nil {
		held, err = parseCache(path, data)
	}
	if err != nil {
		info.Err = unreadable("ticket cache", err)
		return info
	}
	info.Owner, info.Realm = held.owner.name.PrincipalNameString()+"@"+held.owner.realm, held.owner.realm
	for _, t := range held.tickets {
		service := t.ticket.SName.PrincipalNameString() + "@" + t.ticket.Realm
		info.Tickets = append(info.Tickets, TicketInfo{Service: service, Start: t.start, End: t.end})
	}
	switch {
	case !c.meant(conf, held.owner, user):
		info.Err = because(ErrNoTicket, "%s is another user's", path)
	case held.expired(time.Now()):
		info.Err = because(ErrTicketExpired, "%s", path)
	}
	return info
}

// Probe asks the KDC of a realm for a ticket of the anonymous principal (RFC 8062, Section
// 3), without a proof, so that no account is concerned, and returns by how much its clock is
// ahead of this machine's. A ticket, which some KDCs grant, is no answer that tells the
// time in the clear; then zero is returned.
func (c *Client) Probe(ctx context.Context, realm, address string) (skew time.Duration, err error) {
	request, err := guard(anonymousRequest(realm).Marshal)
	if err != nil {
		return 0, errNoToken
	}
	t := &transport{realm: realm, kdcs: []string{address}, dial: c.config.Dial, timeout: kdcTimeout}
	begin := time.Now()
	reply, _, err := t.exchange(ctx, request)
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
	_, err := guard(func() (messages.ASRep, error) {
		var rep messages.ASRep
		return rep, rep.Unmarshal(data)
	})
	return err == nil
}
