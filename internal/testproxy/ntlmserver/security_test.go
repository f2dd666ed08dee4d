package ntlmserver_test

import (
	"bytes"
	"testing"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/stretchr/testify/require"
)

// TestVectorSignature is MS-NLMP, Section 4.2.4.4.
func TestVectorSignature(t *testing.T) {
	key, plain := bytes.Repeat([]byte{0x55}, 16), utf16le("Plaintext")

	client, err := ntlmserver.NewClientSecurity(key, allFlags)
	require.NoError(t, err)
	require.Equal(t, unhex(t, "54e50165bf1936dc996020c1811b0f06fb5f"), client.Seal(plain))
	require.Equal(t, unhex(t, "01000000 7fb38ec5c55d4976 00000000"), client.Sign(plain))

	// The checksum of the same before RC4.
	client, err = ntlmserver.NewClientSecurity(key, allFlags&^ntlmserver.FlagKeyExchange)
	require.NoError(t, err)
	require.Equal(t, unhex(t, "01000000 70352851f2564309 00000000"), client.Sign(plain))
}

func TestSignAndVerify(t *testing.T) {
	const exchange, strong, medium = ntlmserver.FlagKeyExchange, ntlmserver.Flag128, ntlmserver.Flag56
	for _, tt := range []struct {
		desc string
		drop uint32
	}{
		{"key exchange, 128 bits", 0},
		{"key exchange, 56 bits", strong},
		{"key exchange, 40 bits", strong | medium},
		{"no key exchange", exchange},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			srv, c := newServer(), ann()
			c.flags &^= tt.drop
			ctx, err := handshake(t, srv, c)
			require.NoError(t, err)
			server, err := ctx.Security()
			require.NoError(t, err)
			client, err := ntlmserver.NewClientSecurity(c.exported, c.sent)
			require.NoError(t, err)
			for _, msg := range []string{"first", "second", ""} {
				require.NoError(t, server.Verify([]byte(msg), client.Sign([]byte(msg))))
				require.NoError(t, client.Verify([]byte(msg), server.Sign([]byte(msg))))
			}
			again, err := ctx.Security()
			require.NoError(t, err)
			require.Same(t, server, again)
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	key, msg := bytes.Repeat([]byte{0x55}, 16), []byte("mechanisms")
	client, err := ntlmserver.NewClientSecurity(key, allFlags)
	require.NoError(t, err)
	good := client.Sign(msg)
	verify := func(msg, signature []byte) error {
		server, err := ntlmserver.NewServerSecurity(key, allFlags)
		require.NoError(t, err)
		return server.Verify(msg, signature)
	}
	require.NoError(t, verify(msg, good))
	flips(good, func(bit int, flipped []byte) {
		require.ErrorIs(t, verify(msg, flipped), ntlmserver.ErrSignature, bit)
	})
	flips(msg, func(bit int, flipped []byte) {
		require.ErrorIs(t, verify(flipped, good), ntlmserver.ErrSignature, bit)
	})
	require.ErrorIs(t, verify(msg, nil), ntlmserver.ErrSignature)
	require.ErrorIs(t, verify(msg, good[:15]), ntlmserver.ErrSignature)
	require.ErrorIs(t, verify(msg, client.Sign(msg)), ntlmserver.ErrSignature, "second in its direction")
	require.ErrorIs(t, client.Verify(msg, good), ntlmserver.ErrSignature, "sent back")
}

func TestNoSecurity(t *testing.T) {
	key := make([]byte, 16)
	for _, tt := range []struct {
		desc  string
		key   []byte
		flags uint32
	}{
		{"no key", nil, allFlags},
		{"short key", key[:15], allFlags},
		{"no extended session security", key, allFlags &^ ntlmserver.FlagExtendedSessionSecurity},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			_, err := ntlmserver.NewServerSecurity(tt.key, tt.flags)
			require.ErrorIs(t, err, ntlmserver.ErrNoSessionSecurity)
			_, err = ntlmserver.NewClientSecurity(tt.key, tt.flags)
			require.ErrorIs(t, err, ntlmserver.ErrNoSessionSecurity)
		})
	}
}
