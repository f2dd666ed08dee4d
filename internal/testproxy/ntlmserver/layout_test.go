package ntlmserver_test

import (
	"bytes"
	"testing"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/stretchr/testify/require"
)

func TestRefusesNegotiate(t *testing.T) {
	valid := ann().negotiate()
	for _, tt := range []struct {
		desc string
		msg  []byte
		want error
	}{
		{"empty", nil, ntlmserver.ErrMessage},
		{"11 bytes", valid[:11], ntlmserver.ErrMessage},
		{"31 bytes", valid[:31], ntlmserver.ErrMessage},
		{"version flagged and cut off", valid[:39], ntlmserver.ErrMessage},
		{"no signature", append([]byte("NTLMSSQ"), valid[7:]...), ntlmserver.ErrMessage},
		{"type 2", with(valid, 8, 2), ntlmserver.ErrMessage},
		{"type 0x101", with(valid, 9, 1), ntlmserver.ErrMessage},
		{"OEM only", with(valid, 12, 0x36), ntlmserver.ErrFlags},
		{"no NTLM", with(valid, 13, 0x80), ntlmserver.ErrFlags},
		{"domain outside", with(valid, 13, 0x92, 16, 1, 20, 40), ntlmserver.ErrField},
		{"domain in the header", with(valid, 13, 0x92, 16, 1, 20, 39), ntlmserver.ErrField},
		{"machine outside", with(valid, 13, 0xa2, 24, 1, 28, 0xff, 31, 0xff), ntlmserver.ErrField},
		{"too long", append(valid, make([]byte, 1<<16)...), ntlmserver.ErrTooLong},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			srv := newServer()
			_, done, err := srv.NewContext(nil).Accept(tt.msg)
			require.ErrorIs(t, err, tt.want)
			require.False(t, done)
			require.Zero(t, srv.Handshakes())
		})
	}
}

func TestNegotiateNamesMachine(t *testing.T) {
	msg := with(ann().negotiate(), 13, 0xb2, 16, 4, 20, 40, 24, 3, 28, 44)
	ctx := newServer().NewContext(nil)
	_, _, err := ctx.Accept(append(msg, "CORPLAB"...))
	require.NoError(t, err)
	require.Equal(t, "CORP", ctx.Seen().MachineDomain)
	require.Equal(t, "LAB", ctx.Seen().MachineName)
}

// The edits are made before the MIC, so that they are all there is to refuse.
func TestRefusesLayout(t *testing.T) {
	for _, tt := range []struct {
		desc string
		edit func(msg []byte)
		want error
	}{
		{"offset at the end", func(b []byte) { le.PutUint32(b[24:], uint32(len(b))) }, ntlmserver.ErrField},
		{"offset one too far", func(b []byte) { le.PutUint32(b[56:], le.Uint32(b[56:])+1) }, ntlmserver.ErrField},
		{"offset that overflows", func(b []byte) { le.PutUint32(b[24:], 0xffffffff) }, ntlmserver.ErrField},
		{"length too long", func(b []byte) { le.PutUint16(b[20:], 0xffff) }, ntlmserver.ErrField},
		{"in the signature", func(b []byte) { le.PutUint32(b[40:], 0) }, ntlmserver.ErrField},
		{"in the version", func(b []byte) { le.PutUint32(b[40:], 71) }, ntlmserver.ErrField},
		{"in the MIC", func(b []byte) { le.PutUint16(b[12:], 6); le.PutUint32(b[16:], 82) }, ntlmserver.ErrMICMissing},
		{"overlap", func(b []byte) { le.PutUint32(b[48:], le.Uint32(b[40:])) }, ntlmserver.ErrField},
		{"odd length of text", func(b []byte) { le.PutUint16(b[44:], 5) }, ntlmserver.ErrMessage},
		{"half a surrogate pair", func(b []byte) { le.PutUint16(b[le.Uint32(b[48:]):], 0xd800) }, ntlmserver.ErrMessage},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			c := ann()
			c.editMessage = tt.edit
			_, err := handshake(t, newServer(), c)
			require.ErrorIs(t, err, tt.want)
		})
	}
}

func TestAnyOffsetOfEmptyField(t *testing.T) {
	c := ann()
	c.editMessage = func(b []byte) { le.PutUint32(b[32:], 0xffffffff) } // no domain
	_, err := handshake(t, newServer(), c)
	require.NoError(t, err)
}

func TestRefusesShortAuthenticate(t *testing.T) {
	c := ann()
	whole := func() (*ntlmserver.Context, []byte) {
		ctx := newServer().NewContext(nil)
		challenge, _, err := ctx.Accept(c.negotiate())
		require.NoError(t, err)
		return ctx, c.authenticate(c.negotiate(), challenge)
	}
	_, msg := whole()
	for n := range len(msg) {
		ctx, msg := whole()
		_, done, err := ctx.Accept(msg[:n])
		require.Error(t, err, n)
		require.False(t, done)
	}
}

// with returns a copy of msg with bytes set: place, value, place, value...
func with(msg []byte, edits ...byte) []byte {
	msg = bytes.Clone(msg)
	for i := 0; i < len(edits); i += 2 {
		msg[edits[i]] = edits[i+1]
	}
	return msg
}
