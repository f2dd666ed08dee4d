package krb_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

// trusting returns the principal of the ticket-granting service of a realm to which another issues
// tickets, for the KDC of either.
func trusting(from, to string) kdc.Principal {
	return kdc.Principal{Name: "krbtgt/" + to, Password: "trust", Salt: from + "krbtgt" + to}
}

// chain starts the KDCs of realms of which each trusts the one before, and returns them with a
// krb5.conf that leads to them. None refers a client to another. The proxy is in the last one.
func chain(t testing.TB, realms ...string) (kdcs []*kdc.KDC, conf string) {
	t.Helper()
	conf = "[libdefaults]\ndns_lookup_kdc = false\ndefault_realm = " + realms[0] + "\n[realms]\n"
	for i, realm := range realms {
		cfg := kdc.Config{Realm: realm}
		if i == 0 {
			cfg.Principals = append(cfg.Principals, kdc.Principal{Name: "ann", Password: "s3cret"})
		} else {
			cfg.Principals = append(cfg.Principals, trusting(realms[i-1], realm))
		}
		if i+1 < len(realms) {
			cfg.Principals = append(cfg.Principals, trusting(realm, realms[i+1]))
		} else {
			cfg.Principals = append(cfg.Principals, kdc.Principal{Name: proxySPN})
		}
		k := kdc.Start(t, cfg)
		kdcs = append(kdcs, k)
		conf += fmt.Sprintf("%s = {\nkdc = %s\n}\n", realm, k.Addr())
	}
	return kdcs, conf
}

// askAlong asks for the proxy's ticket in the first realm of a chain.
func askAlong(t testing.TB, conf string) error {
	t.Helper()
	hermetic(t)
	c := krb.NewClient(krb.Config{ConfFile: write(t, "krb5.conf", conf), Sources: []krb.Source{krb.Password}})
	return ask(t, c, user("ann", "s3cret"))
}

// A KDC that refers nobody is asked for a ticket to the realm that has the name of the proxy's
// domain.
func TestRealmOfTheProxysDomain(t *testing.T) {
	t.Run("trusted", func(t *testing.T) {
		kdcs, conf := chain(t, "CORP.EXAMPLE.NET", "EXAMPLE.COM")
		require.NoError(t, askAlong(t, conf))
		require.Equal(t, 2, kdcs[0].Total().TGSRequests)
		require.Equal(t, 1, kdcs[1].Total().ServiceTickets)
	})
	t.Run("not trusted", func(t *testing.T) {
		kdcs, conf := chain(t, "CORP.EXAMPLE.NET", "LAB.EXAMPLE.NET")
		err := askAlong(t, conf)
		require.ErrorIs(t, err, krb.ErrServiceUnknown)
		require.ErrorContains(t, err, proxySPN+" in realm CORP.EXAMPLE.NET")
		require.Equal(t, 2, kdcs[0].Total().TGSRequests)
	})
	t.Run("the user's own", func(t *testing.T) {
		kdcs, conf := chain(t, "EXAMPLE.COM", "LAB.EXAMPLE.NET")
		require.ErrorIs(t, askAlong(t, conf), krb.ErrServiceUnknown)
		require.Equal(t, 1, kdcs[0].Total().TGSRequests)
	})
	t.Run("not that in krb5.conf", func(t *testing.T) {
		kdcs, conf := chain(t, "CORP.EXAMPLE.NET", "EXAMPLE.COM")
		require.ErrorIs(t, askAlong(t, conf+"[domain_realm]\n.example.com = LAB.EXAMPLE.NET\n"), krb.ErrServiceUnknown)
		require.Zero(t, kdcs[1].Total().TGSRequests)
	})
	t.Run("its KDC is unknown", func(t *testing.T) {
		_, conf := chain(t, "CORP.EXAMPLE.NET", "EXAMPLE.COM")
		conf, _, _ = strings.Cut(conf, "EXAMPLE.COM = {")
		err := askAlong(t, conf)
		require.ErrorIs(t, err, krb.ErrNoKDC)
		require.ErrorContains(t, err, "EXAMPLE.COM")
	})
}

// A KDC that does not know the way to the proxy's realm is asked for a ticket to the realms on the
// way that krb5.conf names, the last one first.
func TestPathBetweenRealms(t *testing.T) {
	const proxysRealm = "[domain_realm]\n.example.com = D.EXAMPLE\n"
	for _, tc := range []struct {
		desc, capaths string
		asked         []int // requests of each KDC
		want          error
	}{
		{"none", "", []int{1, 0, 0, 0}, krb.ErrServiceUnknown},
		{"the whole", "A.EXAMPLE = {\nD.EXAMPLE = B.EXAMPLE\nD.EXAMPLE = C.EXAMPLE\n}\n", []int{3, 2, 1, 1}, nil},
		{"with a gap", "A.EXAMPLE = {\nD.EXAMPLE = C.EXAMPLE\n}\n", []int{2, 0, 0, 0}, krb.ErrServiceUnknown},
		{"straight", "A.EXAMPLE = {\nD.EXAMPLE = .\n}\n", []int{1, 0, 0, 0}, krb.ErrServiceUnknown},
		{"of another realm's users", "B.EXAMPLE = {\nD.EXAMPLE = C.EXAMPLE\n}\n", []int{1, 0, 0, 0}, krb.ErrServiceUnknown},
		{"to another realm", "A.EXAMPLE = {\nC.EXAMPLE = B.EXAMPLE\n}\n", []int{1, 0, 0, 0}, krb.ErrServiceUnknown},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			kdcs, conf := chain(t, "A.EXAMPLE", "B.EXAMPLE", "C.EXAMPLE", "D.EXAMPLE")
			require.ErrorIs(t, askAlong(t, conf+proxysRealm+"[capaths]\n"+tc.capaths), tc.want)
			var asked []int
			for _, k := range kdcs {
				asked = append(asked, k.Total().TGSRequests)
			}
			require.Equal(t, tc.asked, asked)
		})
	}
}

// What the KDC of another realm says of the ticket with which the user's KDC sends a client there
// does not mean that the user has to log in again.
func TestTrustWithDifferentKeys(t *testing.T) {
	const code = "error 31: it does not take the ticket that realm CORP.EXAMPLE.NET has issued"
	kdcs, conf := chain(t, "CORP.EXAMPLE.NET", "EXAMPLE.COM")
	kdcs[1].SetPassword("krbtgt/EXAMPLE.COM", "other")
	hermetic(t)
	cfg := krb.Config{ConfFile: write(t, "krb5.conf", conf), Sources: []krb.Source{krb.Password}}
	addrs := map[string]krb.DialFunc{kdcs[0].Addr(): piped(kdcs[0], plainly), kdcs[1].Addr(): piped(kdcs[1], plainly)}
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return addrs[address](ctx, network, address)
	}
	synctest.Test(t, func(t *testing.T) {
		c := krb.NewClient(cfg)
		for range 3 {
			err := ask(t, c, user("ann", "s3cret"))
			require.ErrorIs(t, err, krb.ErrKDC)
			require.NotErrorIs(t, err, krb.ErrTicketExpired)
			require.ErrorContains(t, err, code)
			require.Equal(t, "EXAMPLE.COM", krb.AboutOf(err, krb.ErrKDC).Realm)
			time.Sleep(2 * time.Minute)
		}
		require.Equal(t, 1, kdcs[0].Counts("ann").TGTs)
	})
}
