package kdc

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

// A CCache says what a ticket cache holds.
type CCache struct {
	// Client is the principal whose cache it is.
	Client string

	// Services are those that the cache has tickets for, besides the
	// ticket-granting ticket.
	Services []string

	// NoTGT leaves the ticket-granting ticket out.
	NoTGT bool

	// Age is for how long the tickets have been valid.
	Age time.Duration

	// Life is how long the tickets are valid from their start. Zero means
	// [Config.TicketLife]. With a Life shorter than Age they have expired.
	Life time.Duration

	// Enctype is the type of the session keys. Zero means the first that the
	// service understands.
	Enctype int32

	// NoConfig leaves out the configuration entries that kinit writes.
	NoConfig bool
}

// CCache returns a ticket cache file, of version 4, with tickets made for it
// without any exchange: nothing is counted.
func (k *KDC) CCache(c CCache) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	client := types.NewPrincipalName(ntPrincipal, c.Client)
	file := appendName32(slices.Clone(ccacheHeader), client, k.cfg.Realm)
	if !c.NoConfig {
		file = k.appendConfig(file, client)
	}
	services := c.Services
	if !c.NoTGT {
		services = append([]string{k.tgsName()}, services...)
	}
	for _, service := range services {
		server, ok := k.principals[service]
		if !ok {
			return nil, fmt.Errorf("kdc: no service %q", service)
		}
		var err error
		if file, err = k.cachedGrant(c, client, server).appendTo(file); err != nil {
			return nil, err
		}
	}
	return file, nil
}

// ccacheHeader is the version and one header field: the offset to the KDC's
// clock, none.
var ccacheHeader = []byte{5, 4, 0, 12, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0}

func (k *KDC) cachedGrant(c CCache, client types.PrincipalName, server *principal) *grant {
	start := k.now().Add(-c.Age)
	g := &grant{
		client: client, realm: k.cfg.Realm, server: server, sname: server.name(),
		session: randomKey(cmp.Or(c.Enctype, server.SessionEnctypes[0])), flags: types.NewKrbFlags(),
		authTime: start, start: start, end: start.Add(cmp.Or(c.Life, k.cfg.TicketLife)),
	}
	types.SetFlag(&g.flags, flagPreauthent)
	if server.Name == k.tgsName() {
		types.SetFlag(&g.flags, flagInitial)
	}
	return g
}

// appendTo appends the grant as a credential of a ticket cache.
func (g *grant) appendTo(file []byte) ([]byte, error) {
	ticket, err := g.ticket()
	if err != nil {
		return nil, err
	}
	raw, err := ticket.Marshal()
	if err != nil {
		return nil, err
	}
	file = appendName32(file, g.client, g.realm)
	file = appendName32(file, g.sname, g.server.realm)
	file = binary.BigEndian.AppendUint16(file, uint16(g.session.KeyType))
	file = appendData32(file, g.session.KeyValue)
	file = appendTimes(file, g.authTime, g.start, g.end, g.renewTill)
	file = append(file, 0) // not a ticket for user-to-user
	file = append(file, g.flags.Bytes...)
	file = append(file, make([]byte, 8)...) // no addresses, no authorization data
	return appendData32(appendData32(file, raw), nil), nil
}

// appendConfig appends the entry that says how the TGT was obtained, which is no
// ticket though it looks like one.
func (k *KDC) appendConfig(file []byte, client types.PrincipalName) []byte {
	key := types.PrincipalName{NameString: []string{
		"krb5_ccache_conf_data", "pa_type", k.tgsName() + "@" + k.cfg.Realm,
	}}
	file = appendName32(file, client, k.cfg.Realm)
	file = appendName32(file, key, "X-CACHECONF:")
	file = append(file, 0, 0)      // a key of no type
	file = appendData32(file, nil) // and no length
	file = appendTimes(file, make([]time.Time, 4)...)
	file = append(file, make([]byte, 1+4+8)...)
	return appendData32(appendData32(file, []byte("2")), nil)
}

func appendTimes(b []byte, times ...time.Time) []byte {
	for _, t := range times {
		b = binary.BigEndian.AppendUint32(b, uint32(max(t.Unix(), 0)))
	}
	return b
}

// appendName32 appends a principal as a ticket cache has it: with lengths of 32
// bits and the name type in front.
func appendName32(b []byte, name types.PrincipalName, realm string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(name.NameType))
	b = binary.BigEndian.AppendUint32(b, uint32(len(name.NameString)))
	b = appendData32(b, []byte(realm))
	for _, component := range name.NameString {
		b = appendData32(b, []byte(component))
	}
	return b
}

func appendData32(b, data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(data))), data...)
}
