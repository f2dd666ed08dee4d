package kdc_test

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
)

func asRequest(t testing.TB) []byte {
	t.Helper()
	req, err := messages.NewASReqForTGT(realm, noConfig(t), types.NewPrincipalName(1, "ann"))
	require.NoError(t, err)
	out, err := req.Marshal()
	require.NoError(t, err)
	return out
}

func announced(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)
}

// dial sends an AS-REQ over TCP.
func dial(t *testing.T, k *kdc.KDC) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", k.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = conn.Write(announced(asRequest(t)))
	require.NoError(t, err)
	return conn
}

func readHead(t *testing.T, conn net.Conn) uint32 {
	t.Helper()
	var head [4]byte
	_, err := io.ReadFull(conn, head[:])
	require.NoError(t, err)
	return binary.BigEndian.Uint32(head[:])
}

func requireError(t *testing.T, want string, message []byte) {
	t.Helper()
	var e messages.KRBError
	require.NoError(t, e.Unmarshal(message))
	require.ErrorContains(t, e, want)
}

func TestHangUp(t *testing.T) {
	k := start(t, annAndService()...)
	k.SetFault(kdc.HangUp)
	rest, err := io.ReadAll(dial(t, k))
	require.NoError(t, err)
	require.Empty(t, rest)
	require.Zero(t, k.Total())
}

func TestGarbage(t *testing.T) {
	k := start(t, annAndService()...)
	k.SetFault(kdc.Garbage)
	conn := dial(t, k)
	message := make([]byte, readHead(t, conn))
	_, err := io.ReadFull(conn, message)
	require.NoError(t, err)
	var e messages.KRBError
	require.Error(t, e.Unmarshal(message))
	require.ErrorContains(t, withPassword(t, k, secret).Login(), "AS Exchange Error")
}

func TestTruncated(t *testing.T) {
	k := start(t, annAndService()...)
	k.SetFault(kdc.Truncated)
	conn := dial(t, k)
	length := readHead(t, conn)
	rest, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Less(t, len(rest), int(length))
}

func TestOversized(t *testing.T) {
	k := start(t, annAndService()...)
	k.SetFault(kdc.Oversized)
	require.EqualValues(t, 1<<31-1, readHead(t, dial(t, k)))
}

func TestDeadUntilDown(t *testing.T) {
	k := start(t, annAndService()...)
	k.SetFault(kdc.Dead)
	conn := dial(t, k)
	require.NoError(t, k.Down())
	_, err := conn.Read(make([]byte, 1))
	require.Error(t, err)
	require.Zero(t, k.Total())
}

func TestDownAndUp(t *testing.T) {
	k := start(t, annAndService()...)
	require.NoError(t, k.Down())
	_, err := net.Dial("tcp", k.Addr())
	require.ErrorContains(t, err, "refused")
	require.NoError(t, k.Down(), "twice is as good")
	require.NoError(t, k.Up())
	require.NoError(t, k.Up())
	require.NoError(t, withPassword(t, k, secret).Login())
	require.NoError(t, k.Close())
	require.NoError(t, k.Up(), "a closed KDC stays closed")
	_, err = net.Dial("tcp", k.Addr())
	require.Error(t, err)
}

func TestHoldKeepsRequestsWaiting(t *testing.T) {
	const clients = 5
	k := start(t, annAndService()...)
	hold := k.Hold()
	var wg sync.WaitGroup
	for range clients {
		conn := dial(t, k)
		wg.Go(func() { io.ReadFull(conn, make([]byte, 4)) })
	}
	for range clients {
		<-hold.Arrived()
	}
	require.Zero(t, k.Total())
	hold.Release()
	hold.Release()
	wg.Wait()
	require.Equal(t, clients, k.Counts("ann").PreauthRequired)
}

func TestCloseDropsWhatIsHeld(t *testing.T) {
	k := start(t, annAndService()...)
	hold := k.Hold()
	conn := dial(t, k)
	<-hold.Arrived()
	require.NoError(t, k.Close())
	_, err := conn.Read(make([]byte, 1))
	require.Error(t, err)
}

func TestConnectionBounds(t *testing.T) {
	k := start(t, annAndService()...)
	conn, err := net.Dial("tcp", k.Addr())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte{0, 16, 0, 0})
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err, "an announcement of 1 MiB is not believed")
}

func TestSeveralRequestsPerConnection(t *testing.T) {
	k := start(t, annAndService()...)
	conn := dial(t, k)
	for range 3 {
		_, err := io.CopyN(io.Discard, conn, int64(readHead(t, conn)))
		require.NoError(t, err)
		_, err = conn.Write(announced(asRequest(t)))
		require.NoError(t, err)
	}
}

func overUDP(t *testing.T, k *kdc.KDC) []byte {
	t.Helper()
	conn, err := net.Dial("udp", k.Addr())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write(asRequest(t))
	require.NoError(t, err)
	buffer := make([]byte, 2000)
	n, err := conn.Read(buffer)
	require.NoError(t, err)
	return buffer[:n]
}

func TestUDP(t *testing.T) {
	k := start(t, annAndService()...)
	requireError(t, "KDC_ERR_PREAUTH_REQUIRED", overUDP(t, k))
	k.SetFault(kdc.Garbage)
	var e messages.KRBError
	require.Error(t, e.Unmarshal(overUDP(t, k)))

	k = kdc.Start(t, kdc.Config{Principals: annAndService(), MaxUDP: -1})
	requireError(t, "KRB_ERR_RESPONSE_TOO_BIG", overUDP(t, k))
	cl := withPassword(t, k, secret, "udp_preference_limit = 4096")
	require.NoError(t, cl.Login(), "and goes on over TCP")
}

func TestDial(t *testing.T) {
	k := start(t, annAndService()...)
	conn, err := k.Dial(t.Context(), "tcp", "anywhere")
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write(announced(asRequest(t)))
	require.NoError(t, err)
	message := make([]byte, readHead(t, conn))
	_, err = io.ReadFull(conn, message)
	require.NoError(t, err)
	requireError(t, "KDC_ERR_PREAUTH_REQUIRED", message)
}

// The proof is counted though nobody is told.
func TestNoVerdict(t *testing.T) {
	k := start(t, annAndService()...)
	k.SetFault(kdc.NoVerdict)
	dial(t, k) // proves nothing, and is answered
	require.ErrorContains(t, withPassword(t, k, "wrong").Login(), "EOF")
	require.Equal(t, 1, k.Counts("ann").PreauthFailed)
}

// A reply that is wrong can be read: what is wrong is in the words.
func TestForgery(t *testing.T) {
	for _, tc := range []struct {
		desc    string
		forgery kdc.Forgery
		want    string
	}{
		{"another nonce", kdc.Forgery{OtherNonce: true}, "nonce"},
		{"another client", kdc.Forgery{Client: "bob"}, "CName in response"},
		{"another realm", kdc.Forgery{Realm: "LAB.EXAMPLE.COM"}, "CRealm in response"},
		{"another service", kdc.Forgery{Service: "krbtgt/LAB.EXAMPLE.COM"}, "SName in response"},
		{"another time", kdc.Forgery{AuthTime: time.Hour}, "clock skew"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			k := start(t, annAndService()...)
			k.SetForgery(tc.forgery)
			require.ErrorContains(t, withPassword(t, k, secret).Login(), tc.want)
			k.SetForgery(kdc.Forgery{})
			require.NoError(t, withPassword(t, k, secret).Login())
		})
	}
}
