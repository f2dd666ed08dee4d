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
	// TicketCache is the ticket cache that kinit fills.
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
	// Engine, if not nil, makes the tokens, before the sources are tried: see package
	// sspi for that of Windows. If it fails, the sources are tried, and after them NTLM
	// where there is a password. To use the engine alone, set Sources to an empty list
	// and DisableNTLM.
	Engine Engine

	// InsecureLogonNTLM allows NTLM of the Engine, as the user who is logged in, at any
	// http:// proxy. Whoever is on the way there can guess the user's password offline
	// or relay the logon to another server. Otherwise NTLM of the Engine is for
	// https:// proxies, and for those that [proxyauth.Transport.AllowProxy] allows.
	InsecureLogonNTLM bool

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

	// TicketCache is the name of the ticket cache: a path, or FILE:path, DIR:path,
	// KCM:name, KEYRING:name. Empty means KRB5CCNAME, and so on.
	TicketCache string

	// Keytab is the path of the keytab. Empty means KRB5_CLIENT_KTNAME, and so
	// on, or none.
	Keytab string

	// Principal is whose tickets or keys are taken from ticket cache and
	// keytab, such as batch/host.example.com@EXAMPLE.COM. Empty means the user
	// that the provider names, or else whoever they belong to.
	Principal string

	// SPN returns the service principal name of a proxy, such as
	// HTTP/proxy.example.com, with or without a realm. It is given the scheme,
	// host and port of the proxy's URL. Nil, or an empty result, means HTTP/ and the
	// host name, in lower case.
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

	// DialKDC opens connections to KDCs. Nil means a net.Dialer's DialContext. ctx has no
	// values: what a KDC is asked serves any number of requests.
	DialKDC func(ctx context.Context, network, address string) (net.Conn, error)

	// Resolver is asked for KDCs and, with CanonicalizeHost, for names. Nil
	// means [net.DefaultResolver].
	Resolver *net.Resolver

	once    sync.Once
	krb     func() *krb.Client // hidden from fmt, since it knows users
	proxies memory             // that refuse tickets
	wants   memory             // that want NTLM inside SPNEGO
	names   onecall.Group[string, string]
}

var (
	_ proxyauth.Describer = (*Scheme)(nil)
	_ proxyauth.Resetter  = (*Scheme)(nil)
)

// Name returns "Negotiate".
func (*Scheme) Name() string { return name }

// Properties returns that Negotiate authenticates the connection. It is Ambient
// unless Password is the only source of tickets and there is no Engine: an engine,
// ticket cache or keytab may be used without credentials from the provider.
func (s *Scheme) Properties() proxyauth.SchemeProperties {
	ambient := s.Engine != nil || s.Sources == nil || slices.ContainsFunc(s.Sources, func(source Source) bool { return source != Password })
	return proxyauth.SchemeProperties{BindsConnection: true, Ambient: ambient}
}

// Reset drops all tickets. It also forgets which passwords the KDCs have refused or
// not answered, which KDCs did not answer at all, and which proxies refuse tickets. If
// the Engine has a method Reset(), that is called, too.
func (s *Scheme) Reset() {
	if r, ok := s.Engine.(interface{ Reset() }); ok {
		r.Reset()
	}
	s.client().Forget()
	s.proxies.clear()
	s.wants.clear()
}

// NewSession begins an exchange, which needs no challenge. It gets the ticket, from
// memory if it can, and waits for the KDC no longer than ctx. If ex.Credentials are
// zero, the ticket comes from the ticket cache or a keytab.
//
// An error that wraps [proxyauth.ErrRejected] means that the KDC has refused the
// password now or before; it was not sent to the proxy. Any other is a local
// failure. If there is a password and NTLM is not disabled, NTLM takes the place
// of Kerberos after a local failure, unless the KDC may have refused the password
// ([NoVerdict]) or says that the account must not be used.
//
// The session implements [proxyauth.Continuer] and [proxyauth.Verifier]. The
// strength of its authorizations is 2 for Kerberos and 1 for NTLM.
func (s *Scheme) NewSession(ctx context.Context, ex proxyauth.Exchange) (proxyauth.Session, error) {
	if ex.Proxy == nil {
		return nil, errors.New("proxyauth: negotiate: exchange without a proxy")
	}
	n := &session{scheme: s, ex: ex}
	if !s.InsecureOmitChannelBindings {
		n.binding = channelbinding.ServerEndPoint(ex.TLS)
	}
	if s.allowsNTLM(ex) && s.proxies.has(memoryKey(ex)) {
		n.localErr = bound(errTicketRefused, n.binding)
		return n, nil
	}
	if s.Engine != nil {
		e, err := s.newEngineSession(ctx, ex, n.binding)
		if err == nil {
			return e, nil
		}
		if ctx.Err() != nil || errors.Is(err, proxyauth.ErrRejected) || errors.Is(err, proxyauth.ErrHeldBack) {
			return nil, err
		}
		n.engineErr = err
	}
	if err := n.obtain(ctx); err != nil {
		return nil, explained(err, n.spn)
	}
	return n, nil
}

// allowsNTLM reports whether NTLM can be offered.
func (s *Scheme) allowsNTLM(ex proxyauth.Exchange) bool {
	return !s.DisableNTLM && !s.RequireMutual && ex.Credentials.Username != "" && ex.Credentials.Password.Reveal() != ""
}

// ticket returns a ticket for the proxy, and the service principal that it is for.
func (s *Scheme) ticket(ctx context.Context, ex proxyauth.Exchange) (ticket *krb.Ticket, spn string, err error) {
	host := s.host(ctx, ex.Proxy)
	spn = s.spn(ex.Proxy, host)
	if spn == "" {
		return nil, "", errIPAddress
	}
	ticket, err = s.client().Ticket(ctx, krb.User{
		Name:     ex.Credentials.Username,
		Password: ex.Credentials.Password.Reveal,
	}, spn, host)
	return ticket, spn, err
}

func (s *Scheme) client() *krb.Client {
	s.once.Do(func() {
		client := krb.NewClient(krb.Config{
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
		s.krb = func() *krb.Client { return client }
	})
	return s.krb()
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
