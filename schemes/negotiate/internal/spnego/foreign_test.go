package spnego

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	type1   = []byte(NTLMSignature + "\x01\x00\x00\x00")
	type2   = []byte(NTLMSignature + "\x02\x00\x00\x00")
	negoEx  = []byte{0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x1e}
	apReq   = framed(Kerberos[0], 1, 0, 0x6e, 0)
	apRep   = framed(Kerberos[0], 2, 0, 0x6f, 0)
	krbFail = framed(Kerberos[0], 3, 0, 0x7e, 0)
)

func framed(oid []byte, rest ...byte) []byte {
	body := append(append([]byte{6, byte(len(oid))}, oid...), rest...)
	return append([]byte{0x60, byte(len(body))}, body...)
}

func offer(t *testing.T, token []byte, mechs ...[]byte) []byte {
	t.Helper()
	list, err := mechList(mechs)
	require.NoError(t, err)
	b, err := initial(list, token)
	require.NoError(t, err)
	return b
}

func TestKindOf(t *testing.T) {
	inReply, err := reply(type1, nil)
	require.NoError(t, err)
	onlyMIC, err := reply(nil, []byte("code"))
	require.NoError(t, err)
	for _, tc := range []struct {
		desc    string
		token   []byte
		kind    Kind
		wrapped bool
	}{
		{"Kerberos of Wine", apReq, KindKerberos, false},
		{"NTLM of Wine", type1, KindNTLM, false},
		{"Kerberos of Windows", offer(t, apReq, Kerberos[1], Kerberos[0], negoEx, NTLM[0]), KindKerberos, true},
		{"NTLM of Windows", offer(t, type1, NTLM[0]), KindNTLM, true},
		{"NTLM, offered second", offer(t, type1, negoEx, NTLM[0]), KindNTLM, true},
		{"no token", offer(t, nil, Kerberos[0], NTLM[0]), KindKerberos, true},
		{"no token, NTLM", offer(t, nil, NTLM[0]), KindNTLM, true},
		{"another mechanism", offer(t, []byte("token"), negoEx, NTLM[0]), Unknown, true},
		{"NTLM in a reply", inReply, KindNTLM, true},
		{"an integrity code alone", onlyMIC, Unknown, true},
		{"nothing", nil, Unknown, false},
		{"garbage", []byte("garbage"), Unknown, false},
	} {
		kind, wrapped := KindOf(tc.token)
		require.Equal(t, tc.kind, kind, tc.desc)
		require.Equal(t, tc.wrapped, wrapped, tc.desc)
	}
}

func TestAdapt(t *testing.T) {
	answered, err := wrapAnswer(KindKerberos, apRep)
	require.NoError(t, err)
	agreed, err := completed()
	require.NoError(t, err)
	rejects := []byte{0xa1, 7, 0x30, 5, 0xa0, 3, 0x0a, 1, 2}
	challenged, err := wrapAnswer(KindNTLM, type2)
	require.NoError(t, err)
	for _, tc := range []struct {
		desc    string
		token   []byte
		wrapped bool
		want    []byte
		err     error
	}{
		{"AP-REP in SPNEGO, to Windows", answered, true, answered, nil},
		{"AP-REP in SPNEGO, to Wine", answered, false, apRep, nil},
		{"AP-REP, to Windows", apRep, true, answered, nil},
		{"AP-REP, to Wine", apRep, false, apRep, nil},
		{"NTLM, to Windows", type2, true, challenged, nil},
		{"NTLM, to Wine", type2, false, type2, nil},
		{"NTLM in SPNEGO, to Wine", challenged, false, type2, nil},
		{"consent, to Windows", agreed, true, agreed, nil},
		{"consent, to Wine", agreed, false, nil, nil},
		{"rejection, to Windows", rejects, true, nil, ErrRejected},
		{"rejection, to Wine", rejects, false, nil, ErrRejected},
		{"error of Kerberos", krbFail, true, nil, ErrRejected},
		{"error of Kerberos without a frame", []byte{0x7e, 0}, false, nil, ErrRejected},
		{"garbage", []byte("garbage"), true, nil, ErrMalformed},
		{"nothing", []byte{}, false, nil, ErrMalformed},
	} {
		got, err := Adapt(tc.token, tc.wrapped)
		require.ErrorIs(t, err, tc.err, tc.desc)
		require.Equal(t, tc.want, got, tc.desc)
	}
	r, err := parseResponse(challenged)
	require.NoError(t, err)
	require.Equal(t, &response{state: acceptIncomplete, mech: NTLM[0], token: type2}, r)
}

// What comes from a proxy is parsed without a panic, and what is adapted once stays so.
func FuzzAdapt(f *testing.F) {
	for _, token := range [][]byte{apRep, krbFail, type2, {0xa1, 7, 0x30, 5, 0xa0, 3, 0x0a, 1, 2}} {
		f.Add(token, true)
		f.Add(token, false)
	}
	f.Fuzz(func(t *testing.T, token []byte, wrapped bool) {
		KindOf(token)
		once, err := Adapt(token, wrapped)
		if err != nil || once == nil || !wrapped {
			return
		}
		twice, err := Adapt(once, wrapped)
		require.NoError(t, err)
		require.Equal(t, once, twice)
	})
}
