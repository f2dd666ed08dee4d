package krb

import (
	"bytes"
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

// Services makes an identity hold tickets for n services and returns how many it keeps.
func Services(n int) int {
	var id identity
	for i := range n {
		id.slot(strconv.Itoa(i))
	}
	return id.services.Len()
}

// The parsers, for tests and fuzzing.

func ParseConf(names string) (realm string, kdcs []string, types []int32, err error) {
	var f confFile
	c, err := f.load(context.Background(), names)
	if err != nil {
		return "", nil, nil, err
	}
	return c.defaultRealm, addresses(c.realms[c.defaultRealm]), c.ticketTypes, nil
}

func ParseProfile(text []byte) error {
	p := &profileReader{root: newSection()}
	if err := p.parse("krb5.conf", text); err != nil {
		return err
	}
	_, err := newConf(p.root)
	return err
}

func RealmOf(names, host string) string {
	var f confFile
	c, err := f.load(context.Background(), names)
	if err != nil {
		return err.Error()
	}
	return c.realmOf(host)
}

func CacheNameOf(names, configured string) string {
	var f confFile
	c, err := f.load(context.Background(), names)
	if err != nil {
		return err.Error()
	}
	name, err := c.cacheNameOf(configured)
	if err != nil {
		return err.Error()
	}
	return name
}

// CacheNames returns the names of the caches that a name stands for.
func CacheNames(ctx context.Context, name string) (names []string, err error) {
	kind, rest, err := new(conf).cacheType(name)
	if err != nil {
		return nil, err
	}
	for name, err := range kind.collection(ctx, rest) {
		if err != nil {
			return names, err
		}
		names = append(names, name)
	}
	return names, nil
}

func PrincipalOf(text, user, own string) (name, realm string, err error) {
	p := &profileReader{root: newSection()}
	if err := p.parse("krb5.conf", []byte(text)); err != nil {
		return "", "", err
	}
	c, err := newConf(p.root)
	if err != nil {
		return "", "", err
	}
	who, err := c.principalOf(user, own)
	return who.name.PrincipalNameString(), who.realm, err
}

// ParseCache returns the services that a ticket cache has tickets for.
func ParseCache(data []byte) (owner string, services []string, err error) {
	c, err := parseCache("cache", data)
	if err != nil {
		return "", nil, err
	}
	for _, cred := range c.tickets {
		services = append(services, cred.ticket.SName.PrincipalNameString())
	}
	c.initial()
	c.expired(time.Now())
	return c.owner.name.PrincipalNameString() + "@" + c.owner.realm, services, nil
}

// ParseKeytab returns the number of keys of the first principal.
func ParseKeytab(data []byte) (owner string, keys int, err error) {
	k, err := parseKeytab("keytab", data)
	if err != nil {
		return "", 0, err
	}
	who, _ := k.owner(func(principal) bool { return true })
	return who.name.PrincipalNameString() + "@" + who.realm, len(k.keys(who)), nil
}

var (
	ParseEncTypes = parseEncTypes
	Duration      = duration
)

// An Identity is one user's.
type Identity struct{ identity }

// LogIn gets a ticket-granting ticket by in, which returns none.
func (id *Identity) LogIn(ctx context.Context, in func(context.Context) error) error {
	_, err := id.call(ctx, "", func(ctx context.Context) (*credential, error) { return nil, in(ctx) })
	return err
}

// NewTestContext returns a context that has sent its token and can verify the
// answer, with a key of the type.
func NewTestContext(t *Ticket) (*Context, []byte, error) {
	c := NewContext(t, [16]byte{})
	out, _, err := c.Init(context.Background(), nil)
	return c, out, err
}

// Age makes all tickets of secrets older by d.
func (c *Client) Age(d time.Duration) {
	for _, id := range c.table.ids.All() {
		older(&id.initial, d)
		for _, s := range id.services.All() {
			older(s, d)
		}
	}
}

func older(s *slot, d time.Duration) {
	if s.cred == nil {
		return
	}
	cred := *s.cred
	cred.start, cred.end, cred.obtained = cred.start.Add(-d), cred.end.Add(-d), cred.obtained.Add(-d)
	*s = slot{cred: &cred}
}

// Idle makes all identities look unused for d, and returns how many there are.
func (c *Client) Idle(d time.Duration) int {
	for _, id := range c.table.ids.All() {
		id.used = id.used.Add(-d)
	}
	return c.table.ids.Len()
}

// Identities uses n identities at once and returns how many there are meanwhile, and
// how many when all have been released.
func Identities(n int) (used, kept int) {
	var t table
	var ids []*identity
	for i := range n {
		ids = append(ids, t.use(fingerprint{byte(i), byte(i >> 8)}))
	}
	used = t.ids.Len()
	for _, id := range ids {
		t.release(id)
	}
	return used, t.ids.Len()
}

// SecretsRemembered notes that n secrets are held back, and returns how many are remembered.
func SecretsRemembered(n int) int {
	var p pauses
	for i := range n {
		p.add(fingerprint{byte(i), byte(i >> 8)}, ErrNoVerdict)
	}
	return p.known.Len()
}

// KeyInfo returns what a KDC's pre-authentication data say of bob's key.
func KeyInfo(data types.PADataSequence, allowed ...int32) (encType int32, salt, params string, err error) {
	info, err := keyInfoOf(data, newPrincipal(1, "bob", "EXAMPLE.COM"), allowed)
	return info.encType, info.salt, info.params, err
}

// DropIdentities drops the tickets of secrets, and keeps what is known of the
// secrets.
func (c *Client) DropIdentities() { c.table.clear() }

// DialUnix makes connections to KCM daemons by dial until the test ends.
func DialUnix(t testing.TB, dial DialFunc) {
	before := dialUnix
	t.Cleanup(func() { dialUnix = before })
	dialUnix = dial
}

// ParseKCM parses what a daemon sends, of which at most limit octets are taken, as the reply to
// each operation, and returns how many octets come of it.
func ParseKCM(data []byte, limit int) (size int, err error) {
	reply, err := readKCMReply(bytes.NewReader(data), limit)
	if err != nil {
		return 0, err
	}
	name, _ := parseKCMName(reply)
	ids, _ := parseUUIDs(reply)
	list, _ := parseCredList(reply)
	parseCache("KCM", fileFormat(reply, list))
	return max(len(reply), len(name), len(bytes.Join(ids, nil)), len(bytes.Join(list, nil))), nil
}

// ReadCache returns the services that a cache has tickets for. It does not leave its goroutine.
func ReadCache(ctx context.Context, name string) (owner string, services []string, err error) {
	kind, rest, err := new(conf).cacheType(name)
	if err != nil {
		return "", nil, err
	}
	got, err := kind.read(ctx, rest)
	if err != nil {
		return "", nil, err
	}
	return ParseCache(got.data)
}
