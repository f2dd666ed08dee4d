package krb_test

import (
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

// FuzzForgedAnswerGivesNoTicket puts what it likes in the place of one of a KDC's
// three answers: that it wants a proof, the ticket to ask for tickets, and the ticket.
// Anybody on the way can, and only the first is not protected by a key.
func FuzzForgedAnswerGivesNoTicket(f *testing.F) {
	k := startKDC(f, kdc.Config{})
	cfg := configOf(f, k)
	for _, reply := range recorded(f, k, cfg) {
		for n := range 3 {
			f.Add(n, reply)
		}
	}
	f.Add(0, []byte(nil))
	f.Add(1, []byte{0x7e, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Add(2, []byte{0x6d, 0})
	f.Fuzz(func(t *testing.T, n int, forged []byte) {
		cfg := cfg
		var answers atomic.Int32
		cfg.Dial = piped(k, func(conn net.Conn, _, reply []byte) {
			// The third one may be asked for again.
			if i := int(answers.Add(1)) - 1; i == n || i > n && n == 2 {
				reply = forged
			}
			send(conn, reply)
		})
		err := ask(t, krb.NewClient(cfg), user("ann", "s3cret"))
		if n >= 0 && n < 3 && answers.Load() < 3 {
			require.Error(t, err, "a ticket after %d answers", answers.Load())
		}
		if n == 2 {
			require.Error(t, err)
		}
	})
}

// recorded returns the KDC's three answers to somebody else.
func recorded(f *testing.F, k *kdc.KDC, cfg krb.Config) (replies [][]byte) {
	cfg.Dial = piped(k, func(conn net.Conn, _, reply []byte) {
		replies = append(replies, reply)
		send(conn, reply)
	})
	require.NoError(f, ask(f, krb.NewClient(cfg), user("ann", "s3cret")))
	return replies
}
