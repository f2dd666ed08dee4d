package krb_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/dnstest"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

func TestKDCFromDNS(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	config := configOf(t, k)
	config.KDCs = nil
	_, port, err := net.SplitHostPort(k.Addr())
	require.NoError(t, err)
	config.Resolver = dnstest.Resolver(dnstest.Zone{SRV: map[string]string{
		"_kerberos._tcp.EXAMPLE.COM.": net.JoinHostPort("localhost", port),
	}})
	require.NoError(t, ask(t, krb.NewClient(config), user("ann", "s3cret")))
	config.Realm = "LAB.EXAMPLE.COM"
	require.ErrorIs(t, ask(t, krb.NewClient(config), user("ann", "s3cret")), krb.ErrNoKDC)
}

// A record of one KDC whose name is none that can be looked up does not hide the others: Active
// Directory takes host names that are not ASCII.
func TestKDCWithAnOddNameInDNS(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	config := configOf(t, k)
	config.KDCs = nil
	config.Resolver = dnstest.Resolver(dnstest.Zone{SRV: map[string]string{
		"_kerberos._tcp.EXAMPLE.COM.": "dc-münchen.example.com:88 kdc.example.com:88",
	}})
	config.Dial = hosts{"kdc.example.com": piped(k, plainly)}.dial
	require.NoError(t, ask(t, krb.NewClient(config), user("ann", "s3cret")))
}

// A replica learns of a new password late. Where DNS names the primary KDCs, one of them is asked
// about a password that a replica refuses, and no other replica; without such a record, any other.
func TestPrimaryKDCFromDNS(t *testing.T) {
	for _, tc := range []struct {
		desc, kdcs, primaries string
		want                  error
		proofs                int // refused by the replicas
	}{
		{"one", "late:88 later:88", "current:88", nil, 1},
		{"which is a KDC of the realm, too", "late:88 later:88 current:88", "current:88", nil, 1},
		{"of two the other one", "late:88 later:88", "late:88 current:88", nil, 1},
		{"none", "late:88 current:88", "", nil, 1},
		{"the one that refuses", "late:88 current:88", "late:88", krb.ErrPasswordWrong, 1},
		{"that does not know it either", "late:88 current:88", "later:88", krb.ErrPasswordWrong, 2},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			late, current := startKDC(t, kdc.Config{}), startKDC(t, kdc.Config{})
			current.SetPassword("ann", "new")
			config := configOf(t, late)
			config.KDCs = nil
			zone := dnstest.Zone{SRV: map[string]string{"_kerberos._tcp.EXAMPLE.COM.": tc.kdcs}}
			if tc.primaries != "" {
				zone.SRV["_kerberos-master._tcp.EXAMPLE.COM."] = tc.primaries
			}
			config.Resolver = dnstest.Resolver(zone)
			late.SetPassword("krbtgt/EXAMPLE.COM", "shared")
			current.SetPassword("krbtgt/EXAMPLE.COM", "shared")
			up := hosts{"late": piped(late, plainly)}
			config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				return up.dial(ctx, network, address)
			}
			c := krb.NewClient(config)
			require.NoError(t, ask(t, c, user("ann", "s3cret"))) // late is asked first from now on
			up = hosts{"late": piped(late, plainly), "later": piped(late, plainly), "current": piped(current, plainly)}
			require.ErrorIs(t, ask(t, c, user("ann", "new")), tc.want)
			require.Equal(t, tc.proofs, late.Counts("ann").PreauthFailed)
		})
	}
}

// That DNS does not answer is another matter than that it knows no KDC.
func TestDNSThatDoesNotAnswer(t *testing.T) {
	config := configOf(t, startKDC(t, kdc.Config{}))
	config.KDCs = nil
	config.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errRefusedConn
	}}
	err := ask(t, krb.NewClient(config), user("ann", "s3cret"))
	require.ErrorIs(t, err, krb.ErrNoKDC)
	require.ErrorContains(t, err, errRefusedConn.Error())
	require.Contains(t, krb.AboutOf(err, krb.ErrNoKDC).What, errRefusedConn.Error())
}

// A target that is the root of DNS says that the realm has no KDCs, and names no host: not this
// machine, to which an address without a host leads.
func TestRealmWhoseKDCIsTheRootOfDNS(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	config := configOf(t, k)
	config.KDCs = nil
	config.Resolver = dnstest.Resolver(dnstest.Zone{SRV: map[string]string{"_kerberos._tcp.EXAMPLE.COM.": ":88"}})
	config.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
		t.Error("dialled", address)
		return nil, errRefusedConn
	}
	require.ErrorIs(t, ask(t, krb.NewClient(config), user("ann", "s3cret")), krb.ErrNoKDC)
}

// Where all KDCs of a realm are configured to be reached in a way that is not, DNS does not stand
// in for them: as with MIT's library, it is asked where none is configured.
func TestDNSNamesNoKDCsOfARealmThatHasSome(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	for _, named := range []string{"https://kdcproxy.example.com/KdcProxy", "udp/kdc.example.com"} {
		config := configOf(t, k)
		config.KDCs = nil
		config.ConfFile = write(t, "krb5.conf", "[realms]\nEXAMPLE.COM = {\n kdc = "+named+"\n}\n")
		config.Resolver = dnstest.Resolver(dnstest.Zone{SRV: map[string]string{"_kerberos._tcp.EXAMPLE.COM.": "kdc.example.com:88"}})
		config.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
			t.Error("dialled", address)
			return nil, errRefusedConn
		}
		err := ask(t, krb.NewClient(config), user("ann", "s3cret"))
		require.ErrorIs(t, err, krb.ErrNoKDC)
		require.ErrorContains(t, err, named)
	}
}

func TestUsersShareALookup(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	config := configOf(t, k)
	config.KDCs = nil
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		release := make(chan struct{})
		config.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			asked.Add(1)
			<-release
			return nil, errors.New("connection refused")
		}}
		c := krb.NewClient(config)
		var users sync.WaitGroup
		for i := range 20 {
			users.Go(func() {
				_, err := c.Ticket(t.Context(), user("ann"+strconv.Itoa(i), "s3cret"), proxySPN, "")
				require.ErrorIs(t, err, krb.ErrNoKDC)
			})
		}
		synctest.Wait()
		require.EqualValues(t, 1, asked.Load())
		close(release)
		users.Wait()
	})
}
