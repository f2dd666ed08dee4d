package e2e_test

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// A kerberosFailure keeps Kerberos from being carried out on this machine.
type kerberosFailure struct {
	desc  string
	upset func(l *negotiateLab)
	cause proxyauth.Cause
	code  negotiate.Code
	hint  string // words, separated by bars
}

const (
	ticketMissing  = proxyauth.CauseTicketMissing
	kerberosFailed = proxyauth.CauseKerberosFailed
)

// kerberosFailures returns those after which a password is tried in another way.
func kerberosFailures(t *testing.T) []kerberosFailure {
	cache := func(c kdc.CCache) func(*negotiateLab) {
		return func(l *negotiateLab) {
			l.scheme.Sources = []negotiate.Source{negotiate.TicketCache}
			l.scheme.TicketCache = l.kinit(c)
		}
	}
	none := filepath.Join(t.TempDir(), "krb5cc_none")
	return []kerberosFailure{
		{"clock wrong", func(l *negotiateLab) { l.realm.SetClockOffset(time.Hour) }, kerberosFailed, negotiate.ClockSkew, "NTP|from the KDC's|realm EXAMPLE.COM"},
		{"no krb5.conf", func(l *negotiateLab) { l.scheme.Realm, l.scheme.KDCs = "", nil }, kerberosFailed, negotiate.NoRealm, "default_realm|user@REALM"},
		{"no KDC known", func(l *negotiateLab) {
			l.scheme.Realm, l.scheme.ConfigFile = "OTHER.EXAMPLE.COM", filepath.Join(l.t.TempDir(), "krb5.conf")
			require.NoError(l.t, os.WriteFile(l.scheme.ConfigFile, []byte("[libdefaults]\ndns_lookup_kdc = false\n"), 0o600))
			l.scheme.KDCs = nil
		}, kerberosFailed, negotiate.NoKDC, "OTHER.EXAMPLE.COM|[realms]|_kerberos._tcp"},
		{"KDC down", func(l *negotiateLab) { l.scheme.DialKDC = refuseKDC }, kerberosFailed, negotiate.KDCUnreachable, "port 88|kdc.example.com|realm EXAMPLE.COM"},
		{"user unknown", func(l *negotiateLab) { l.realm.Remove(user) }, kerberosFailed, negotiate.ClientUnknown, "user name|realm EXAMPLE.COM"},
		{"service unknown", func(l *negotiateLab) { l.realm.Remove(proxySPN) }, kerberosFailed, negotiate.ServiceUnknown, "setspn -S " + proxySPN + "|CanonicalizeHost|realm EXAMPLE.COM"},
		{"proxy by its address", func(l *negotiateLab) {
			l.base.Proxy, l.base.DialContext = http.ProxyURL(&url.URL{Scheme: "http", Host: "192.0.2.1:3128"}), l.redial
		}, kerberosFailed, negotiate.IPAddress, "IP address|host name|SPN"},
		{"a policy", func(l *negotiateLab) { l.realm.Refuse(proxySPN, 12) }, kerberosFailed, negotiate.KDCRefuses, "KDC: error 12|realm EXAMPLE.COM"},
		{"no encryption type", func(l *negotiateLab) { l.realm.Refuse(proxySPN, 14) }, kerberosFailed, negotiate.EncType, "permitted_enctypes"},
		{"no ticket", func(l *negotiateLab) {
			l.scheme.Sources, l.scheme.TicketCache = []negotiate.Source{negotiate.TicketCache}, none
		}, ticketMissing, negotiate.NoTicket, "kinit|" + none},
		{"ticket of somebody else", cache(kdc.CCache{Client: "bob"}), ticketMissing, negotiate.NoTicket, "another user's|kinit"},
		{"ticket expired", cache(kdc.CCache{Client: user, Age: 2 * time.Hour, Life: time.Hour}), ticketMissing, negotiate.TicketExpired, "expired|kinit|krb5cc"},
		{"cache of another type", func(l *negotiateLab) {
			l.scheme.Sources, l.scheme.TicketCache = []negotiate.Source{negotiate.TicketCache}, "API:1234"
		}, ticketMissing, negotiate.CacheType, "API:1234|KRB5CCNAME=FILE:|kinit"},
	}
}

// A failure of Kerberos explains more than that of what took its place: NTLM inside
// Negotiate, which the proxy refuses or does not know, or Basic behind it.
func TestKerberosFailureOutranksItsSubstitute(t *testing.T) {
	t.Parallel()
	for row, inPlace := range []struct {
		desc    string
		refused bool
		lab     func(t *testing.T, r *realm) *negotiateLab
	}{
		{"NTLM refused", true, func(t *testing.T, r *realm) *negotiateLab {
			server := withNTLM(r, spnegoserver.Faults{})
			server.NTLM = func(binding []byte) spnegoserver.NTLM {
				return spnegoserver.NewNTLM(&ntlmserver.Server{Users: map[string]string{user: "another"}})(binding)
			}
			return newNegotiateLab(t, r, spnegoserver.Mechanism{Server: server}, testproxy.Config{})
		}},
		{"NTLM unknown", false, func(t *testing.T, r *realm) *negotiateLab {
			return newNegotiateLab(t, r, spnegoserver.Mechanism{Final: spnegoserver.FinalNever, Poison: true}, testproxy.Config{})
		}},
		{"Basic refused", true, func(t *testing.T, r *realm) *negotiateLab {
			l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, basicToo(testproxy.Config{}))
			l.users.SetPassword(user, "another")
			l.scheme.DisableNTLM = true
			return l
		}},
	} {
		for i, tt := range kerberosFailures(t) {
			for _, w := range sample.Of(row+i, ways) {
				r := newRealm(t, kdc.Principal{Name: "bob"})
				bubble(t, inPlace.desc+", "+tt.desc+", "+w.desc, func(t *testing.T) {
					l := inPlace.lab(t, r)
					tt := kerberosFailures(t)[i]
					tt.upset(l)
					for range 2 { // the second request is spared what the first one tried
						e := requireCause(t, tt.cause, w.reach(t.Context(), l.rt, originHost))
						require.ErrorIs(t, e, tt.code)
						require.Equal(t, inPlace.refused, errors.Is(e, proxyauth.ErrRejected), e)
						const substitute = " The user name and password that the proxy was sent in its place were refused, and may be wrong as well."
						require.Equal(t, inPlace.refused, strings.Contains(e.Hint(), substitute))
						for word := range strings.SplitSeq(tt.hint, "|") {
							require.Contains(t, e.Hint(), word)
						}
						for _, word := range []string{"firewall or load balancer", "keep-alive", "account is locked"} {
							require.NotContains(t, e.Hint(), word)
						}
						require.Equal(t, 1, strings.Count(e.Error(), "proxyauth:"), e.Error())
						requireNoSecret(t, e)
					}
				})
			}
		}
	}
}

// What the KDC says of a password is its own refusal, and not the proxy's.
func TestKDCRefusesCredentials(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc  string
		upset func(l *negotiateLab)
		cause proxyauth.Cause
		code  negotiate.Code
		hint  string
	}{
		{"wrong password", func(l *negotiateLab) { l.realm.SetPassword(user, "another") }, proxyauth.CauseCredentialsRejected, negotiate.PasswordWrong, "The KDC of realm EXAMPLE.COM, and not the proxy"},
		{"locked", func(l *negotiateLab) { l.realm.Lock(user, true) }, proxyauth.CauseHeldBack, negotiate.AccountRevoked, "The KDC of realm EXAMPLE.COM|locked"},
		{"expired", func(l *negotiateLab) { l.realm.Expire(user, true) }, proxyauth.CauseHeldBack, negotiate.PasswordExpired, "The KDC of realm EXAMPLE.COM|expired"},
		{"no verdict", func(l *negotiateLab) {
			requests := 0
			l.realm.instead(func(request []byte) []byte {
				if requests++; requests > 1 { // the proof
					return nil
				}
				return l.realm.Answer(request)
			})
		}, proxyauth.CauseHeldBack, negotiate.NoVerdict, "A KDC of realm EXAMPLE.COM|has not answered"},
	} {
		for _, w := range ways {
			r := newRealm(t)
			bubble(t, tt.desc+", "+w.desc, func(t *testing.T) {
				l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, basicToo(testproxy.Config{}))
				tt.upset(l)
				for range 2 {
					e := requireCause(t, tt.cause, w.reach(t.Context(), l.rt, originHost))
					require.ErrorIs(t, e, tt.code)
					requireHint(t, e, tt.hint, "")
					if tt.cause == proxyauth.CauseHeldBack {
						require.WithinRange(t, e.Retry, time.Now().Add(time.Second), time.Now().Add(time.Minute))
					}
					requireNoSecret(t, e)
				}
				require.NotContains(t, l.tally(), w.method+" Basic 407")
			})
		}
	}
}
