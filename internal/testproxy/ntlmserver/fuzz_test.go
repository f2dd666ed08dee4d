package ntlmserver_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/stretchr/testify/require"
)

// every is each error that Accept may return.
var every = []error{
	ntlmserver.ErrTooLong, ntlmserver.ErrMessage, ntlmserver.ErrField, ntlmserver.ErrSequence,
	ntlmserver.ErrNoChallenge, ntlmserver.ErrOtherChallenge, ntlmserver.ErrFlags, ntlmserver.ErrAnonymous,
	ntlmserver.ErrNTLMv1, ntlmserver.ErrUnknownUser, ntlmserver.ErrWrongPassword, ntlmserver.ErrLockedOut,
	ntlmserver.ErrSessionKey, ntlmserver.ErrBlob, ntlmserver.ErrTimestamp, ntlmserver.ErrTargetInfo,
	ntlmserver.ErrMICMissing, ntlmserver.ErrMIC, ntlmserver.ErrLMResponse,
	ntlmserver.ErrChannelBindingMissing, ntlmserver.ErrChannelBinding, ntlmserver.ErrTargetName,
}

func requireTyped(t *testing.T, err error) {
	t.Helper()
	require.True(t, err == nil || slices.ContainsFunc(every, func(e error) bool { return errors.Is(err, e) }), err)
}

// FuzzAcceptAnswersOrRefuses: whatever two messages come, each is answered with a
// challenge of bounded length, accepted in the name of a user, or refused by a
// typed error.
func FuzzAcceptAnswersOrRefuses(f *testing.F) {
	c := ann()
	newContext := func() *ntlmserver.Context {
		srv := vectorServer()
		srv.Users["ann"] = "s3cret"
		return srv.NewContext(binding)
	}
	challenge, _, err := newContext().Accept(c.negotiate())
	require.NoError(f, err)
	c.time = make([]byte, 8)
	authenticate := c.authenticate(c.negotiate(), challenge)
	f.Add(c.negotiate(), authenticate)
	f.Add(c.negotiate()[:32], authenticate[:88])
	f.Add(with(c.negotiate(), 13, 0xb2, 16, 4, 20, 36), with(authenticate, 20, 24, 21, 0))
	f.Add(authenticate, c.negotiate())
	f.Add([]byte("NTLMSSP\x00"), []byte(nil))

	f.Fuzz(func(t *testing.T, first, second []byte) {
		ctx := newContext()
		for _, in := range [][]byte{first, second} {
			out, done, err := ctx.Accept(in)
			requireTyped(t, err)
			require.LessOrEqual(t, len(out), 1<<10)
			require.Equal(t, done, ctx.User() != "")
			require.Equal(t, done, ctx.SessionKey() != nil)
			require.False(t, err != nil && (done || out != nil))
		}
	})
}

// FuzzBlobBehindProofIsVerified: a client that knows the password may prove any
// NTLMv2_CLIENT_CHALLENGE. It is accepted only with all of the challenge's AV
// pairs.
func FuzzBlobBehindProofIsVerified(f *testing.F) {
	seed := ann()
	seed.binding = bindingHash
	seed.editBlob = func(b []byte) []byte {
		f.Add(b, uint32(0))
		f.Add(b[:len(b)-8], uint32(0))
		f.Add(b[:28], uint32(1<<30))
		f.Add(setByte(32, 0xff)(slices.Clone(b)), uint32(1<<30))
		return b
	}
	srv := newServer()
	challenge, _, err := srv.NewContext(nil).Accept(seed.negotiate())
	require.NoError(f, err)
	seed.authenticate(seed.negotiate(), challenge)

	f.Fuzz(func(t *testing.T, blob []byte, drop uint32) {
		if len(blob) > 1<<14 {
			return
		}
		c := ann()
		c.dropFlags = drop
		c.editBlob = func([]byte) []byte { return blob }
		ctx, err := handshake(t, newServer(), c)
		requireTyped(t, err)
		if err == nil {
			require.Subset(t, ctx.Seen().AVPairs, []uint16{2, 1, 4, 3, 5, 7})
		}
	})
}
