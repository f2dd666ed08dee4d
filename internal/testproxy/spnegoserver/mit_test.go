package spnegoserver_test

import (
	"bufio"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

// A mitClient is MIT's GSS-API in another process, with tickets from a cache.
type mitClient struct {
	t    *testing.T
	in   io.Writer
	out  *bufio.Scanner
	last string // "complete" or "failed ..."
}

// kerberosEnv writes krb5.conf and a ticket cache, and returns the environment
// that leads to them.
func kerberosEnv(t *testing.T, k *kdc.KDC) []string {
	t.Helper()
	dir := t.TempDir()
	cache, err := k.CCache(kdc.CCache{Client: "ann"})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "krb5.conf"), []byte(k.Krb5Conf()), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cc"), cache, 0o600))
	return []string{
		"KRB5_CONFIG=" + filepath.Join(dir, "krb5.conf"),
		"KRB5CCNAME=FILE:" + filepath.Join(dir, "cc"),
		"LC_ALL=C",
	}
}

func newMITClient(t *testing.T, k *kdc.KDC, binding []byte) *mitClient {
	t.Helper()
	const module = "/usr/lib/python3/dist-packages/gssapi" // python3-gssapi of Debian
	interop.File(t, "__init__.py", module)
	argument := "-"
	if binding != nil {
		argument = hex.EncodeToString(binding)
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "testdata/initiate.py", argument)
	cmd.Env = kerberosEnv(t, k)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return &mitClient{t: t, in: in, out: bufio.NewScanner(out)}
}

// token returns the client's next token, nil if it is at its end.
func (m *mitClient) token() []byte {
	m.t.Helper()
	require.True(m.t, m.out.Scan(), "the client died")
	token, err := hex.DecodeString(m.out.Text())
	if err != nil {
		m.last = m.out.Text()
		return nil
	}
	return token
}

// run leads the exchange to its end on both sides.
func (m *mitClient) run(ctx *spnegoserver.Context) error {
	m.t.Helper()
	done := false
	for token := m.token(); token != nil; token = m.token() {
		var out []byte
		var err error
		if out, done, err = ctx.Accept(token); err != nil {
			return err
		}
		_, err = io.WriteString(m.in, hex.EncodeToString(out)+"\n")
		require.NoError(m.t, err)
	}
	require.True(m.t, done)
	return nil
}

func TestMITInitiator(t *testing.T) {
	cases := []struct {
		desc    string
		binding []byte
		server  func(*spnegoserver.Server)
		client  string // what it says
		want    error
	}{
		{desc: "plain", client: "complete"},
		{desc: "channel binding", binding: binding, client: "complete"},
		{desc: "other channel binding", binding: []byte("x"), want: spnegoserver.ErrChannelBinding},
		{desc: "no supportedMech", server: fault(spnegoserver.Faults{OmitMech: true}), client: "complete"},
		{desc: "MIC", server: fault(spnegoserver.Faults{RequestMIC: true}), client: "complete"},
		{desc: "MIC without subkey", server: func(s *spnegoserver.Server) {
			s.NoSubkey = true
			fault(spnegoserver.Faults{RequestMIC: true})(s)
		}, client: "complete"},
	}
	l := newLab(t)
	for _, tc := range cases {
		t.Run(tc.desc, func(t *testing.T) {
			srv := l.server()
			if tc.server != nil {
				tc.server(srv)
			}
			ctx := srv.NewContext(binding)
			m := newMITClient(t, l.kdc, tc.binding)
			require.ErrorIs(t, m.run(ctx), tc.want)
			require.Equal(t, tc.client, m.last)
			require.Empty(t, srv.Violations())
			require.Equal(t, strings.HasPrefix(tc.desc, "MIC"), ctx.Seen().MIC)
			require.Equal(t, tc.desc == "channel binding", ctx.Seen().BindingOK)
			require.True(t, ctx.Seen().Flags.Has(spnegoserver.FlagMutual|spnegoserver.FlagIntegrity))
		})
	}
}

func TestMITInitiatorRefuses(t *testing.T) {
	cases := map[string]spnegoserver.Faults{
		"wrong key":    {Reply: spnegoserver.ReplyWrongKey},
		"wrong time":   {Reply: spnegoserver.ReplyWrongTime},
		"wrong micros": {Reply: spnegoserver.ReplyWrongMicros},
		"cut":          {Reply: spnegoserver.ReplyCut},
		"garbage":      {Reply: spnegoserver.ReplyGarbage},
		"error":        {Reply: spnegoserver.ReplyError},
		"wrong MIC":    {RequestMIC: true, WrongMIC: true},
	}
	l := newLab(t)
	for desc, faults := range cases {
		t.Run(desc, func(t *testing.T) {
			srv := l.server()
			srv.Faults = spnegoserver.Always(faults)
			m := newMITClient(t, l.kdc, nil)
			out, _, err := srv.NewContext(nil).Accept(m.token())
			require.NoError(t, err)
			_, err = io.WriteString(m.in, hex.EncodeToString(out)+"\n")
			require.NoError(t, err)
			for m.token() != nil { // it may say why
			}
			require.Contains(t, m.last, "failed")
		})
	}
}
