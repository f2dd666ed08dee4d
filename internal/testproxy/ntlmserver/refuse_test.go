package ntlmserver_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/stretchr/testify/require"
)

// TestRefuses has a client that is complete but for one thing, of which the proof
// and, where it makes one, the MIC are right.
func TestRefuses(t *testing.T) {
	for _, tt := range []struct {
		desc   string
		client func(*client)
		want   error
	}{
		{"wrong password", func(c *client) { c.password = "S3cret" }, ntlmserver.ErrWrongPassword},
		{"unknown user", func(c *client) { c.user = "eve" }, ntlmserver.ErrUnknownUser},
		{"unknown domain", func(c *client) { c.domain = "NOSUCH" }, ntlmserver.ErrUnknownUser},
		{"domain inside the user name", func(c *client) { c.user = `CORP\ann` }, ntlmserver.ErrUnknownUser},
		{"no user", func(c *client) { c.user = "" }, ntlmserver.ErrAnonymous},
		{"anonymous", func(c *client) { c.addFlags = 1 << 11 }, ntlmserver.ErrAnonymous},
		{"no response", func(c *client) { c.editResponse = func([]byte) []byte { return nil } }, ntlmserver.ErrNTLMv1},
		{"24 bytes", func(c *client) { c.editResponse = func(b []byte) []byte { return b[:24] } }, ntlmserver.ErrNTLMv1},
		{"43 bytes", func(c *client) { c.editResponse = func(b []byte) []byte { return b[:43] } }, ntlmserver.ErrBlob},

		{"flag not offered", func(c *client) { c.addFlags = 1 << 20 }, ntlmserver.ErrFlags},
		{"OEM", func(c *client) { c.addFlags = 2 }, ntlmserver.ErrFlags},
		{"no Unicode", func(c *client) { c.dropFlags = 1 }, ntlmserver.ErrFlags},
		{"NTLM dropped", func(c *client) { c.dropFlags = 0x200 }, ntlmserver.ErrFlags},
		{"extended security dropped", func(c *client) { c.dropFlags = 1 << 19 }, ntlmserver.ErrFlags},

		{"key missing", func(c *client) { c.editFields = setField(52, 0) }, ntlmserver.ErrSessionKey},
		{"short key", func(c *client) { c.editFields = setField(52, 15) }, ntlmserver.ErrSessionKey},
		{
			"key without exchange",
			func(c *client) { c.dropFlags, c.editFields = 1<<30, setField(52, 16) },
			ntlmserver.ErrSessionKey,
		},

		{"response type 2", func(c *client) { c.editBlob = setByte(0, 2) }, ntlmserver.ErrBlob},
		{"highest type 2", func(c *client) { c.editBlob = setByte(1, 2) }, ntlmserver.ErrBlob},
		{"reserved 1", func(c *client) { c.editBlob = setByte(2, 1) }, ntlmserver.ErrBlob},
		{"reserved 2", func(c *client) { c.editBlob = setByte(7, 1) }, ntlmserver.ErrBlob},
		{"reserved 3", func(c *client) { c.editBlob = setByte(27, 1) }, ntlmserver.ErrBlob},
		{"odd tail", func(c *client) { c.editBlob = cut(1) }, ntlmserver.ErrBlob},
		{"tail not zero", func(c *client) { c.editBlob = func(b []byte) []byte { return append(b[:len(b)-1], 1) } }, ntlmserver.ErrBlob},
		{"no end of pairs", func(c *client) { c.editBlob = cut(8) }, ntlmserver.ErrTargetInfo},
		{"no pairs", func(c *client) { c.editBlob = func(b []byte) []byte { return b[:28] } }, ntlmserver.ErrTargetInfo},

		{"clock ahead", func(c *client) { c.time = ticks(now.Add(6 * time.Minute)) }, ntlmserver.ErrTimestamp},
		{"clock behind", func(c *client) { c.time = ticks(now.Add(-6 * time.Minute)) }, ntlmserver.ErrTimestamp},
		{"end of time", func(c *client) { c.time = bytes.Repeat([]byte{0xff}, 8) }, ntlmserver.ErrTimestamp},
		{"1601", func(c *client) { c.time = make([]byte, 8) }, ntlmserver.ErrTimestamp},

		{"pair dropped", func(c *client) { c.editPairs = func(p []pair) []pair { return p[1:] } }, ntlmserver.ErrTargetInfo},
		{"timestamp dropped", func(c *client) { c.editPairs = dropPair(7) }, ntlmserver.ErrTargetInfo},
		{"pair changed", func(c *client) { c.editPairs = setPair(1, utf16le("OTHER")) }, ntlmserver.ErrTargetInfo},
		{"pairs in another order", func(c *client) { c.editPairs = swapPairs }, ntlmserver.ErrTargetInfo},
		{"pair made up", func(c *client) { c.editPairs = addPair(11, nil) }, ntlmserver.ErrTargetInfo},
		{"pair twice", func(c *client) { c.editPairs = addPair(9, nil) }, ntlmserver.ErrTargetInfo},
		{"33 pairs", func(c *client) { c.editPairs = manyPairs(33) }, ntlmserver.ErrTargetInfo},
		{"short flags", func(c *client) { c.editPairs = setPair(6, []byte{2}) }, ntlmserver.ErrTargetInfo},
		{"unknown flag", func(c *client) { c.addAVFlags = 8 }, ntlmserver.ErrTargetInfo},
		{"odd target name", func(c *client) { c.editPairs = setPair(9, []byte("HTT")) }, ntlmserver.ErrTargetInfo},
		{"short channel binding", func(c *client) { c.binding = bindingHash[:15] }, ntlmserver.ErrTargetInfo},

		{"no MIC", func(c *client) { c.noMIC = true }, ntlmserver.ErrMICMissing},
		{"zero MIC", func(c *client) { c.noMIC, c.addAVFlags = true, 2 }, ntlmserver.ErrMIC},
		{"LM response", func(c *client) { c.lm = bytes.Repeat([]byte{1}, 24) }, ntlmserver.ErrLMResponse},
		{"short LM response", func(c *client) { c.lm = make([]byte, 23) }, ntlmserver.ErrLMResponse},
		{"no channel binding", func(c *client) { c.binding = nil }, ntlmserver.ErrChannelBindingMissing},
		{"zero channel binding", func(c *client) { c.binding = make([]byte, 16) }, ntlmserver.ErrChannelBindingMissing},
		{"other channel binding", func(c *client) { c.binding = bytes.Repeat([]byte{1}, 16) }, ntlmserver.ErrChannelBinding},
		{"no target name", func(c *client) { c.spn = "" }, ntlmserver.ErrTargetName},
		{"other target name", func(c *client) { c.spn = "HTTP/example.com" }, ntlmserver.ErrTargetName},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			srv, c := strictServer(), ann()
			c.binding = bindingHash
			tt.client(c)
			ctx, err := handshake(t, srv, c)
			require.ErrorIs(t, err, tt.want)
			require.Empty(t, ctx.User())
		})
	}
}

func strictServer() *ntlmserver.Server {
	srv := newServer()
	srv.RequireMIC, srv.RequireEPA = true, true
	srv.CheckTargetName = func(spn string) bool { return spn == "HTTP/proxy.example.com" }
	return srv
}

// TestRefusesOnLooserServer has what a strict server refuses for another reason
// first.
func TestRefusesOnLooserServer(t *testing.T) {
	t.Run("MIC that is not flagged", func(t *testing.T) {
		c := ann()
		c.editPairs = dropPair(6)
		_, err := handshake(t, newServer(), c)
		require.ErrorIs(t, err, ntlmserver.ErrMIC)
	})
	t.Run("wrong LMv2 response", func(t *testing.T) {
		srv, c := newServer(), ann()
		srv.Faults = ntlmserver.Always(ntlmserver.NoTimestamp)
		c.lm = bytes.Repeat([]byte{0xaa}, 24)
		_, err := handshake(t, srv, c)
		require.ErrorIs(t, err, ntlmserver.ErrLMResponse)
	})
	t.Run("binding of a channel that is none", func(t *testing.T) {
		c := ann()
		c.binding = bindingHash
		ctx := newServer().NewContext(nil)
		challenge, _, err := ctx.Accept(c.negotiate())
		require.NoError(t, err)
		_, _, err = ctx.Accept(c.authenticate(c.negotiate(), challenge))
		require.ErrorIs(t, err, ntlmserver.ErrChannelBinding)
	})
	t.Run("server's flag taken out", func(t *testing.T) {
		srv, c := newServer(), ann()
		srv.AVFlags = 1
		c.editPairs = setPair(6, []byte{2, 0, 0, 0})
		_, err := handshake(t, srv, c)
		require.ErrorIs(t, err, ntlmserver.ErrTargetInfo)
	})
}

func setByte(i int, v byte) func([]byte) []byte {
	return func(b []byte) []byte {
		b[i] = v
		return b
	}
}

func setField(at, n int) func(map[int][]byte) {
	return func(fields map[int][]byte) { fields[at] = make([]byte, n) }
}

func setPair(id uint16, value []byte) func([]pair) []pair {
	return func(pairs []pair) []pair {
		pairs[slices.IndexFunc(pairs, func(p pair) bool { return p.id == id })].value = value
		return pairs
	}
}

func dropPair(id uint16) func([]pair) []pair {
	return func(pairs []pair) []pair {
		return slices.DeleteFunc(pairs, func(p pair) bool { return p.id == id })
	}
}

func addPair(id uint16, value []byte) func([]pair) []pair {
	return func(pairs []pair) []pair { return append(pairs, pair{id, value}) }
}

func manyPairs(n int) func([]pair) []pair {
	return func([]pair) (pairs []pair) {
		for i := range n {
			pairs = append(pairs, pair{uint16(100 + i), nil})
		}
		return pairs
	}
}

func swapPairs(pairs []pair) []pair {
	pairs[0], pairs[1] = pairs[1], pairs[0]
	return pairs
}
