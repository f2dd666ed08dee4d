package main

import (
	"context"
	"net/http"
	"net/url"
	"os"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
	"github.com/go-proxyauth/proxyauth/schemes"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

const (
	user     = "ann"
	password = "s3cret"
)

// demo goes through a proxy of its own with each scheme, forwarded and tunnelled.
func demo(ctx context.Context, out *table) error {
	ca := testproxy.NewCA()
	proxy, err := testproxy.Open(testproxy.Config{})
	if err != nil {
		return err
	}
	defer proxy.Close()
	plain, err := testproxy.OpenOrigin(testproxy.OriginConfig{})
	if err != nil {
		return err
	}
	defer plain.Close()
	secure, err := testproxy.OpenOrigin(testproxy.OriginConfig{TLS: ca.ServerConfig("127.0.0.1")})
	if err != nil {
		return err
	}
	defer secure.Close()

	base := through(proxy.URL())
	base.TLSClientConfig = ca.ClientConfig()
	realm, err := startRealm()
	if err != nil {
		return err
	}
	defer realm.Close()
	for _, mechanism := range mechanisms(realm) {
		proxy.SetAuth(mechanism)
		for _, target := range []struct{ how, url string }{
			{"forwarded", plain.URL() + "/"},
			{"tunnelled", secure.URL() + "/"},
		} {
			out.head(mechanism.Scheme() + ", " + target.how)
			if err := visitDemo(ctx, out, base, realm, target.url); err != nil {
				return err
			}
		}
	}
	return nil
}

func visitDemo(ctx context.Context, out *table, base *http.Transport, realm *kdc.KDC, target string) error {
	rt := &proxyauth.Transport{
		Base:        base,
		Schemes:     realmSchemes(realm),
		Credentials: credentials.Static(user, password),
		Trace:       out.trace(),
	}
	defer rt.CloseIdleConnections()
	return twice(ctx, out, rt, target)
}

// proxyPrincipal is the proxy's in the realm; its URL has no name to make one of.
const proxyPrincipal = "HTTP/proxy.example.com"

// startRealm starts a Kerberos realm with a user and the proxy.
func startRealm() (*kdc.KDC, error) {
	return kdc.New(kdc.Config{Principals: []kdc.Principal{
		{Name: user, Password: password},
		{Name: proxyPrincipal},
	}})
}

// realmSchemes returns the default schemes, with Negotiate set up for the realm
// and nothing of this machine's.
func realmSchemes(realm *kdc.KDC) []proxyauth.Scheme {
	all := schemes.Default()
	all[0] = &negotiate.Scheme{
		Sources:    []negotiate.Source{negotiate.Password},
		ConfigFile: os.DevNull,
		Realm:      realm.Realm(),
		KDCs:       []string{realm.Addr()},
		SPN:        func(*url.URL) string { return proxyPrincipal },
	}
	return all
}

// mechanisms returns what the proxy asks for, one after the other.
func mechanisms(realm *kdc.KDC) []testproxy.Mechanism {
	users := &testproxy.Accounts{Passwords: map[string]string{user: password}}
	return []testproxy.Mechanism{
		&testproxy.Basic{Accounts: users, Realm: "quickstart"},
		&testproxy.Digest{Accounts: users, Realm: "quickstart", Algorithms: []string{"SHA-256"}},
		&testproxy.NTLM{Server: &ntlmserver.Server{Users: users.Passwords, RequireMIC: true}},
		&spnegoserver.Mechanism{Server: &spnegoserver.Server{Keytab: realm.Keytab(proxyPrincipal), Service: proxyPrincipal}},
	}
}
