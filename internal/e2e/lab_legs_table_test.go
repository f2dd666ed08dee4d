package e2e_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

const (
	httpOrigin  = "http://origin.example.com"
	httpsOrigin = "https://origin.example.com"
)

// TestLegs states the legs of the README's table: cold, on a new connection to a
// known proxy, and on the same connection.
func TestLegs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc      string
		mechanism testproxy.Mechanism
		cold      []string
		again     []string
		newConn   []string
	}{
		{
			desc:      "Basic",
			mechanism: &testproxy.Basic{Realm: "lab"},
			cold:      []string{"GET /a -> 407", "= GET /a Basic -> 200"},
			again:     []string{"GET /b Basic -> 200"},
			newConn:   []string{"GET /c Basic -> 200"},
		},
		{
			desc:      "Digest",
			mechanism: &testproxy.Digest{Realm: "lab"},
			cold:      []string{"GET /a -> 407", "= GET /a Digest -> 200"},
			again:     []string{"GET /b Digest -> 200"},
			newConn:   []string{"GET /c Digest -> 200"},
		},
		{
			desc:      "NTLM",
			mechanism: &testproxy.NTLM{},
			cold:      []string{"GET /a -> 407", "open NTLM -> 407", "= GET /a NTLM -> 200"},
			again:     []string{"GET /b -> 200"},
			newConn:   []string{"open NTLM -> 407", "= GET /c NTLM -> 200"},
		},
	} {
		t.Run(tt.desc+" forwarded", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{tt.mechanism}})
				l.get(httpOrigin + "/a")
				l.legs(tt.cold...)
				l.get(httpOrigin + "/b")
				l.legs(tt.again...)
				l.hangUp()
				l.get(httpOrigin + "/c")
				l.legs(tt.newConn...)
			})
		})
		t.Run(tt.desc+" tunnelled", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				name := tt.mechanism.Scheme()
				l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{tt.mechanism}})
				l.get(httpsOrigin + "/a")
				cold := []string{"CONNECT -> 407", "= CONNECT " + name + " -> 200"}
				newConn := []string{"CONNECT " + name + " -> 200"}
				if name == "NTLM" {
					cold = slices.Insert(cold, 1, "CONNECT NTLM -> 407")
					newConn = slices.Insert(newConn, 0, "CONNECT NTLM -> 407")
				}
				l.legs(cold...)
				l.get(httpsOrigin + "/b")
				l.legs()
				l.hangUp()
				l.get(httpsOrigin + "/c")
				l.legs(newConn...)
			})
		})
	}
}
