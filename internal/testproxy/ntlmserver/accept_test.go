package ntlmserver_test

import (
	"crypto/md5"
	"testing"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/stretchr/testify/require"
)

var (
	binding = []byte("tls-server-end-point:0123456789abcdef0123456789abcdef")

	// bindingHash is the digest of the struct, written out.
	bindingHash = func() []byte {
		sum := md5.Sum(append([]byte{19: 0, 16: byte(len(binding))}, binding...))
		return sum[:]
	}()

	now   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	epoch = le.AppendUint64(nil, 134_168_400_000_000_000) // now as FILETIME
)

func newServer() *ntlmserver.Server {
	return &ntlmserver.Server{
		Users: map[string]string{
			"ann": "s3cret", `LAB\bob`: "other", "jörg": "pässwörd", "\U00010428": "beyond", "empty": "",
		},
		DNSDomain:   "corp.example.com",
		DNSComputer: "proxy.corp.example.com",
		DNSTree:     "example.com",
		Now:         func() time.Time { return now },
	}
}

// handshake runs c against srv and returns the context and the last error.
func handshake(t *testing.T, srv *ntlmserver.Server, c *client) (*ntlmserver.Context, error) {
	t.Helper()
	ctx := srv.NewContext(binding)
	negotiate := c.negotiate()
	challenge, done, err := ctx.Accept(negotiate)
	require.NoError(t, err)
	require.False(t, done)
	out, done, err := ctx.Accept(c.authenticate(negotiate, challenge))
	require.Nil(t, out)
	require.Equal(t, err == nil, done)
	return ctx, err
}

func TestAcceptsCompleteClient(t *testing.T) {
	srv, c := newServer(), ann()
	srv.RequireMIC, srv.RequireEPA = true, true
	srv.CheckTargetName = func(spn string) bool { return spn == "HTTP/proxy.example.com" }
	c.binding = bindingHash

	ctx, err := handshake(t, srv, c)
	require.NoError(t, err)
	require.Equal(t, "ann", ctx.User())
	require.Equal(t, c.exported, ctx.SessionKey())
	require.Equal(t, ntlmserver.Seen{
		NegotiateFlags:    allFlags,
		ChallengeFlags:    allFlags | ntlmserver.FlagTargetTypeDomain,
		AuthenticateFlags: allFlags,
		User:              "ann",
		Workstation:       "LAB",
		AVPairs:           []uint16{2, 1, 4, 3, 5, 7, 6, 10, 9},
		AVFlags:           2,
		TargetName:        "HTTP/proxy.example.com",
		ServerTime:        true,
		MIC:               true,
		ChannelBinding:    ntlmserver.NotEmpty,
		LM:                ntlmserver.AllZero,
		KeyExchange:       true,
	}, ctx.Seen())
	require.Equal(t, 1, srv.Handshakes())
}

func TestAcceptsVariants(t *testing.T) {
	for _, tt := range []struct {
		desc   string
		faults ntlmserver.Faults
		server func(*ntlmserver.Server)
		client func(*client)
	}{
		{desc: "nothing special"},
		{desc: "no MIC", client: func(c *client) { c.noMIC = true }},
		{desc: "no target name", client: func(c *client) { c.spn = "" }},
		{desc: "zero channel binding", client: func(c *client) { c.binding = make([]byte, 16) }},
		{desc: "channel binding not asked for", client: func(c *client) { c.binding = bindingHash }},
		{desc: "no LM response", client: func(c *client) { c.lm = []byte{} }},
		{desc: "no key exchange", client: func(c *client) { c.flags &^= 1 << 30 }},
		{desc: "no target asked for", client: func(c *client) { c.flags &^= 4 }},
		{desc: "no padding after the AV pairs", client: func(c *client) { c.editBlob = cut(4) }},
		{desc: "target name from an untrusted source", client: func(c *client) { c.addAVFlags = 4 }},
		{
			desc:   "own time within the skew",
			client: func(c *client) { c.time = ticks(now.Add(-4 * time.Minute)) },
		},
		{desc: "no timestamp: LMv2", faults: ntlmserver.NoTimestamp},
		{desc: "no timestamp: no MIC needed", faults: ntlmserver.NoTimestamp, client: func(c *client) { c.noMIC = true }},
		{desc: "no timestamp: no LM", faults: ntlmserver.NoTimestamp, client: func(c *client) { c.lm = []byte{} }},
		{desc: "no target info", faults: ntlmserver.NoTargetInfo},
		{desc: "server's own flags", server: func(s *ntlmserver.Server) { s.AVFlags = 1 }},
		{
			desc: "key exchange with nothing to use it for",
			client: func(c *client) {
				c.flags &^= 0x30
				c.editFields = func(f map[int][]byte) { delete(f, 52) }
				c.noMIC = true
			},
		},
		{
			desc: "single host data",
			client: func(c *client) {
				c.editPairs = func(p []pair) []pair { return append(p, pair{8, make([]byte, 48)}) }
			},
		},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			srv, c := newServer(), ann()
			srv.Faults = ntlmserver.Always(tt.faults)
			if tt.server != nil {
				tt.server(srv)
			}
			if tt.client != nil {
				tt.client(c)
			}
			srv.RequireMIC = !c.noMIC || tt.faults == ntlmserver.NoTimestamp
			ctx, err := handshake(t, srv, c)
			require.NoError(t, err)
			require.Equal(t, "ann", ctx.User())
		})
	}
}

func TestSequence(t *testing.T) {
	srv, c := newServer(), ann()
	negotiate := c.negotiate()

	ctx := srv.NewContext(nil)
	challenge, _, err := ctx.Accept(negotiate)
	require.NoError(t, err)
	_, _, err = ctx.Accept(negotiate)
	require.ErrorIs(t, err, ntlmserver.ErrSequence)
	_, _, err = ctx.Accept(c.authenticate(negotiate, challenge))
	require.ErrorIs(t, err, ntlmserver.ErrSequence, "a broken handshake stays broken")
	require.Empty(t, ctx.User())
	require.Nil(t, ctx.SessionKey())

	other := srv.NewContext(nil)
	_, _, err = other.Accept(c.authenticate(negotiate, challenge))
	require.ErrorIs(t, err, ntlmserver.ErrNoChallenge)

	third := srv.NewContext(nil)
	_, _, err = third.Accept(negotiate)
	require.NoError(t, err)
	_, _, err = third.Accept(c.authenticate(negotiate, challenge))
	require.ErrorIs(t, err, ntlmserver.ErrOtherChallenge)
	require.Zero(t, srv.Failures("ann"), "the password was right")

	ctx, err = handshake(t, srv, c)
	require.NoError(t, err)
	_, _, err = ctx.Accept(negotiate)
	require.ErrorIs(t, err, ntlmserver.ErrSequence)
	require.Equal(t, "ann", ctx.User())
}

func cut(n int) func([]byte) []byte {
	return func(b []byte) []byte { return b[:len(b)-n] }
}

func ticks(t time.Time) []byte {
	const since1601 = 11_644_473_600
	return le.AppendUint64(nil, uint64(t.Unix()+since1601)*10_000_000)
}
