package krb

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

const (
	// maxCacheSize bounds a ticket cache, as MIT's library bounds what a daemon
	// sends. A ticket takes up to 64 KiB.
	maxCacheSize = 10 << 20

	// maxTickets bounds the entries of a cache that are fetched one by one.
	maxTickets = 4096
)

// A cache is what a ticket cache holds.
type cache struct {
	owner   principal
	tickets []*credential
}

// parseCache reads a ticket cache in the file format of MIT, versions 1 to 4.
// Entries that are no tickets, or not its owner's, are left out, and so is the last one if
// it is torn: another program may be about to write it.
func parseCache(name string, data []byte) (*cache, error) {
	r := &cacheReader{reader: reader{data: data, order: binary.BigEndian}}
	if r.uint8() != 5 {
		return nil, malformed(name, "no ticket cache")
	}
	r.version = r.uint8()
	switch r.version {
	case 1, 2:
		r.order = binary.NativeEndian
	case 3:
	case 4:
		r.data16() // the header: a clock offset, for the KDC's use
	default:
		return nil, malformed(name, "ticket cache of an unknown version")
	}
	c := &cache{owner: r.principal()}
	if r.short || c.owner.realm == "" || strings.Join(c.owner.name.NameString, "") == "" {
		return nil, malformed(name, "truncated ticket cache: run kinit")
	}
	for !r.short && len(r.data) > 0 {
		if cred := r.entry(); cred != nil && !r.short && cred.client.equalFold(c.owner) {
			c.tickets = append(c.tickets, cred)
		}
	}
	return c, nil
}

// A cacheReader reads the fields of a ticket cache.
type cacheReader struct {
	reader
	version uint8
}

func (r *cacheReader) principal() principal {
	var nameType uint32
	if r.version != 1 {
		nameType = r.uint32()
	}
	n := int64(r.uint32())
	if r.version == 1 {
		n-- // counts the realm
	}
	p := principal{realm: string(r.data32())}
	p.name = r.components(int(n), r.data32)
	p.name.NameType = int32(nameType)
	return p
}

// entry reads an entry, and returns nil if it is not a ticket that is of use.
func (r *cacheReader) entry() *credential {
	cred := &credential{client: r.principal()}
	server := r.principal()
	cred.key = r.key()
	auth := r.time()
	cred.start, cred.end = r.time(), r.time()
	if cred.start.Unix() == 0 {
		cred.start = auth
	}
	r.octets(4 + 1 + 4) // renew-till, is_skey, ticket flags
	r.typed()           // addresses
	r.typed()           // authorization data
	ticket := r.data32()
	r.data32() // second ticket
	if r.short || strings.HasPrefix(server.realm, "X-CACHECONF") {
		return nil
	}
	var err error
	cred.ticket, err = parseTicket(ticket)
	if err != nil || !supportedKey(cred.key) {
		return nil
	}
	return cred
}

func (r *cacheReader) key() types.EncryptionKey {
	keyType := r.uint16()
	if r.version == 3 {
		r.uint16() // given twice
	}
	return types.EncryptionKey{KeyType: int32(int16(keyType)), KeyValue: slices.Clone(r.data32())}
}

// typed skips a list of octets with a type each.
func (r *cacheReader) typed() {
	for range r.count32(6) {
		r.uint16()
		r.data32()
	}
}

// initial returns the ticket-granting ticket of the owner's realm, the one that
// lasts longest.
func (c *cache) initial() *credential {
	return c.find(ticketGranting(c.owner.realm))
}

// find returns the ticket for a service that lasts longest, or nil.
func (c *cache) find(service types.PrincipalName) *credential {
	var found *credential
	for _, cred := range c.tickets {
		if cred.ticket.SName.Equal(service) && (found == nil || cred.end.After(found.end)) {
			found = cred
		}
	}
	return found
}

// expired reports whether the cache holds nothing that can be used at t.
func (c *cache) expired(t time.Time) bool {
	return !slices.ContainsFunc(c.tickets, func(cred *credential) bool { return cred.valid(t) })
}

func parseTicket(data []byte) (messages.Ticket, error) {
	return recovered(func() (messages.Ticket, error) {
		var t messages.Ticket
		if err := t.Unmarshal(data); err != nil || len(t.SName.NameString) == 0 {
			return t, ErrMalformedReply
		}
		return t, nil
	})
}
