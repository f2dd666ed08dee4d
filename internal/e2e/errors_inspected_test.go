package e2e_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

const (
	// decrypts is in the hint where TLS may be decrypted on the way to a proxy.
	decrypts = "decrypts TLS to the proxy"

	// wrongFirst is in the hint for credentials that the proxy has refused.
	wrongFirst = "The proxy refused the user name or password: the password is wrong or has expired"
)

// inspectTLS puts something before the proxy that decrypts TLS, with a certificate of its own
// that the client trusts.
func (l *lab) inspectTLS() {
	const inspector = "inspector.example.com:3129"
	proxy := l.proxy.URL().Host
	own := ca.ServerConfig("proxy.example.com")
	l.serve(inspector, func(conn net.Conn) {
		far, err := l.network.Dial("tcp", proxy)
		if err != nil {
			return
		}
		defer far.Close()
		client, server := tls.Server(conn, own), tls.Client(far, &tls.Config{InsecureSkipVerify: true})
		go func() {
			io.Copy(server, client)
			far.Close()
		}()
		io.Copy(client, server)
	})
	l.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == proxy {
			addr = inspector
		}
		return l.network.DialContext(ctx, network, addr)
	}
}

// An authorization that is bound to the TLS connection is refused where TLS is decrypted on the
// way, however right the credentials are.
func TestHintWhereTLSIsInspected(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc     string
		scheme   func() proxyauth.Scheme
		mech     func() testproxy.Mechanism
		password string
		inspect  bool
		want     string
		not      string
	}{
		{
			desc: "NTLM", scheme: func() proxyauth.Scheme { return &ntlm.Scheme{} }, mech: ntlmWithEPA,
			password: password, inspect: true, want: wrongFirst + "|" + decrypts + "|InsecureOmitChannelBindings",
		}, {
			desc: "NTLM, and the password is wrong", scheme: func() proxyauth.Scheme { return &ntlm.Scheme{} }, mech: ntlmWithEPA,
			password: wrongPassword, want: wrongFirst + "|" + decrypts,
		}, {
			desc: "NTLM without a binding", scheme: func() proxyauth.Scheme { return &ntlm.Scheme{InsecureOmitChannelBindings: true} }, mech: ntlmWithEPA,
			password: password, want: wrongFirst, not: decrypts,
		}, {
			desc: "Basic", scheme: func() proxyauth.Scheme { return &basic.Scheme{} }, mech: func() testproxy.Mechanism { return &testproxy.Basic{Realm: "lab"} },
			password: wrongPassword, inspect: true, want: wrongFirst, not: decrypts,
		},
	} {
		for _, w := range ways {
			bubble(t, tt.desc+", "+w.desc, func(t *testing.T) {
				l := newLab(t, testproxy.Config{TLS: ca.ServerConfig("proxy.example.com"), Auth: []testproxy.Mechanism{tt.mech()}})
				if tt.inspect {
					l.inspectTLS()
				}
				l.rt = l.transport(user, tt.password)
				l.rt.Schemes = []proxyauth.Scheme{tt.scheme()}
				for range 2 { // the second one is refused unsent
					e := requireCause(t, proxyauth.CauseCredentialsRejected, w.reach(t.Context(), l.rt, originHost))
					requireHint(t, e, tt.want, tt.not)
				}
			})
		}
	}
}

func ntlmWithEPA() testproxy.Mechanism {
	return &testproxy.NTLM{Server: &ntlmserver.Server{RequireMIC: true, RequireEPA: true}}
}

// NTLM inside Negotiate is refused there as well, where the proxy selects it.
func TestHintWhereTLSIsInspectedAndNegotiateIsNTLM(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		r := newRealm(t)
		bubble(t, w.desc, func(t *testing.T) {
			mechanism := spnegoserver.Mechanism{Server: withNTLM(nil, spnegoserver.Faults{})}
			l := newNegotiateLab(t, r, mechanism, testproxy.Config{TLS: ca.ServerConfig("proxy.example.com")})
			l.inspectTLS()
			l.rt.Schemes = []proxyauth.Scheme{l.scheme}
			for range 2 {
				e := requireCause(t, proxyauth.CauseCredentialsRejected, w.reach(t.Context(), l.rt, originHost))
				requireHint(t, e, wrongFirst+"|"+decrypts, "")
			}
		})
	}
}

// A ticket is refused there, and so is NTLM in its place.
func TestHintWhereTLSIsInspectedAndTicketsAreBound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc       string
		ntlm, omit bool
		want       string
	}{
		{desc: "bound", want: decrypts + "|InsecureOmitChannelBindings"},
		{desc: "not bound", omit: true},
		{desc: "bound, and NTLM in its place", ntlm: true, want: decrypts + "|sent in its place were refused"},
	} {
		for _, w := range ways {
			r := newRealm(t)
			bubble(t, tt.desc+", "+w.desc, func(t *testing.T) {
				server := withNTLM(r, spnegoserver.Faults{})
				server.RequireCB = true
				l := newNegotiateLab(t, r, spnegoserver.Mechanism{Server: server}, testproxy.Config{TLS: ca.ServerConfig("proxy.example.com")})
				l.inspectTLS()
				l.scheme.DisableNTLM, l.scheme.InsecureOmitChannelBindings = !tt.ntlm, tt.omit
				l.rt.Schemes = []proxyauth.Scheme{l.scheme}
				for range 2 {
					e := requireCause(t, proxyauth.CauseKerberosFailed, w.reach(t.Context(), l.rt, originHost))
					require.ErrorIs(t, e, negotiate.TicketRefused)
					hint, substitute, _ := strings.Cut(e.Hint(), " The user name and password")
					for word := range strings.SplitSeq("keytab|NTP|"+tt.want, "|") {
						require.Contains(t, e.Hint(), word)
					}
					require.Equal(t, tt.omit, !strings.Contains(e.Hint(), decrypts))
					require.Equal(t, tt.ntlm, substitute != "")
					require.Equal(t, 2, strings.Count(hint+" ", ". "), hint)
				}
			})
		}
	}
}
