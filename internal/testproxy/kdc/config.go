package kdc

import (
	"cmp"
	"time"
)

// The encryption types that the KDC knows, as registered with IANA.
const (
	AES128SHA1 int32 = 17 // aes128-cts-hmac-sha1-96
	AES256SHA1 int32 = 18 // aes256-cts-hmac-sha1-96
	AES128SHA2 int32 = 19 // aes128-cts-hmac-sha256-128
	AES256SHA2 int32 = 20 // aes256-cts-hmac-sha384-192
	RC4        int32 = 23 // arcfour-hmac
)

// DefaultRealm is the realm of a [Config] that names none.
const DefaultRealm = "EXAMPLE.COM"

const (
	defaultTicketLife = 10 * time.Hour
	defaultSkew       = 5 * time.Minute
	defaultMaxUDP     = 1400
	defaultKVNO       = 2
	defaultIterations = 4096
)

// Config is the configuration of a [KDC]. The zero value is a KDC that knows
// nobody.
type Config struct {
	// Realm is the realm that the KDC serves. Empty means [DefaultRealm].
	Realm string

	// Principals are the users and services. The ticket-granting service is
	// always there; give it, as "krbtgt/" and the realm, only to change its
	// encryption types, or for another realm to trust: two KDCs of which one
	// has the other's ticket-granting service, with the same password and salt,
	// issue tickets to each other's realm. There is no need for the other's users.
	Principals []Principal

	// TicketLife limits how long a ticket is valid, whatever was asked for. A
	// principal's MaxLife may limit it further. Zero means ten hours; with a
	// negative value tickets are expired when they are issued.
	TicketLife time.Duration

	// RenewLife is for how long a ticket may be renewed. Zero means that no
	// ticket is renewable.
	RenewLife time.Duration

	// MaxFailures is the number of failed pre-authentications after which a
	// principal is locked, as corporate directories do. Zero means never.
	MaxFailures int

	// MaxSkew is by how much a client's clock may differ. Zero means five
	// minutes.
	MaxSkew time.Duration

	// Now is the KDC's clock. Nil means time.Now.
	Now func() time.Time

	// MaxUDP is the longest answer that is sent over UDP; a longer one becomes
	// KRB_ERR_RESPONSE_TOO_BIG. Zero means 1400 bytes; a negative value makes
	// every answer too big.
	MaxUDP int

	// Iterations is the number of PBKDF2 iterations that make an AES key of a
	// password, which the KDC tells its clients (RFC 3962, Section 4). Zero
	// means 4096, the fewest that a client should take; a negative value means the
	// default of the encryption type, which may take 20 ms and which clients are not
	// told. MIT's clients refuse anything below the default.
	Iterations int
}

func (c Config) withDefaults() Config {
	c.Realm = cmp.Or(c.Realm, DefaultRealm)
	c.TicketLife = cmp.Or(c.TicketLife, defaultTicketLife)
	c.MaxSkew = cmp.Or(c.MaxSkew, defaultSkew)
	c.MaxUDP = cmp.Or(c.MaxUDP, defaultMaxUDP)
	c.Iterations = cmp.Or(c.Iterations, defaultIterations)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// A Principal is a user or a service that the KDC knows.
type Principal struct {
	// Name is the principal's name without the realm, such as "ann" or
	// "HTTP/proxy.example.com".
	Name string

	// Password is what the keys are made of. Empty means random keys, which
	// only [KDC.Keytab] tells.
	Password string

	// Salt goes into the keys. Empty means realm and name (RFC 4120, Section
	// 4).
	Salt string

	// Enctypes are the encryption types that the principal has keys for. The
	// first one encrypts tickets to it. Nil means AES with SHA-1 and SHA-2,
	// then RC4.
	Enctypes []int32

	// SessionEnctypes are the encryption types of the session keys that the
	// principal understands as a service. Nil means those of Enctypes.
	SessionEnctypes []int32

	// KVNO is the version number of the keys. Zero means 2.
	KVNO int

	// NoPreauth makes the KDC answer without pre-authentication.
	NoPreauth bool

	// MaxLife limits the life of tickets to this principal. Zero means that
	// only [Config.TicketLife] does.
	MaxLife time.Duration

	// OKAsDelegate marks tickets to this service, which invites a client to
	// delegate.
	OKAsDelegate bool

	// Expired says that the password has expired: KDC_ERR_KEY_EXPIRED.
	Expired bool

	// Locked says that the account is locked: KDC_ERR_CLIENT_REVOKED.
	Locked bool

	// Refuse is an error code of RFC 4120, Section 7.5.9 that answers every
	// request by or for this principal. Zero means none.
	Refuse int32
}
