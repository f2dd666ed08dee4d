package ntlmserver_test

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/Azure/go-ntlmssp"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/stretchr/testify/require"
)

// sampleHandshake runs a client that is not ours, and makes no MIC.
func sampleHandshake(t *testing.T, srv *ntlmserver.Server, user, password string, opts *ntlmssp.AuthenticateMessageOptions) (*ntlmserver.Context, error) {
	t.Helper()
	negotiate, err := ntlmssp.NewNegotiateMessage("", "")
	require.NoError(t, err)
	ctx := srv.NewContext(nil)
	challenge, _, err := ctx.Accept(negotiate)
	require.NoError(t, err)
	authenticate, err := ntlmssp.NewAuthenticateMessage(challenge, user, password, opts)
	require.NoError(t, err)
	_, _, err = ctx.Accept(authenticate)
	return ctx, err
}

func TestSampleClient(t *testing.T) {
	hash := hex.EncodeToString(ntlmserver.MD4(utf16le("s3cret")))
	for _, tt := range []struct {
		desc, user, password string
		opts                 *ntlmssp.AuthenticateMessageOptions
		server               func(*ntlmserver.Server)
		want                 error
	}{
		{desc: "plain user", user: "ann", password: "s3cret"},
		{desc: "domain", user: `CORP\ann`, password: "s3cret"},
		{desc: "DNS domain", user: `corp.example.com\ann`, password: "s3cret"},
		{desc: "realm", user: "ann@corp.example.com", password: "s3cret"},
		{desc: "not ASCII", user: "jörg", password: "pässwörd"},
		{
			desc: "hash", user: "ann", password: hash,
			opts: &ntlmssp.AuthenticateMessageOptions{PasswordHashed: true, WorkstationName: "LAB"},
		},
		{
			desc: "no target info", user: "ann", password: "s3cret",
			server: func(s *ntlmserver.Server) {
				s.Now, s.Faults = time.Now, ntlmserver.Always(ntlmserver.NoTargetInfo)
			},
		},
		{desc: "wrong password", user: "ann", password: "guess", want: ntlmserver.ErrWrongPassword},
		{desc: "unknown domain", user: `NOSUCH\ann`, password: "s3cret", want: ntlmserver.ErrUnknownUser},
		{
			desc: "MIC required", user: "ann", password: "s3cret",
			server: func(s *ntlmserver.Server) { s.RequireMIC = true },
			want:   ntlmserver.ErrMICMissing,
		},
		{
			desc: "channel binding required", user: "ann", password: "s3cret",
			server: func(s *ntlmserver.Server) { s.RequireEPA = true },
			want:   ntlmserver.ErrChannelBindingMissing,
		},
		{
			desc: "target name required", user: "ann", password: "s3cret",
			server: func(s *ntlmserver.Server) { s.CheckTargetName = func(spn string) bool { return spn != "" } },
			want:   ntlmserver.ErrTargetName,
		},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			srv := newServer()
			if tt.server != nil {
				tt.server(srv)
			}
			ctx, err := sampleHandshake(t, srv, tt.user, tt.password, tt.opts)
			require.ErrorIs(t, err, tt.want)
			require.Equal(t, err == nil, ctx.User() != "")
			require.False(t, ctx.Seen().MIC)
			require.Equal(t, ntlmserver.Absent, ctx.Seen().ChannelBinding)
		})
	}
}
