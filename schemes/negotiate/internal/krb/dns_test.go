package krb_test

import (
	"net"
	"testing"

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
