package negotiate

import (
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"sync"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/onecall"
	"github.com/go-proxyauth/proxyauth/schemes/internal/channelbinding"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

// name is the auth-scheme.
const name = "Negotiate"

// A Source is where Kerberos tickets come from.
type Source int

// The sources of tickets.
const (
	// TicketCache is the file that kinit fills.
	TicketCache = Source(krb.TicketCache)

	// Keytab is a file with the long-term keys of a service or a batch job.
	Keytab = Source(krb.Keytab)

	// Password is the password of the [proxyauth.CredentialsProvider].
	Password = Source(krb.Password)
)

// A Scheme is Negotiate. The zero value works on a computer that is set up for
// Kerberos. It holds tickets, so it must not be copied, and it must not be
// changed after first use. It is safe for concurrent use.
type Scheme struct {
	// Sources are the sources of tickets in the order in which they are tried.
	// Nil means TicketCache, Keytab, Password.
	Sources []Source

	// Realm is the Kerberos realm of user names that name none. Empty means
	// default_realm of krb5.conf.
	Realm string

	// KDCs are the addresses of the KDCs of Realm, host or host:port. Nil means
	// those of krb5.conf, or else of DNS.
	KDCs []string

	// ConfigFile is the path of krb5.conf. Empty means KRB5_CONFIG, or else
	// the system's, which may be missing.
	ConfigFile string

	// TicketCache is the name of the ticket cache: a path, FILE:path or
	// DIR:path. Empty means KRB5CCNAME, and so on.
	TicketCache string

	// Keytab is the path of the keytab. Empty means KRB5_CLIENT_KTNAME, and so
	// on, or none.
	Keytab string

	// Principal is whose tickets or keys are taken from ticket cache and
	// keytab, such as batch/host.example.com@EXAMPLE.COM. Empty means the user
	// that the provider names, or else whoever they belong to.
	Principal string

	// ServicePrincipal is the proxy's service principal, such as
	// HTTP/proxy.example.com, with or without a realm. Empty means HTTP/ and the
	// host name of the proxy's URL, in lower case.
	ServicePrincipal string

	// SPN returns the service principal of a proxy, of which it gets scheme and
	// host. Nil, or an empty result, means ServicePrincipal.
	SPN func(proxy *url.URL) string

	// CanonicalizeHost takes the proxy's host name from DNS, following CNAME
	// records, before it becomes a part of the service principal. Whoever
	// controls DNS then chooses the service. It is off by default.
	CanonicalizeHost bool

	// RequireMutual makes it an error if the proxy does not prove that it
	// could decrypt the ticket. Squid never does, and Apache does not for
	// CONNECT. NTLM, which has no such proof, is not used then.
	RequireMutual bool

	// DisableNTLM leaves NTLM out of the offer.
	DisableNTLM bool

	// InsecureOmitChannelBindings leaves out the channel binding of a TLS
	// proxy, as must be where the TLS ends before the proxy, in a load balancer.
	// Without it the authentication can be relayed to another connection.
	InsecureOmitChannelBindings bool

	// DialKDC opens connections to KDCs. Nil means a net.Dialer's DialContext.
	DialKDC func(ctx context.Context, network, address string) (net.Conn, error)

	// Resolver is asked for KDCs and, with CanonicalizeHost, for names. Nil
	// means [net.DefaultResolver].
	Resolver *net.Resolver

	once    sync.Once
	krb     *krb.Client
	proxies memory // that refuse tickets
	wants   memory // that want NTLM inside SPNEGO
	names   onecall.Group[string, string]
}

var (
	_ proxyauth.ConnectionBinder = (*Scheme)(nil)
	_ proxyauth.AmbientScheme    = (*Scheme)(nil)
)

// Name returns "Negotiate".
func (*Scheme) Name() string { return name }

// BindsConnection returns true.
func (*Scheme) BindsConnection() bool { return true }

// Ambient reports whether a ticket cache or a keytab may stand in for the
// provider's credentials. Whether there is one is not looked at.
func (s *Scheme) Ambient() bool {
	return slices.ContainsFunc(s.sources(), func(source krb.Source) bool { return source != krb.Password })
}

// Forget drops all tickets, and forgets which passwords the KDCs have refused or
// not answered, which KDCs did not answer at all, and which proxies refuse tickets.
func (s *Scheme) Forget() {
	s.client().Forget()
	s.proxies.clear()
	s.wants.clear()
}

// NewSession begins an exchange, unasked too: it does not depend on
// ex.Challenges. It gets the ticket, from memory if it can, and waits for the KDC
// no longer than ctx. If ex.Credentials are zero, the ticket comes from the ticket
// cache or a keytab.
//
// An error that wraps [proxyauth.ErrRejected] says that the KDC has refused the
// password now or before; it did not go to the proxy. Any other is a local
// failure. If there is a password and NTLM is not disabled, a local failure
// leaves NTLM as the one mechanism, unless the KDC may have refused the password
// ([ErrNoVerdict]) or says that the account is not to be used.
//
// The session implements [proxyauth.Handshaker] and [proxyauth.Verifier].
func (s *Scheme) NewSession(ctx context.Context, ex proxyauth.Exchange) (proxyauth.Session, error) {
	if ex.Proxy == nil {
		return nil, errors.New("proxyauth: negotiate: exchange without a proxy")
	}
	n := &session{scheme: s, ex: ex}
	if !s.InsecureOmitChannelBindings {
		n.binding = channelbinding.ServerEndPoint(ex.TLS)
	}
	if s.allowsNTLM(ex) && s.proxies.has(memoryKey(ex)) {
		n.localErr = ErrTicketRefused
		return n, nil
	}
	if err := n.obtain(ctx); err != nil {
		return nil, err
	}
	return n, nil
}

// allowsNTLM reports whether NTLM can be offered.
func (s *Scheme) allowsNTLM(ex proxyauth.Exchange) bool {
	return !s.DisableNTLM && !s.RequireMutual && ex.Credentials.Username != "" && ex.Credentials.Password.Reveal() != ""
}

func (s *Scheme) ticket(ctx context.Context, ex proxyauth.Exchange) (*krb.Ticket, error) {
	host := s.host(ctx, ex.Proxy)
	spn := s.spn(ex.Proxy, host)
	if spn == "" {
		return nil, ErrIPAddress
	}
	return s.client().Ticket(ctx, krb.User{
		Name:     ex.Credentials.Username,
		Password: ex.Credentials.Password.Reveal,
	}, spn, host)
}

func (s *Scheme) client() *krb.Client {
	s.once.Do(func() {
		s.krb = krb.NewClient(krb.Config{
			Realm:      s.Realm,
			KDCs:       s.KDCs,
			ConfFile:   s.ConfigFile,
			CacheName:  s.TicketCache,
			KeytabName: s.Keytab,
			Principal:  s.Principal,
			Sources:    s.sources(),
			Dial:       s.DialKDC,
			Resolver:   s.Resolver,
		})
	})
	return s.krb
}

func (s *Scheme) sources() []krb.Source {
	if s.Sources == nil {
		return []krb.Source{krb.TicketCache, krb.Keytab, krb.Password}
	}
	var list []krb.Source
	for _, source := range s.Sources {
		list = append(list, krb.Source(source))
	}
	return list
}
