package krb_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/dnstest"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

// A reply must be the answer to the request. Whoever can record one of the KDC's
// could send it again.
func TestReplyIsForTheRequest(t *testing.T) {
	for _, tc := range []struct {
		desc    string
		forgery kdc.Forgery
		as, tgs error // what comes of such an AS-REP, and of such a TGS-REP
	}{
		{desc: "right"},
		{desc: "another nonce", forgery: kdc.Forgery{OtherNonce: true}, as: krb.ErrMalformedReply, tgs: krb.ErrMalformedReply},
		{desc: "another client", forgery: kdc.Forgery{Client: "bob"}, as: krb.ErrMalformedReply, tgs: krb.ErrMalformedReply},
		{desc: "another client's realm", forgery: kdc.Forgery{Realm: "LAB.EXAMPLE.COM"}, as: krb.ErrMalformedReply, tgs: krb.ErrMalformedReply},
		{desc: "another service", forgery: kdc.Forgery{Service: "krbtgt/LAB.EXAMPLE.COM"}, as: krb.ErrMalformedReply, tgs: krb.ErrMalformedReply},
		{desc: "another service outside", forgery: kdc.Forgery{Outer: "HTTP/other.example.com"}, as: krb.ErrMalformedReply, tgs: krb.ErrMalformedReply},
		{desc: "a referral outside", forgery: kdc.Forgery{Outer: "krbtgt/LAB.EXAMPLE.COM"}, as: krb.ErrMalformedReply, tgs: krb.ErrMalformedReply},
		{desc: "another service throughout", forgery: kdc.Forgery{Service: "HTTP/other.example.com", Outer: "HTTP/other.example.com"}, as: krb.ErrMalformedReply, tgs: krb.ErrMalformedReply},
		{desc: "in other letters", forgery: kdc.Forgery{Outer: "HTTP/PROXY.example.com"}, as: krb.ErrMalformedReply},
		{desc: "four minutes ago", forgery: kdc.Forgery{AuthTime: -4 * time.Minute}},
		{desc: "an hour ago", forgery: kdc.Forgery{AuthTime: -time.Hour}, as: krb.ErrClockSkew},
		{desc: "in an hour", forgery: kdc.Forgery{AuthTime: time.Hour}, as: krb.ErrClockSkew},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			k := startKDC(t, kdc.Config{})
			k.SetForgery(tc.forgery)
			err := ask(t, newClient(t, k), user("ann", "s3cret"))
			if tc.as != nil {
				require.ErrorIs(t, err, tc.as)
				require.Zero(t, k.Total().TGSRequests)
			} else {
				require.NoError(t, err)
			}

			cfg := configOf(t, k)
			cfg.CacheName = write(t, "cc", string(cacheOf(t, k, kdc.CCache{})))
			err = ask(t, krb.NewClient(cfg), krb.User{})
			if tc.tgs != nil {
				require.ErrorIs(t, err, tc.tgs)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

// The KDC says what time it is when it refuses.
func TestClockSkewIsMeasured(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	k.SetClockOffset(time.Hour)
	bubble(t, k, plainly, func(t *testing.T, c *krb.Client) {
		err := ask(t, c, user("ann", "s3cret"))
		require.ErrorIs(t, err, krb.ErrClockSkew)
		require.ErrorContains(t, err, "(by 1h0m0s from the KDC's)")
	})
}

// [domain_realm] says in which realm the proxy is, and the user's KDC does not.
func TestProxyInAnotherRealm(t *testing.T) {
	const realm = "LAB.EXAMPLE.COM"
	shared := kdc.Principal{Name: "krbtgt/" + realm, Password: "shared", Salt: "both"}
	ann := kdc.Principal{Name: "ann", Password: "s3cret"}
	home := kdc.Start(t, kdc.Config{Principals: []kdc.Principal{shared, ann}})
	lab := kdc.Start(t, kdc.Config{Realm: realm, Principals: []kdc.Principal{shared, ann, {Name: proxySPN}}})
	for _, tc := range []struct {
		desc, domains string
		want          error
	}{
		{"by its domain", ".example.com = " + realm, nil},
		{"unknown", "", krb.ErrServiceUnknown},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			cfg := configOf(t, home)
			text := fmt.Sprintf("[realms]\n%s = {\nkdc = %s\n}\n[domain_realm]\n%s\n", realm, lab.Addr(), tc.domains)
			require.NoError(t, os.WriteFile(cfg.ConfFile, []byte(text), 0o600))
			before := lab.Counts("ann")
			require.ErrorIs(t, ask(t, krb.NewClient(cfg), user("ann", "s3cret")), tc.want)
			require.Equal(t, tc.want == nil, lab.Counts("ann").ServiceTickets > before.ServiceTickets)
		})
	}
	require.Zero(t, lab.Total().ASRequests)
}

// A KDC that refers from realm to realm, or in circles, is asked no more than six times.
func TestReferralsAreBounded(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	_, err := newClient(t, k).Ticket(t.Context(), user("ann", "s3cret"), "krbtgt/EXAMPLE.COM", "")
	require.ErrorIs(t, err, krb.ErrKDC)
	require.ErrorContains(t, err, "referrals")
	require.Equal(t, "EXAMPLE.COM", krb.AboutOf(err, krb.ErrKDC).Realm)
	require.Equal(t, 6, k.Counts("ann").TGSRequests)
}

// A reply is at most 1 MiB long, and none that claims to be longer is waited for.
func TestReplyIsBounded(t *testing.T) {
	for _, tc := range []struct {
		length uint32
		wait   time.Duration
	}{
		{1 << 20, 10 * time.Second},
		{1<<20 + 1, 0},
		{1<<32 - 1, 0},
		{0, 0},
	} {
		k := startKDC(t, kdc.Config{})
		announce := func(conn net.Conn, request, reply []byte) {
			conn.Write(binary.BigEndian.AppendUint32(nil, tc.length))
			neverAnswer(conn, request, reply)
		}
		bubble(t, k, announce, func(t *testing.T, c *krb.Client) {
			start := time.Now()
			want := krb.ErrMalformedReply
			if tc.wait > 0 {
				want = krb.ErrKDCUnreachable
			}
			require.ErrorIs(t, ask(t, c, user("ann", "s3cret")), want)
			require.Equal(t, tc.wait, time.Since(start), "%d", tc.length)
		})
	}
}

// What a reply is announced to have takes no memory before it is there.
func TestAnnouncedReplyTakesNoMemory(t *testing.T) {
	const users = 50
	k := startKDC(t, kdc.Config{})
	announce := func(conn net.Conn, request, reply []byte) {
		conn.Write(binary.BigEndian.AppendUint32(nil, 1<<20))
		neverAnswer(conn, request, reply)
	}
	bubble(t, k, announce, func(t *testing.T, c *krb.Client) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		crowd(t, users, func(i int) error { return ask(t, c, user(fmt.Sprint("user", i), "s3cret")) })
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(users<<18))
	})
}

// Of a list of KDCs, eight are tried.
func TestKDCsAreBounded(t *testing.T) {
	var kdcs []string
	for i := range 20 {
		kdcs = append(kdcs, fmt.Sprintf("kdc%d.example.com:88", i))
	}
	for _, tc := range []struct {
		desc string
		kdcs []string
		dns  string
	}{
		{"configured", kdcs, ""},
		{"in DNS", nil, strings.Join(kdcs, " ")},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			cfg := configOf(t, startKDC(t, kdc.Config{}))
			cfg.KDCs = tc.kdcs
			cfg.Resolver = dnstest.Resolver(dnstest.Zone{SRV: map[string]string{"_kerberos._tcp.EXAMPLE.COM.": tc.dns}})
			dialled := map[string]bool{}
			cfg.Dial = func(ctx context.Context, _, address string) (net.Conn, error) {
				if !dialled[address] { // one after the other
					dialled[address] = true
					return nil, errors.New("connection refused")
				}
				<-ctx.Done()
				return nil, ctx.Err()
			}
			synctest.Test(t, func(t *testing.T) {
				require.ErrorIs(t, ask(t, krb.NewClient(cfg), user("ann", "s3cret")), krb.ErrKDCUnreachable)
			})
			require.Len(t, dialled, 8)
			require.Subset(t, kdcs, slices.Collect(maps.Keys(dialled)))
		})
	}
}
