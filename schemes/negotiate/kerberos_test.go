package negotiate_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/dnstest"
)

func TestKerberosTakesOneLeg(t *testing.T) {
	l := newLab(t)
	for range 3 {
		legs, err := l.connect(t.Context(), exchange("ann", "s3cret"))
		require.NoError(t, err)
		require.Equal(t, 1, legs)
	}
	seen := l.last()
	require.Equal(t, "ann@EXAMPLE.COM", seen.Client)
	require.Equal(t, []string{spnegoserver.Kerberos, spnegoserver.NTLMSSP}, seen.MechTypes)
	require.True(t, seen.MutualOption)
	require.True(t, seen.Flags.Has(spnegoserver.FlagMutual|spnegoserver.FlagIntegrity))
	require.False(t, seen.Flags.Has(spnegoserver.FlagDelegate))
	require.False(t, seen.ChannelBinding)
	require.Empty(t, l.proxy.Violations())
	require.Equal(t, 1, l.Total().ServiceTickets)
	require.Zero(t, l.Total().Forwards)
}

func TestAmbientCredentials(t *testing.T) {
	l := newLab(t)
	require.Equal(t, proxyauth.SchemeProperties{BindsConnection: true, Ambient: true}, l.scheme.Properties())
	onlyPassword := &negotiate.Scheme{Sources: []negotiate.Source{negotiate.Password}}
	require.Equal(t, proxyauth.SchemeProperties{BindsConnection: true}, onlyPassword.Properties())
	_, err := l.connect(t.Context(), exchange("", ""))
	require.ErrorIs(t, err, negotiate.NoTicket)
	require.ErrorContains(t, err, "kinit")

	cache, err := l.CCache(kdc.CCache{Client: "ann"})
	require.NoError(t, err)
	l.scheme.TicketCache = filepath.Join(t.TempDir(), "cc")
	l.scheme = &negotiate.Scheme{Realm: l.scheme.Realm, KDCs: l.scheme.KDCs, TicketCache: l.scheme.TicketCache, RequireMutual: true}
	require.NoError(t, os.WriteFile(l.scheme.TicketCache, cache, 0o600))
	legs, err := l.connect(t.Context(), exchange("", ""))
	require.NoError(t, err)
	require.Equal(t, 1, legs)
	require.Equal(t, []string{spnegoserver.Kerberos}, l.last().MechTypes)
	require.Zero(t, l.Total().ASRequests)
}

func TestEachEncryptionType(t *testing.T) {
	for _, enctype := range []int32{kdc.AES128SHA1, kdc.AES256SHA1, kdc.AES128SHA2, kdc.AES256SHA2, kdc.RC4} {
		for _, mic := range []bool{false, true} {
			t.Run(fmt.Sprint(enctype, mic), func(t *testing.T) {
				l := newLab(t)
				l.scheme.RequireMutual = true
				only := kdc.Start(t, kdc.Config{Principals: []kdc.Principal{
					{Name: "ann", Password: "s3cret"}, {Name: proxySPN, Enctypes: []int32{enctype}},
				}})
				l.scheme.KDCs = []string{only.Addr()}
				l.proxy = &spnegoserver.Server{Keytab: only.Keytab(proxySPN), Faults: spnegoserver.Always(spnegoserver.Faults{RequestMIC: mic && enctype != kdc.RC4})}
				legs, err := l.connect(t.Context(), exchange("ann", "s3cret"))
				require.NoError(t, err)
				require.Equal(t, enctype, l.last().SessionEnctype)
				if mic && enctype != kdc.RC4 {
					require.Equal(t, 2, legs)
					require.True(t, l.last().MIC)
				}
			})
		}
	}
}

func TestReplyIsVerified(t *testing.T) {
	for _, tc := range []struct {
		desc    string
		faults  spnegoserver.Faults
		mutual  error // with RequireMutual
		without error
	}{
		{"good", spnegoserver.Faults{}, nil, nil},
		{"without state and mechanism", spnegoserver.Faults{OmitNegState: true, OmitMech: true}, nil, nil},
		{"without SPNEGO", spnegoserver.Faults{Reply: spnegoserver.ReplyBare}, nil, nil},
		{"missing in the token", spnegoserver.Faults{Reply: spnegoserver.ReplyMissing}, negotiate.NoMutual, nil},
		{"missing", spnegoserver.Faults{Reply: spnegoserver.ReplyNone}, negotiate.NoMutual, nil},
		{"of another key", spnegoserver.Faults{Reply: spnegoserver.ReplyWrongKey}, proxyauth.ErrNotVerified, proxyauth.ErrNotVerified},
		{"of another second", spnegoserver.Faults{Reply: spnegoserver.ReplyWrongTime}, proxyauth.ErrNotVerified, proxyauth.ErrNotVerified},
		{"of another microsecond", spnegoserver.Faults{Reply: spnegoserver.ReplyWrongMicros}, proxyauth.ErrNotVerified, proxyauth.ErrNotVerified},
		{"cut", spnegoserver.Faults{Reply: spnegoserver.ReplyCut}, proxyauth.ErrNotVerified, proxyauth.ErrNotVerified},
		{"garbage", spnegoserver.Faults{Reply: spnegoserver.ReplyGarbage}, proxyauth.ErrNotVerified, proxyauth.ErrNotVerified},
		{"an error", spnegoserver.Faults{Reply: spnegoserver.ReplyError}, proxyauth.ErrNotVerified, proxyauth.ErrNotVerified},
		{"extra leg", spnegoserver.Faults{ExtraLegs: 1}, nil, nil},
		{"extra legs", spnegoserver.Faults{ExtraLegs: 3}, nil, nil},
		{"too many legs", spnegoserver.Faults{ExtraLegs: 10}, errBroken, errBroken},
		{"MIC wanted", spnegoserver.Faults{RequestMIC: true}, nil, nil},
		{"MIC wanted silently", spnegoserver.Faults{RequestMIC: true, PlainIncomplete: true}, nil, nil},
		{"wrong MIC", spnegoserver.Faults{RequestMIC: true, WrongMIC: true}, proxyauth.ErrNotVerified, proxyauth.ErrNotVerified},
	} {
		for _, field := range []string{"Proxy-Authenticate", "Proxy-Authentication-Info"} {
			t.Run(tc.desc+" in "+field, func(t *testing.T) {
				l := newLab(t)
				l.final = field
				l.proxy.Faults = spnegoserver.Always(tc.faults)
				_, err := l.connect(t.Context(), exchange("ann", "s3cret"))
				require.ErrorIs(t, err, tc.without)
				l.scheme = &negotiate.Scheme{Realm: l.Realm(), KDCs: l.scheme.KDCs, RequireMutual: true}
				_, err = l.connect(t.Context(), exchange("ann", "s3cret"))
				require.ErrorIs(t, err, tc.mutual)
				require.Equal(t, []string{spnegoserver.Kerberos}, l.last().MechTypes)
			})
		}
	}
}

func TestChannelBinding(t *testing.T) {
	leaf := &x509.Certificate{Raw: []byte("leaf"), SignatureAlgorithm: x509.SHA256WithRSA}
	other := &x509.Certificate{Raw: []byte("other"), SignatureAlgorithm: x509.SHA256WithRSA}
	for _, tc := range []struct {
		desc string
		leaf *x509.Certificate
		omit bool
		want error
	}{
		{"of the connection", leaf, false, nil},
		{"of another connection", other, false, negotiate.TicketRefused},
		{"left out", leaf, true, negotiate.TicketRefused},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			l := newLab(t)
			l.proxy.RequireCB = true
			l.scheme.InsecureOmitChannelBindings = tc.omit
			l.scheme.DisableNTLM = true
			ex := exchange("ann", "s3cret")
			ex.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{tc.leaf}}
			s, err := l.scheme.NewSession(t.Context(), ex)
			require.NoError(t, err)
			_, err = l.authenticate(t.Context(), s, ntlmserver.ServerEndPoint(leaf))
			require.ErrorIs(t, err, tc.want)
			require.Equal(t, tc.want == nil, l.last().BindingOK)
		})
	}
}

func TestSPN(t *testing.T) {
	for _, tc := range []struct {
		desc, proxy, want string
		change            func(*negotiate.Scheme)
		err               error
	}{
		{desc: "of the host", proxy: "PROXY.example.com.:80", want: proxySPN},
		{desc: "an IP address", proxy: "192.0.2.1:80", err: negotiate.IPAddress},
		{desc: "an IPv6 address", proxy: "[2001:db8::1]:80", err: negotiate.IPAddress},
		{desc: "given", proxy: "192.0.2.1:80", want: proxySPN, change: func(s *negotiate.Scheme) { s.SPN = fixed(proxySPN) }},
		{desc: "given with realm", proxy: "192.0.2.1:80", want: proxySPN, change: func(s *negotiate.Scheme) { s.SPN = fixed(proxySPN + "@EXAMPLE.COM") }},
		{desc: "from a func", proxy: "other:80", want: proxySPN, change: func(s *negotiate.Scheme) {
			s.SPN = func(u *url.URL) string { return "HTTP/proxy.example.com" }
		}},
		{desc: "canonical", proxy: "Alias.example.com:80", want: proxySPN, change: func(s *negotiate.Scheme) {
			s.CanonicalizeHost = true
			s.Resolver = dnstest.Resolver(dnstest.Zone{CNAME: map[string]string{"alias.example.com.": "Proxy.example.com."}})
		}},
		{desc: "canonical, and not in DNS", proxy: "proxy.example.com:80", want: proxySPN, change: func(s *negotiate.Scheme) {
			s.CanonicalizeHost = true
			s.Resolver = dnstest.Resolver(dnstest.Zone{})
		}},
		{desc: "an alias", proxy: "alias.example.com:80", err: negotiate.ServiceUnknown},
		{desc: "unknown", proxy: "other.example.com:80", err: negotiate.ServiceUnknown},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			l := newLab(t)
			l.scheme.DisableNTLM = true
			if tc.change != nil {
				tc.change(l.scheme)
			}
			ex := exchange("ann", "s3cret")
			ex.Proxy = &url.URL{Scheme: "http", Host: tc.proxy}
			_, err := l.connect(t.Context(), ex)
			require.ErrorIs(t, err, tc.err)
			if err == nil {
				require.Equal(t, tc.want, l.last().Service)
			}
		})
	}
}

func TestWrongPasswordIsRejected(t *testing.T) {
	l := newLab(t).withNTLM()
	var wg sync.WaitGroup
	errs := make([]error, 100)
	for i := range errs {
		wg.Go(func() { _, errs[i] = l.connect(t.Context(), exchange("ann", "wrong")) })
	}
	wg.Wait()
	for _, err := range errs {
		require.ErrorIs(t, err, proxyauth.ErrRejected)
		require.ErrorIs(t, err, negotiate.PasswordWrong)
	}
	require.Equal(t, 1, l.Total().PreauthFailed)
	require.Empty(t, l.proxy.Contexts(), "nothing goes to the proxy")
}

// refusedTickets are the ways in which a proxy refuses a ticket.
var refusedTickets = []struct {
	desc  string
	code  int32
	squid bool
	want  error
}{
	{"clock", 37, false, negotiate.ClockSkew},
	{"key", 41, false, negotiate.ProxyKey},
	{"something else", 60, false, negotiate.TicketRefused},
	{"without a word", 60, true, negotiate.TicketRefused},
}

// A ticket that the proxy refuses says nothing of the password.
func TestTicketRefused(t *testing.T) {
	for _, tc := range refusedTickets {
		t.Run(tc.desc, func(t *testing.T) {
			l := newLab(t)
			l.squid = tc.squid
			l.scheme.DisableNTLM = true
			l.proxy.Faults = spnegoserver.Always(spnegoserver.Faults{KRBError: tc.code})
			legs, err := l.connect(t.Context(), exchange("ann", "s3cret"))
			require.Equal(t, 1, legs)
			require.ErrorIs(t, err, negotiate.TicketRefused)
			require.ErrorIs(t, err, tc.want)
			require.NotErrorIs(t, err, proxyauth.ErrRejected)
			require.NotErrorIs(t, err, errBroken)
			_, err = l.connect(t.Context(), exchange("ann", "s3cret"))
			require.Error(t, err)
			require.Equal(t, 2, l.Total().ServiceTickets, "the refused one is not used again")
		})
	}
}

// The proxy's key is changed while an old ticket is in memory.
func TestOldTicketIsReplaced(t *testing.T) {
	l := newLab(t)
	cache, err := l.CCache(kdc.CCache{Client: "ann", Services: []string{proxySPN}})
	require.NoError(t, err)
	l.scheme.TicketCache = filepath.Join(t.TempDir(), "cc")
	require.NoError(t, os.WriteFile(l.scheme.TicketCache, cache, 0o600))
	l.SetPassword(proxySPN, "another")
	l.proxy.Keytab = l.Keytab(proxySPN)
	l.squid = true
	_, err = l.connect(t.Context(), exchange("", ""))
	require.ErrorIs(t, err, errBroken)
	_, err = l.connect(t.Context(), exchange("", ""))
	require.NoError(t, err)
}

func TestSessionServesAProxyThatWantsATokenPerRequest(t *testing.T) {
	l := newLab(t)
	s, err := l.scheme.NewSession(t.Context(), exchange("ann", "s3cret"))
	require.NoError(t, err)
	for range 3 {
		legs, err := l.authenticate(t.Context(), s, nil)
		require.NoError(t, err)
		require.Equal(t, 1, legs)
	}
	require.Equal(t, 1, l.Total().ServiceTickets)
}

func TestSessionHidesItsKeys(t *testing.T) {
	l := newLab(t)
	s, err := l.scheme.NewSession(t.Context(), exchange("ann", "s3cret"))
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		require.Equal(t, "Negotiate session", fmt.Sprintf(verb, s))
	}
}

func TestReset(t *testing.T) {
	l := newLab(t)
	_, err := l.connect(t.Context(), exchange("ann", "wrong"))
	require.ErrorIs(t, err, proxyauth.ErrRejected)
	l.SetPassword("ann", "wrong")
	_, err = l.connect(t.Context(), exchange("ann", "wrong"))
	require.ErrorIs(t, err, proxyauth.ErrRejected)
	l.scheme.Reset()
	_, err = l.connect(t.Context(), exchange("ann", "wrong"))
	require.NoError(t, err)
}

func TestClockSkewOfTheKDC(t *testing.T) {
	l := newLab(t)
	l.SetClockOffset(time.Hour)
	_, err := l.connect(t.Context(), exchange("ann", ""))
	require.ErrorIs(t, err, negotiate.NoTicket)
	l.scheme.DisableNTLM = true
	_, err = l.connect(t.Context(), exchange("ann", "s3cret"))
	require.ErrorIs(t, err, negotiate.ClockSkew)
	require.Zero(t, l.Total().PreauthFailed)
}

func TestVerifyTakesOtherFields(t *testing.T) {
	l := newLab(t)
	s, err := l.scheme.NewSession(t.Context(), exchange("ann", "s3cret"))
	require.NoError(t, err)
	_, err = s.Authorization(t.Context(), proxyauth.Leg{})
	require.NoError(t, err)
	v := s.(proxyauth.Verifier)
	resp := &http.Response{Header: http.Header{"Proxy-Authenticate": {`Basic realm="a, b"`, "Negotiate", "negotiated x"}}}
	require.NoError(t, v.Verify(resp))
	resp.Header.Add("Proxy-Authenticate", "NTLM, negotiate !")
	err = v.Verify(resp)
	require.Error(t, err)
	require.False(t, errors.Is(err, proxyauth.ErrRejected))
}
