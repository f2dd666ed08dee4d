package negotiate_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

const proxySPN = "HTTP/proxy.example.com"

// fixed returns an SPN function.
func fixed(spn string) func(*url.URL) string { return func(*url.URL) string { return spn } }

var proxyURL = &url.URL{Scheme: "http", Host: "Proxy.Example.com:3128"}

// hermetic keeps what is configured on the machine out.
func hermetic(t testing.TB) {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "krb5.conf")
	require.NoError(t, os.WriteFile(conf, []byte("[libdefaults]\ndns_lookup_kdc = no\n"), 0o600))
	t.Setenv("KRB5_CONFIG", conf)
	t.Setenv("KRB5CCNAME", filepath.Join(t.TempDir(), "missing"))
	t.Setenv("KRB5_CLIENT_KTNAME", "")
}

// A lab is a KDC and a proxy that accepts its tickets.
type lab struct {
	*kdc.KDC
	proxy  *spnegoserver.Server
	scheme *negotiate.Scheme
	final  string // the field of the last token
	squid  bool   // sends no token with success, and none with a refusal
}

func newLab(t *testing.T, principals ...kdc.Principal) *lab {
	hermetic(t)
	k := kdc.Start(t, kdc.Config{Principals: append(principals,
		kdc.Principal{Name: "ann", Password: "s3cret", Enctypes: []int32{kdc.AES128SHA1}}, // whose keys are made quickly
		kdc.Principal{Name: proxySPN})})
	return &lab{
		KDC:    k,
		proxy:  &spnegoserver.Server{Keytab: k.Keytab(proxySPN), Service: proxySPN},
		scheme: &negotiate.Scheme{Realm: k.Realm(), KDCs: []string{k.Addr()}},
		final:  "Proxy-Authenticate",
	}
}

func (l *lab) withNTLM() *lab {
	l.proxy.NTLM = spnegoserver.NewNTLM(&ntlmserver.Server{Users: map[string]string{"ann": "s3cret"}})
	return l
}

func exchange(username, password string) proxyauth.Exchange {
	ex := proxyauth.Exchange{Proxy: proxyURL}
	ex.Credentials.Username = username
	if password != "" {
		ex.Credentials.Password = proxyauth.NewSecret(password)
	}
	return ex
}

// connect authenticates one connection, and returns the number of its legs.
func (l *lab) connect(ctx context.Context, ex proxyauth.Exchange) (legs int, err error) {
	defer func() { scanned.Error("connect", err) }()
	s, err := l.scheme.NewSession(ctx, ex)
	if err != nil {
		return 0, err
	}
	return l.authenticate(ctx, s, nil)
}

func (l *lab) authenticate(ctx context.Context, s proxyauth.Session, binding []byte) (legs int, err error) {
	peer := l.proxy.NewContext(binding)
	const maxLegs = 20
	for legs = 1; legs < maxLegs; legs++ {
		value, err := s.Authorization(ctx, proxyauth.Leg{Method: "CONNECT", Target: "example.com:443"})
		if err != nil {
			return legs, err
		}
		token, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(value.Value, "Negotiate "))
		if err != nil {
			return legs, err
		}
		out, done, refused := peer.Accept(token)
		if l.squid && (done || refused != nil) {
			out = nil
		}
		text := base64.StdEncoding.EncodeToString(out)
		if done {
			return legs, s.(proxyauth.Verifier).Verify(l.answer(text))
		}
		if err := proceed(ctx, s, []proxyauth.Challenge{{Scheme: "Negotiate", Token68: text}}); err != nil {
			return legs, errors.Join(err, value.Fallback)
		}
		if refused != nil {
			peer = l.proxy.NewContext(binding) // as Apache does
		}
	}
	return legs, errors.New("the exchange does not end")
}

// errBroken stands for proxyauth.Broken.
var errBroken = errors.New("broken")

// proceed gives a session the challenges of a 407. It returns an error unless the
// exchange goes on: [proxyauth.ErrRejected] if the credentials were refused.
func proceed(ctx context.Context, s proxyauth.Session, challenges []proxyauth.Challenge) error {
	next, err := s.(proxyauth.Continuer).Continue(ctx, challenges)
	switch {
	case next == proxyauth.Broken:
		return errors.Join(errBroken, err)
	case next == proxyauth.Refused && err == nil:
		return proxyauth.ErrRejected
	case next == proxyauth.Complete:
		return errors.New("complete")
	}
	return err
}

func (l *lab) answer(token string) *http.Response {
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}
	if token != "" {
		resp.Header.Set(l.final, "Negotiate "+token)
	}
	return resp
}

// last returns what the proxy has seen on the last connection.
func (l *lab) last() spnegoserver.Seen {
	contexts := l.proxy.Contexts()
	return contexts[len(contexts)-1].Seen()
}
