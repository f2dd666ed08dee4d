package e2e_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

// unusualInfos are target infos of challenge messages that are answered.
var unusualInfos = map[string]ntlmserver.Faults{
	"none":              ntlmserver.NoTargetInfo,
	"empty":             ntlmserver.EmptyTargetInfo,
	"with a pair twice": ntlmserver.RepeatedPair,
	"16 KiB":            ntlmserver.LargeTargetInfo,
}

// NTLMv2 does without the target info, and takes it as it is; the password is not sent
// in the clear in its place.
func TestNTLMTakesAnyTargetInfo(t *testing.T) {
	t.Parallel()
	for desc, faults := range unusualInfos {
		server := func() *ntlmserver.Server {
			return &ntlmserver.Server{Users: map[string]string{user: password}, Faults: ntlmserver.Always(faults)}
		}
		eachHolds(t, desc, func(t testing.TB, w way) {
			l, _ := newCaseLab(t, password, &testproxy.NTLM{Server: server()}, &testproxy.Basic{Realm: "lab"})
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			require.Equal(t, []string{"NTLM"}, l.schemesSent())
			require.Empty(t, l.proxy.Violations())
		})
		r := newRealm(t)
		r.Remove(proxySPN) // so that there is no ticket to be had
		eachHolds(t, desc+", in Negotiate", func(t testing.TB, w way) {
			s := &spnegoserver.Server{NTLM: func(binding []byte) spnegoserver.NTLM { return spnegoserver.NewNTLM(server())(binding) }}
			l := newNegotiateLab(t, r, spnegoserver.Mechanism{Server: s}, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			require.Equal(t, []string{"Negotiate"}, l.schemesSent())
		})
	}
}

// squid2 speaks HTTP/1.0, and keeps a connection after a 407 for the field
// Proxy-Connection alone.
func squid2(leg *testproxy.Leg) *testproxy.Action {
	switch {
	case leg.Status == http.StatusOK:
		return nil
	case leg.Header.Get("Proxy-Connection") != "keep-alive":
		return &testproxy.Action{Proto: "HTTP/1.0", Close: true}
	}
	return &testproxy.Action{Proto: "HTTP/1.0", Keep: true, Header: http.Header{"Proxy-Connection": {"keep-alive"}, "Connection": nil}}
}

// The legs of a CONNECT ask for a connection that stays. Where a forwarded handshake
// can't have one, the error says so.
func TestProxyThatKeepsConnectionsOnRequest(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
		holds(t, scheme+", tunnelled", func(t testing.TB) {
			l, _ := newCaseLab(t, password, mechanismOf(scheme))
			l.proxy.SetFault(squid2)
			require.NoError(t, tunnel(t.Context(), l.rt, originHost))
		})
	}
	holds(t, "NTLM, forwarded", func(t testing.TB) {
		l, _ := newCaseLab(t, password, mechanismOf("NTLM"))
		l.proxy.SetFault(squid2)
		err := fetch(t.Context(), l.rt, originHost)
		if err == nil {
			return
		}
		e := requireCauseNamed(t, "handshakebroken", err)
		require.Contains(t, e.Error()+e.Hint(), "HTTP/1.0")
	})
}

// After a 101 the connection is the program's, also one that NTLM has authenticated:
// nothing is inserted, withheld or looked at.
func TestUpgradedConnectionIsThePrograms(t *testing.T) {
	t.Parallel()
	const (
		fromOrigin  = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"
		fromProgram = "GET http://origin.example.com/ HTTP/1.1\r\nHost: origin.example.com\r\n\r\n"
	)
	const part = len("HTTP/1.1 40")
	for _, known := range []bool{false, true} {
		holds(t, map[bool]string{false: "cold", true: "known"}[known], func(t testing.TB) {
			heard := make(chan string, 1)
			h := &hostile{answer: func(conn net.Conn, _ int, req *http.Request) bool {
				token := req.Header.Get("Proxy-Authorization")
				switch {
				case token == "" && req.Header.Get("Upgrade") == "" && req.Header.Get("X-Known") != "":
					return pass(conn)
				case token == "" && req.Header.Get("X-Known") == "":
					return challengeWith(conn, "NTLM")
				case strings.HasPrefix(token, negotiateToken):
					return challengeWith(conn, "NTLM "+type2)
				case req.Header.Get("Upgrade") == "":
					return pass(conn)
				}
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n")
				io.WriteString(conn, fromOrigin[:part])
				got := make([]byte, len(fromProgram))
				io.ReadFull(conn, got)
				heard <- string(got)
				io.WriteString(conn, fromOrigin[part:])
				return false
			}}
			l := newHostileLab(t, h)
			if known {
				require.NoError(t, fetch(t.Context(), l.rt, originHost))
			}
			req := l.request(http.MethodGet, httpOrigin+"/", nil)
			req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"raw"}}
			if known {
				req.Header.Set("X-Known", "1") // which is answered on an authenticated connection
			}
			resp, err := l.rt.RoundTrip(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
			conn, ok := resp.Body.(io.ReadWriteCloser)
			require.True(t, ok, "%T", resp.Body)
			time.AfterFunc(time.Minute, func() { conn.Close() }) // if something is withheld
			got := make([]byte, len(fromOrigin))
			_, err = io.ReadFull(conn, got[:part])
			require.NoError(t, err)
			_, err = io.WriteString(conn, fromProgram)
			require.NoError(t, err)
			require.Equal(t, fromProgram, <-heard)
			_, err = io.ReadFull(conn, got[part:])
			require.NoError(t, err)
			require.Equal(t, fromOrigin, string(got))
			require.Nil(t, explained(resp))
		})
	}
}
