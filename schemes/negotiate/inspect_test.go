package negotiate_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// inspected returns a scheme whose ticket cache holds what cc says.
func inspected(t *testing.T, k *kdc.KDC, cc kdc.CCache) *negotiate.Scheme {
	t.Helper()
	t.Setenv("KRB5CCNAME", "")
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return path
	}
	cache, err := k.CCache(cc)
	require.NoError(t, err)
	conf := k.Krb5Conf("default_ccache_name = FILE:"+write("cc", cache), "clockskew = 60")
	return &negotiate.Scheme{ConfigFile: write("krb5.conf", []byte(conf))}
}

var namedProxy = &url.URL{Scheme: "http", Host: "Proxy.example.com:3128"}

func TestInspect(t *testing.T) {
	k := kdc.Start(t, kdc.Config{Principals: []kdc.Principal{{Name: "ann"}, {Name: proxySPN}}})
	scheme := inspected(t, k, kdc.CCache{Client: "ann", Services: []string{proxySPN}})
	got := scheme.Inspect(t.Context(), namedProxy, "")
	require.Equal(t, []string{scheme.ConfigFile}, got.ConfigFiles)
	require.NoError(t, got.ConfigErr)
	require.Equal(t, time.Minute, got.MaxSkew)
	require.Equal(t, "HTTP/proxy.example.com", got.SPN)
	require.Equal(t, "EXAMPLE.COM", got.Realm)
	require.Equal(t, []string{k.Addr()}, got.KDCs)
	require.NoError(t, got.KDCErr)
	require.Empty(t, got.Keytab)

	read := got.Caches[0]
	require.Equal(t, "default_ccache_name in krb5.conf", read.From)
	require.Equal(t, "ann@EXAMPLE.COM", read.Principal)
	require.NoError(t, read.Err)
	require.Len(t, read.Tickets, 2)
	require.Equal(t, "krbtgt/EXAMPLE.COM@EXAMPLE.COM", read.Tickets[0].Service)
	require.Equal(t, proxySPN+"@EXAMPLE.COM", read.Tickets[1].Service)
	require.Equal(t, 10*time.Hour, read.Tickets[0].End.Sub(read.Tickets[0].Start))
	require.Zero(t, k.Total(), "no KDC is asked")
}

func TestInspectSaysWhyTicketsAreOfNoUse(t *testing.T) {
	k := kdc.Start(t, kdc.Config{Principals: []kdc.Principal{{Name: "ann"}}})
	for _, tc := range []struct {
		desc  string
		cache kdc.CCache
		spoil func(*negotiate.Scheme)
		user  string
		want  negotiate.Code
	}{
		{desc: "expired", cache: kdc.CCache{Age: time.Hour, Life: time.Minute}, want: negotiate.TicketExpired},
		{desc: "of another user", user: "bob@EXAMPLE.COM", want: negotiate.NoTicket},
		{desc: "missing", spoil: func(s *negotiate.Scheme) { s.TicketCache = "/nowhere/cc" }, want: negotiate.NoTicket},
		{desc: "malformed", spoil: func(s *negotiate.Scheme) { s.TicketCache = s.ConfigFile }, want: negotiate.MalformedFile},
		{desc: "of another type", spoil: func(s *negotiate.Scheme) { s.TicketCache = "API:1" }, want: negotiate.CacheType},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			tc.cache.Client = "ann"
			scheme := inspected(t, k, tc.cache)
			if tc.spoil != nil {
				tc.spoil(scheme)
			}
			require.ErrorIs(t, scheme.Inspect(t.Context(), namedProxy, tc.user).Caches[0].Err, tc.want)
		})
	}
}

func TestInspectFindsOtherCaches(t *testing.T) {
	k := kdc.Start(t, kdc.Config{Principals: []kdc.Principal{{Name: "ann"}}})
	scheme := inspected(t, k, kdc.CCache{Client: "ann"})
	dir := t.TempDir()
	cache, err := k.CCache(kdc.CCache{Client: "ann"})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tktOther"), cache, 0o600))
	scheme.TicketCache = "DIR:" + dir
	caches := scheme.Inspect(t.Context(), namedProxy, "").Caches
	require.ErrorIs(t, caches[0].Err, negotiate.NoTicket)
	var names []string
	for _, c := range caches[1:] {
		require.Empty(t, c.From)
		names = append(names, c.Name)
	}
	require.Contains(t, names, "FILE:"+filepath.Join(dir, "tktOther"))
}

func TestInspectReportsUnusableConfiguration(t *testing.T) {
	k := kdc.Start(t, kdc.Config{Principals: []kdc.Principal{{Name: "ann"}}})
	scheme := inspected(t, k, kdc.CCache{Client: "ann"})
	require.NoError(t, os.WriteFile(scheme.ConfigFile, []byte("[libdefaults\n"), 0o600))
	got := scheme.Inspect(t.Context(), &url.URL{Scheme: "http", Host: "192.0.2.1:3128"}, "")
	require.ErrorIs(t, got.ConfigErr, negotiate.MalformedFile)
	require.Empty(t, got.SPN)
	require.Empty(t, got.Caches)

	// Nothing tells a realm, and so no KDC is known.
	require.NoError(t, os.WriteFile(scheme.ConfigFile, nil, 0o600))
	scheme.TicketCache = "/nowhere/cc"
	require.Empty(t, scheme.Inspect(t.Context(), namedProxy, "").Realm)
	require.NoError(t, os.WriteFile(scheme.ConfigFile, []byte("[libdefaults]\ndns_lookup_kdc = false\n"), 0o600))
	require.ErrorIs(t, scheme.Inspect(t.Context(), namedProxy, "ann@EXAMPLE.ORG").KDCErr, negotiate.NoKDC)
}

func TestProbeKDC(t *testing.T) {
	k := kdc.Start(t, kdc.Config{Principals: []kdc.Principal{{Name: "ann", Password: "s3cret"}}})
	scheme := &negotiate.Scheme{ConfigFile: os.DevNull}
	probe := func() (time.Duration, error) { return scheme.ProbeKDC(t.Context(), k.Realm(), k.Addr()) }
	const exact = 5 * time.Second // messages tell whole seconds, and a busy machine is slow
	for _, offset := range []time.Duration{0, time.Hour, -time.Hour} {
		k.SetClockOffset(offset)
		skew, err := probe()
		require.NoError(t, err)
		require.InDelta(t, offset.Seconds(), skew.Seconds(), exact.Seconds())
	}
	require.Zero(t, k.Counts("ann"), "no account is concerned")

	k.SetFault(kdc.Garbage)
	_, err := probe()
	require.ErrorIs(t, err, negotiate.MalformedReply)
	require.NoError(t, k.Down())
	_, err = probe()
	require.ErrorIs(t, err, negotiate.KDCUnreachable)
}

func TestProbeOfASilentKDC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scheme := &negotiate.Scheme{ConfigFile: os.DevNull, DialKDC: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go io.Copy(io.Discard, server)
			return client, nil
		}}
		start := time.Now()
		_, err := scheme.ProbeKDC(t.Context(), "EXAMPLE.COM", "kdc.example.com:88")
		require.ErrorIs(t, err, negotiate.KDCUnreachable)
		require.Equal(t, 10*time.Second, time.Since(start))
	})
}
