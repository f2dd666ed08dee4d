package kdc_test

import (
	"testing"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
)

func noConfig(t testing.TB) *config.Config {
	t.Helper()
	cfg, err := config.NewFromString("[libdefaults]\ndefault_realm = " + realm + "\n")
	require.NoError(t, err)
	return cfg
}

// FuzzAnswerIsKerberos feeds the KDC with requests that are none.
func FuzzAnswerIsKerberos(f *testing.F) {
	k := kdc.Start(f, kdc.Config{Principals: []kdc.Principal{
		{Name: "ann", Password: secret, NoPreauth: true, Enctypes: []int32{kdc.RC4}},
		{Name: service, Enctypes: []int32{kdc.AES128SHA1}},
	}})
	f.Add([]byte{})
	f.Add([]byte{0x6a, 0x80})
	f.Add(asRequest(f))
	f.Add(withTimestamp(f, []byte{1, 2, 3}))
	f.Add(ticketRequest(f, k))
	f.Fuzz(func(t *testing.T, in []byte) {
		out := k.Answer(in)
		var e messages.KRBError
		var as messages.ASRep
		var tgs messages.TGSRep
		if e.Unmarshal(out) != nil && as.Unmarshal(out) != nil {
			require.NoError(t, tgs.Unmarshal(out))
		}
	})
}

// withTimestamp returns an AS-REQ with a timestamp that is too short to decrypt.
func withTimestamp(t testing.TB, cipher []byte) []byte {
	t.Helper()
	req, err := messages.NewASReqForTGT(realm, noConfig(t), types.NewPrincipalName(1, "ann"))
	require.NoError(t, err)
	encrypted := types.EncryptedData{EType: kdc.AES256SHA1, Cipher: cipher}
	value, err := encrypted.Marshal()
	require.NoError(t, err)
	req.PAData = types.PADataSequence{{PADataType: 2, PADataValue: value}}
	out, err := req.Marshal()
	require.NoError(t, err)
	return out
}

func ticketRequest(t testing.TB, k *kdc.KDC) []byte {
	t.Helper()
	cfg, err := config.NewFromString(k.Krb5Conf())
	require.NoError(t, err)
	cl := client.NewWithPassword("ann", realm, secret, cfg, client.DisablePAFXFAST(true))
	defer cl.Destroy()
	tgt, key, err := cl.GetServiceTicket(tgsName)
	require.NoError(t, err)
	req, err := messages.NewTGSReq(cl.Credentials.CName(), realm, cfg, tgt, key, types.NewPrincipalName(2, service), false)
	require.NoError(t, err)
	out, err := req.Marshal()
	require.NoError(t, err)
	return out
}

func TestShortCiphertext(t *testing.T) {
	k := start(t, annAndService()...)
	requireError(t, "KDC_ERR_PREAUTH_FAILED", k.Answer(withTimestamp(t, []byte{1})))
	require.Equal(t, 1, k.Counts("ann").PreauthFailed)
}
