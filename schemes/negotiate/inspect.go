package negotiate

import (
	"context"
	"net/url"
	"time"

	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

// A Setup is what a [Scheme] has to work with on this machine for one proxy. It is for
// programs that explain why Kerberos works or doesn't, and holds no key and no password.
// Its errors may be an [*Error].
type Setup struct {
	// Engine is what the engine says of itself: who is logged in, for example. It is
	// empty if there is none, or if it has no method Describe() string.
	Engine string

	// ConfigFiles are the krb5.conf that was read, and what it includes. It is empty
	// if the machine has none.
	ConfigFiles []string

	// ConfigErr is why krb5.conf can't be used, nil if it can. If it is not nil, only
	// Engine and SPN are set besides.
	ConfigErr error

	// MaxSkew is by how much clocks may differ.
	MaxSkew time.Duration

	// SPN is the service principal name that is asked for. It is empty for a proxy
	// that is given by its IP address.
	SPN string

	// Realm is the realm whose KDCs are asked first: the user's. It is empty if
	// nothing tells it.
	Realm string

	// KDCs are the addresses of the KDCs of Realm, in the order in which they are
	// asked, and KDCErr is why there are none.
	KDCs   []string
	KDCErr error

	// Caches are the ticket caches found. The first one is the one that is read,
	// whether or not it exists; the others are those of its collection, and files in
	// the place where caches usually are.
	Caches []Cache

	// Keytab is the path of the keytab, empty if none is configured.
	Keytab string
}

// A Cache describes a ticket cache.
type Cache struct {
	// Name is the name with its type, such as FILE:/tmp/krb5cc_1000 or KCM:1000:7.
	Name string

	// From says what names the cache that is read: Scheme.TicketCache, KRB5CCNAME,
	// default_ccache_name in krb5.conf, or the default. It is empty for the others.
	From string

	// Principal is the owner, empty if the cache can't be read.
	Principal string

	// Tickets are those in the cache, the expired ones included.
	Tickets []CachedTicket

	// Err is why the tickets can't be used: there is no such cache, it can't be
	// read, it belongs to another user, or they have expired. It is nil if they can.
	Err error
}

// A CachedTicket describes a ticket in a [Cache].
type CachedTicket struct {
	// Service is the principal that the ticket is for. That of the ticket-granting
	// ticket begins with krbtgt/.
	Service string

	// Start and End are from when and until when the ticket is valid.
	Start, End time.Time
}

// Inspect returns what there is to work with for a proxy. The user is the one that the
// [proxyauth.CredentialsProvider] names, empty if it names nobody. Inspect reads files and
// ticket caches, and asks DNS for KDCs that krb5.conf does not name; it sends nothing to a KDC or to the
// proxy, and changes nothing.
func (s *Scheme) Inspect(ctx context.Context, proxy *url.URL, user string) *Setup {
	found := s.client().Inspect(ctx, krb.User{Name: user})
	spn := s.spn(proxy, s.host(ctx, proxy))
	setup := &Setup{
		ConfigFiles: found.ConfFiles,
		ConfigErr:   explained(found.ConfErr, spn),
		MaxSkew:     found.Skew,
		SPN:         spn,
		Realm:       found.Realm,
		KDCs:        found.KDCs,
		KDCErr:      explained(found.KDCErr, spn),
		Keytab:      found.Keytab,
	}
	if d, ok := s.Engine.(interface{ Describe() string }); ok {
		setup.Engine = d.Describe()
	}
	for _, c := range found.Caches {
		cache := Cache{Name: c.Name, From: c.From, Principal: c.Owner, Err: explained(c.Err, spn)}
		for _, t := range c.Tickets {
			cache.Tickets = append(cache.Tickets, CachedTicket(t))
		}
		setup.Caches = append(setup.Caches, cache)
	}
	return setup
}

// ProbeKDC asks a KDC whether it is there, in the name of the anonymous principal, so that
// no account is concerned. It returns by how much the KDC's clock is ahead of this
// machine's, negative if it is behind. It waits as long as a request does, ten seconds at most.
func (s *Scheme) ProbeKDC(ctx context.Context, realm, address string) (skew time.Duration, err error) {
	skew, err = s.client().Probe(ctx, realm, address)
	return skew, explained(err, "")
}
