package e2e_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// proxySPN is the service principal of the labs' proxy.
const proxySPN = "HTTP/proxy.example.com"

// A realm is a KDC that schemes reach without a network, so that it can be used
// in a bubble, of which its own listeners are no part. It knows ann and the proxy.
type realm struct {
	*kdc.KDC
	answer atomic.Pointer[func(request []byte) []byte] // in place of the KDC's own, nil closes
	fail   atomic.Pointer[krbDial]                     // in place of a connection
	dials  atomic.Int64
}

// newRealm returns a realm.
func newRealm(t testing.TB, principals ...kdc.Principal) *realm {
	t.Helper()
	// Keys of this type are quickly made of a password.
	ann := kdc.Principal{Name: user, Password: password, Enctypes: []int32{kdc.AES128SHA1}}
	return &realm{KDC: kdc.Start(t, kdc.Config{Principals: append(principals, ann, kdc.Principal{Name: proxySPN})})}
}

// A krbDial connects to a KDC.
type krbDial func(ctx context.Context, network, address string) (net.Conn, error)

func (r *realm) dial(ctx context.Context, network, address string) (net.Conn, error) {
	r.dials.Add(1)
	if fail := r.fail.Load(); fail != nil {
		return (*fail)(ctx, network, address)
	}
	client, server := net.Pipe()
	go r.serve(server)
	return client, nil
}

func (r *realm) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var head [4]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		request := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(conn, request); err != nil {
			return
		}
		answer := r.KDC.Answer
		if f := r.answer.Load(); f != nil {
			answer = *f
		}
		reply := answer(request)
		if reply == nil {
			return
		}
		conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(reply))), reply...))
	}
}

// instead puts f in place of the KDC's answers.
func (r *realm) instead(f func(request []byte) []byte) { r.answer.Store(&f) }

// scheme returns a Negotiate that has its tickets from the realm, for passwords.
func (r *realm) scheme() *negotiate.Scheme {
	return &negotiate.Scheme{
		Sources:    []negotiate.Source{negotiate.Password},
		ConfigFile: os.DevNull,
		Realm:      r.Realm(),
		KDCs:       []string{"kdc.example.com"},
		DialKDC:    r.dial,
	}
}

// A negotiateLab is a lab whose proxy takes the realm's tickets.
type negotiateLab struct {
	*lab
	realm  *realm
	scheme *negotiate.Scheme
	server *spnegoserver.Server
}

// newNegotiateLab returns a lab whose proxy offers m, which needs no Server for
// plain Kerberos, and then what config says.
func newNegotiateLab(t testing.TB, r *realm, m spnegoserver.Mechanism, config testproxy.Config) *negotiateLab {
	if m.Server == nil {
		m.Server = &spnegoserver.Server{}
	}
	if m.Server.NTLM == nil {
		m.Server.Keytab, m.Server.Service = r.Keytab(proxySPN), proxySPN
	}
	config.Auth = append([]testproxy.Mechanism{&m}, config.Auth...)
	l := &negotiateLab{lab: newLab(t, config), realm: r, scheme: r.scheme(), server: m.Server}
	l.base.MaxIdleConnsPerHost = 100
	l.tickets = l
	l.rt.Schemes = l.schemes()
	return l
}

// withNTLM returns a server that takes NTLM, with the channel binding where there
// is TLS, and tickets if the realm is given.
func withNTLM(r *realm, faults spnegoserver.Faults) *spnegoserver.Server {
	s := &spnegoserver.Server{Faults: spnegoserver.Always(faults)}
	s.NTLM = func(binding []byte) spnegoserver.NTLM {
		server := &ntlmserver.Server{Users: map[string]string{user: password}, RequireMIC: true, RequireEPA: binding != nil}
		return spnegoserver.NewNTLM(server)(binding)
	}
	if r != nil {
		s.Keytab, s.Service = r.Keytab(proxySPN), proxySPN
	}
	return s
}

// requireTickets requires the tickets that the KDC has given out.
func (l *negotiateLab) requireTickets(initial, service int) {
	l.t.Helper()
	got := l.realm.Total()
	require.Equal(l.t, [2]int{initial, service}, [2]int{got.TGTs, got.ServiceTickets}, "tickets")
	require.Equal(l.t, initial+service, got.TGSRequests+got.ASRequests-got.PreauthRequired, "requests")
}

// A legTable states the legs of the first request to a proxy, and of one on a new
// connection later on. On the same connection there is one leg and no header.
type legTable struct{ cold, newConn []string }

// requireLegs makes three requests: one cold, one on the same connection, and one
// on a new connection.
func (l *negotiateLab) requireLegs(w way, want legTable) {
	l.t.Helper()
	l.get(w.target("/a"))
	l.legs(want.cold...)
	l.get(w.target("/b"))
	if w.method == http.MethodConnect {
		l.legs()
	} else {
		l.legs("= GET /b -> 200")
	}
	l.hangUp()
	l.get(w.target("/c"))
	l.legs(want.newConn...)
	require.Empty(l.t, l.server.Violations())
}

// The legs of the README's table.
var (
	kerberosLegs = map[string]legTable{
		"forwarded": {
			[]string{"GET /a -> 407", "GET /a Negotiate -> 200"},
			[]string{"GET /c Negotiate -> 200"},
		},
		"tunnelled": {
			[]string{"CONNECT -> 407", "= CONNECT Negotiate -> 200"},
			[]string{"CONNECT Negotiate -> 200"},
		},
	}
	ntlmInsideLegs = map[string]legTable{
		"forwarded": {
			[]string{"GET /a -> 407", "open Negotiate -> 407", "= GET /a Negotiate -> 200"},
			[]string{"open Negotiate -> 407", "= GET /c Negotiate -> 200"},
		},
		"tunnelled": {
			[]string{"CONNECT -> 407", "= CONNECT Negotiate -> 407", "= CONNECT Negotiate -> 200"},
			[]string{"CONNECT Negotiate -> 407", "= CONNECT Negotiate -> 200"},
		},
	}
)

// TestNegotiateLegs states the legs for the kinds of proxies that there are.
func TestNegotiateLegs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc      string
		mechanism func(*realm) spnegoserver.Mechanism
		legs      map[string]legTable
	}{
		{
			desc:      "Kerberos",
			mechanism: func(*realm) spnegoserver.Mechanism { return spnegoserver.Mechanism{} },
			legs:      kerberosLegs,
		},
		{
			desc: "Kerberos, squid",
			mechanism: func(*realm) spnegoserver.Mechanism {
				return spnegoserver.Mechanism{Final: spnegoserver.FinalNever, Poison: true}
			},
			legs: kerberosLegs,
		},
		{
			desc:      "Kerberos, final token in Proxy-Authentication-Info",
			mechanism: func(*realm) spnegoserver.Mechanism { return spnegoserver.Mechanism{Final: spnegoserver.FinalInfo} },
			legs:      kerberosLegs,
		},
		{
			desc: "Kerberos before NTLM",
			mechanism: func(r *realm) spnegoserver.Mechanism {
				return spnegoserver.Mechanism{Server: withNTLM(r, spnegoserver.Faults{})}
			},
			legs: kerberosLegs,
		},
		{
			desc: "NTLM inside",
			mechanism: func(r *realm) spnegoserver.Mechanism {
				r.Remove(proxySPN) // so that there is no ticket to be had
				return spnegoserver.Mechanism{Server: withNTLM(nil, spnegoserver.Faults{})}
			},
			legs: ntlmInsideLegs,
		},
	} {
		for _, tls := range []bool{false, true} {
			for _, w := range ways {
				r := newRealm(t)
				bubble(t, fmt.Sprintf("%s, TLS %t, %s", tt.desc, tls, w.desc), func(t *testing.T) {
					config := testproxy.Config{}
					if tls {
						config.TLS = ca.ServerConfig("proxy.example.com")
					}
					l := newNegotiateLab(t, r, tt.mechanism(r), config)
					l.server.RequireCB = tls
					l.requireLegs(w, tt.legs[w.desc])
					require.Len(t, l.server.Contexts(), 2)
					for _, c := range l.server.Contexts() {
						require.NotEmpty(t, c.User())
						if got := c.Seen(); !got.Raw {
							require.Equal(t, tls, got.BindingOK)
							require.True(t, got.MutualOption)
							require.False(t, got.Flags.Has(spnegoserver.FlagDelegate))
						}
					}
				})
			}
		}
	}
}

// Without waiting for a challenge, the first request costs what another one on a
// new connection does.
func TestNegotiatePreemptive(t *testing.T) {
	t.Parallel()
	for _, ntlm := range []bool{false, true} {
		for _, w := range ways {
			r := newRealm(t)
			bubble(t, fmt.Sprintf("NTLM %t, %s", ntlm, w.desc), func(t *testing.T) {
				m, want := spnegoserver.Mechanism{}, kerberosLegs[w.desc].newConn
				if ntlm {
					r.Remove(proxySPN)
					m.Server, want = withNTLM(nil, spnegoserver.Faults{}), ntlmInsideLegs[w.desc].newConn
				}
				l := newNegotiateLab(t, r, m, testproxy.Config{})
				l.rt.Preemptive = true
				l.get(w.target("/c"))
				l.legs(want...)
			})
		}
	}
}
