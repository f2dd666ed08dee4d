package krb_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

// ticketOf returns a ticket with a session key of the type.
func ticketOf(t testing.TB, enctype int32) *krb.Ticket {
	t.Helper()
	hermetic(t)
	k := kdc.Start(t, kdc.Config{Principals: []kdc.Principal{
		{Name: "ann", Password: "s3cret"}, {Name: proxySPN, SessionEnctypes: []int32{enctype}},
	}})
	c := krb.NewClient(krb.Config{ConfFile: write(t, "krb5.conf", ""), Realm: k.Realm(), KDCs: []string{k.Addr()}, Sources: []krb.Source{krb.Password}})
	ticket, err := c.Ticket(t.Context(), user("ann", "s3cret"), proxySPN, "")
	require.NoError(t, err)
	return ticket
}

var enctypes = []int32{kdc.AES128SHA1, kdc.AES256SHA1, kdc.AES128SHA2, kdc.AES256SHA2, kdc.RC4}

func TestTokenIsFresh(t *testing.T) {
	for _, enctype := range enctypes {
		ticket := ticketOf(t, enctype)
		_, first, err := krb.NewTestContext(ticket)
		require.NoError(t, err)
		_, second, err := krb.NewTestContext(ticket)
		require.NoError(t, err)
		require.NotEqual(t, first, second)
		require.Equal(t, byte(0x60), first[0])
	}
}

func TestContextTakesTurns(t *testing.T) {
	ticket := ticketOf(t, kdc.AES256SHA1)
	_, _, err := krb.NewContext(ticket, [16]byte{}).Init(t.Context(), []byte("token"))
	require.Error(t, err)
	c, _, err := krb.NewTestContext(ticket)
	require.NoError(t, err)
	_, _, err = c.Init(t.Context(), nil)
	require.Error(t, err)
	require.False(t, c.Verified())
}

func TestMICBeforeTheToken(t *testing.T) {
	_, err := krb.NewContext(ticketOf(t, kdc.AES256SHA1), [16]byte{}).MIC([]byte("message"))
	require.Error(t, err)
}

// frame puts the mechanism's frame around a message.
func frame(id uint16, message []byte) []byte {
	body := append([]byte{6, 9}, krb.OIDs[0]...)
	body = append(binary.BigEndian.AppendUint16(body, id), message...)
	return append([]byte{0x60, 0x82, byte(len(body) >> 8), byte(len(body))}, body...)
}

// What is not made with the ticket's key is not the proxy's.
func FuzzForgedReplyIsNeverVerified(f *testing.F) {
	var tickets []*krb.Ticket
	for _, enctype := range enctypes {
		tickets = append(tickets, ticketOf(f, enctype))
	}
	// An AP-REP whose ciphertext is empty, which gokrb5 slices all the same.
	empty := []byte{0x6f, 0x1e, 0x30, 0x1c, 0xa0, 3, 2, 1, 5, 0xa1, 3, 2, 1, 15, 0xa2, 0x10, 0x30, 0x0e, 0xa0, 3, 2, 1, 18, 0xa2, 2, 4, 0, 0xa1, 3, 2, 1, 0}
	f.Add(0, empty)
	f.Add(1, frame(0x0200, empty))
	f.Add(2, frame(0x0300, nil))
	f.Add(3, frame(0x0200, bytes.Repeat([]byte{0x6f}, 40)))
	f.Add(4, []byte{0x7e, 0})
	f.Add(0, []byte{0x60, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, which int, token []byte) {
		if token == nil || which < 0 {
			return
		}
		c, _, err := krb.NewTestContext(tickets[which%len(tickets)])
		require.NoError(t, err)
		out, _, err := c.Init(t.Context(), token)
		require.Error(t, err)
		require.Nil(t, out)
		require.False(t, c.Verified())
		require.Error(t, c.VerifyMIC([]byte("message"), token))
	})
}
