package e2e_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

// aliases is a DNS that answers with a chain of names, each an alias of the next one.
type aliases []string

func (a aliases) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go a.serve(server)
		return client, nil
	}}
}

// serve answers one query, framed as over TCP.
func (a aliases) serve(conn net.Conn) {
	defer conn.Close()
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return
	}
	query := make([]byte, binary.BigEndian.Uint16(size[:]))
	var m dnsmessage.Message
	if _, err := io.ReadFull(conn, query); err != nil || m.Unpack(query) != nil {
		return
	}
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	asked := max(slices.Index(a, m.Questions[0].Name.String()), 0)
	for i, name := range a {
		if i < asked {
			continue
		}
		head := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET}
		switch {
		case i+1 < len(a):
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(a[i+1])}})
		case m.Questions[0].Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}}})
		}
	}
	reply, _ := m.Pack()
	conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
}

// The service principal is that of the last name of a chain of aliases.
func TestServiceOfTheLastAlias(t *testing.T) {
	t.Parallel()
	const spn = "HTTP/real.example.com"
	for desc, chain := range map[string]aliases{
		"an alias":             {"proxy.example.com.", "real.example.com."},
		"an alias of an alias": {"proxy.example.com.", "alias.example.com.", "real.example.com."},
		"four aliases":         {"proxy.example.com.", "a.example.com.", "b.example.com.", "c.example.com.", "real.example.com."},
	} {
		r := newRealm(t, kdc.Principal{Name: spn})
		holdsAnyhow(t, desc, func(t testing.TB) {
			for range 10 { // net's resolver takes the answer to A, AAAA or CNAME that comes first
				l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, testproxy.Config{})
				l.server.Keytab, l.server.Service = r.Keytab(spn), spn
				l.scheme.DisableNTLM, l.scheme.CanonicalizeHost, l.scheme.Resolver = true, true, chain.resolver()
				for _, w := range ways {
					require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				}
			}
		})
	}
}
