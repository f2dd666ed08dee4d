package ntlmserver_test

import (
	"bytes"
	"testing"

	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/stretchr/testify/require"
)

// flips calls run with each copy of b that differs in one bit.
func flips(b []byte, run func(bit int, flipped []byte)) {
	for bit := 0; bit < 8*len(b); bit += sample.Size(5, 1) { // a sample has one or two of each byte
		flipped := bytes.Clone(b)
		flipped[bit/8] ^= 1 << (bit % 8)
		run(bit, flipped)
	}
}

func TestRefusesEachFlippedBit(t *testing.T) {
	c := ann()
	c.binding = bindingHash
	negotiate := c.negotiate()
	srv := strictServer()
	srv.NewChallenge = func() [8]byte { return [8]byte{1, 2, 3} }
	begin := func(negotiate []byte) (*ntlmserver.Context, []byte, error) {
		ctx := srv.NewContext(binding)
		challenge, _, err := ctx.Accept(negotiate)
		return ctx, challenge, err
	}
	ctx, challenge, err := begin(negotiate)
	require.NoError(t, err)
	authenticate := c.authenticate(negotiate, challenge)
	_, done, err := ctx.Accept(authenticate)
	require.NoError(t, err)
	require.True(t, done)

	t.Run("NEGOTIATE", func(t *testing.T) {
		flips(negotiate, func(bit int, flipped []byte) {
			ctx, challenge, err := begin(flipped)
			if err == nil {
				_, _, err = ctx.Accept(c.authenticate(negotiate, challenge))
			}
			require.Error(t, err, bit)
		})
	})
	t.Run("CHALLENGE", func(t *testing.T) {
		flips(challenge, func(bit int, flipped []byte) {
			ctx, _, err := begin(negotiate)
			require.NoError(t, err)
			_, _, err = ctx.Accept(c.authenticate(negotiate, flipped))
			require.Error(t, err, bit)
		})
	})
	t.Run("AUTHENTICATE", func(t *testing.T) {
		response := int(le.Uint32(authenticate[24:]))
		responseEnd := response + int(le.Uint16(authenticate[20:]))
		flips(authenticate, func(bit int, flipped []byte) {
			ctx, _, err := begin(negotiate)
			require.NoError(t, err)
			_, _, err = ctx.Accept(flipped)
			require.Error(t, err, bit)
			switch at := bit / 8; {
			case at >= 72 && at < 88:
				require.ErrorIs(t, err, ntlmserver.ErrMIC, bit)
			case at >= response && at < responseEnd: // NTProofStr and blob
				require.ErrorIs(t, err, ntlmserver.ErrWrongPassword, bit)
			}
		})
	})
}

// TestRefusesEachFlippedBitBehindProof has the client prove what is wrong.
func TestRefusesEachFlippedBitBehindProof(t *testing.T) {
	t.Run("channel binding", func(t *testing.T) {
		flips(bindingHash, func(bit int, flipped []byte) {
			c := ann()
			c.binding = flipped
			_, err := handshake(t, newServer(), c)
			require.ErrorIs(t, err, ntlmserver.ErrChannelBinding, bit)
		})
	})
	t.Run("channel", func(t *testing.T) {
		flips(binding, func(bit int, flipped []byte) {
			c := ann()
			c.binding = bindingHash
			ctx := newServer().NewContext(flipped)
			challenge, _, err := ctx.Accept(c.negotiate())
			require.NoError(t, err)
			_, _, err = ctx.Accept(c.authenticate(c.negotiate(), challenge))
			require.ErrorIs(t, err, ntlmserver.ErrChannelBinding, bit)
		})
	})
	t.Run("target name", func(t *testing.T) {
		flips([]byte(ann().spn), func(bit int, flipped []byte) {
			if bit%8 == 7 {
				return // not ASCII any more, and one bit is several
			}
			c := ann()
			c.binding, c.spn = bindingHash, string(flipped)
			_, err := handshake(t, strictServer(), c)
			require.ErrorIs(t, err, ntlmserver.ErrTargetName, bit)
		})
	})
}
