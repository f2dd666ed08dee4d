package kdc_test

import (
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
)

const tgsName = "krbtgt/" + realm

// A tgsRequest is a TGS-REQ by hand, with what a client library would not do.
type tgsRequest struct {
	t       *testing.T
	cl      *client.Client
	tgt     messages.Ticket
	session types.EncryptionKey
	req     messages.TGSReq
}

func newTGSRequest(t *testing.T, cl *client.Client, sname string, options ...int) *tgsRequest {
	t.Helper()
	r := &tgsRequest{t: t, cl: cl}
	var err error
	r.tgt, r.session, err = cl.GetServiceTicket(tgsName)
	require.NoError(t, err)
	r.req, err = messages.NewTGSReq(cl.Credentials.CName(), realm, cl.Config, r.tgt, r.session, types.NewPrincipalName(2, sname), false)
	require.NoError(t, err)
	types.SetFlags(&r.req.ReqBody.KDCOptions, options)
	r.sign(types.EncryptionKey{})
	return r
}

// sign makes the AP-REQ anew, for the body as it is.
func (r *tgsRequest) sign(subkey types.EncryptionKey) {
	r.t.Helper()
	body, err := r.req.ReqBody.Marshal()
	require.NoError(r.t, err)
	e, err := crypto.GetEtype(r.session.KeyType)
	require.NoError(r.t, err)
	sum, err := e.GetChecksumHash(r.session.KeyValue, body, 6)
	require.NoError(r.t, err)
	auth, err := types.NewAuthenticator(realm, r.cl.Credentials.CName())
	require.NoError(r.t, err)
	auth.Cksum, auth.SubKey = types.Checksum{CksumType: e.GetHashID(), Checksum: sum}, subkey
	ap, err := messages.NewAPReq(r.tgt, r.session, auth)
	require.NoError(r.t, err)
	r.req.PAData[0].PADataValue, err = ap.Marshal()
	require.NoError(r.t, err)
}

func (r *tgsRequest) send(k *kdc.KDC) (messages.TGSRep, error) {
	r.t.Helper()
	out, err := r.req.Marshal()
	require.NoError(r.t, err)
	var rep messages.TGSRep
	return rep, rep.Unmarshal(k.Answer(out))
}

func TestTGSVerifies(t *testing.T) {
	cases := []struct {
		desc   string
		change func(*messages.TGSReq)
		want   string
	}{
		{"body changed", func(r *messages.TGSReq) { r.ReqBody.Nonce++ }, "KRB_AP_ERR_MODIFIED"},
		{"no ticket", func(r *messages.TGSReq) { r.PAData = nil }, "KDC_ERR_PADATA_TYPE_NOSUPP"},
		{"no AP-REQ", func(r *messages.TGSReq) { r.PAData[0].PADataValue = []byte{1} }, "KRB_AP_ERR_MSG_TYPE"},
		{"ciphertext changed", func(r *messages.TGSReq) {
			value := r.PAData[0].PADataValue
			value[len(value)-1] ^= 1
		}, "KRB_AP_ERR_BAD_INTEGRITY"},
	}
	k := start(t, annAndService()...)
	cl := withPassword(t, k, secret)
	for _, tc := range cases {
		t.Run(tc.desc, func(t *testing.T) {
			r := newTGSRequest(t, cl, service)
			tc.change(&r.req)
			_, err := r.send(k)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestTGSAnswersWithSubkey(t *testing.T) {
	k := start(t, annAndService()...)
	r := newTGSRequest(t, withPassword(t, k, secret), service)
	subkey := types.EncryptionKey{KeyType: kdc.AES128SHA1, KeyValue: make([]byte, 16)}
	r.sign(subkey)
	rep, err := r.send(k)
	require.NoError(t, err)
	plain, err := crypto.DecryptEncPart(rep.EncPart, subkey, 9)
	require.NoError(t, err)
	require.NoError(t, rep.DecryptedEncPart.Unmarshal(plain))
	require.Equal(t, r.req.ReqBody.Nonce, rep.DecryptedEncPart.Nonce)
}

func TestDelegationIsRefusedAndCounted(t *testing.T) {
	const forwarded = 2
	k := start(t, kdc.Principal{Name: "ann", Password: secret}, kdc.Principal{Name: service, OKAsDelegate: true})
	cl := withPassword(t, k, secret)
	_, _, err := cl.GetServiceTicket(service)
	require.NoError(t, err)
	require.Zero(t, k.Counts("ann").Forwards)
	_, err = newTGSRequest(t, cl, tgsName, forwarded).send(k)
	require.ErrorContains(t, err, "KDC_ERR_BADOPTION")
	require.Equal(t, 1, k.Counts("ann").Forwards)
}

func TestRenewal(t *testing.T) {
	const renew = 30
	k := kdc.Start(t, kdc.Config{Principals: annAndService(), RenewLife: 24 * time.Hour, TicketLife: time.Hour})
	cl := withPassword(t, k, secret, "renew_lifetime = 24h")
	r := newTGSRequest(t, cl, tgsName, renew)
	rep, err := r.send(k)
	require.NoError(t, err)
	require.NoError(t, rep.DecryptEncPart(r.session))
	life := rep.DecryptedEncPart.EndTime.Sub(rep.DecryptedEncPart.StartTime)
	// The client, too, has read the clock, in whole seconds.
	require.InDelta(t, time.Hour, life, float64(time.Second))
	require.Equal(t, 1, k.Counts("ann").Renewals)
}

func TestRenewalOfUnrenewable(t *testing.T) {
	const renew = 30
	k := start(t, annAndService()...)
	_, err := newTGSRequest(t, withPassword(t, k, secret), tgsName, renew).send(k)
	require.ErrorContains(t, err, "KDC_ERR_BADOPTION")
}

func TestLifetimes(t *testing.T) {
	k := kdc.Start(t, kdc.Config{
		TicketLife: 20 * time.Minute,
		Principals: []kdc.Principal{{Name: "ann", Password: secret}, {Name: service, MaxLife: -time.Minute}},
	})
	cl := withPassword(t, k, secret)
	r := newTGSRequest(t, cl, service)
	rep, err := r.send(k)
	require.NoError(t, err)
	require.NoError(t, rep.DecryptEncPart(r.session))
	require.Equal(t, -time.Minute, rep.DecryptedEncPart.EndTime.Sub(rep.DecryptedEncPart.StartTime))

	r = newTGSRequest(t, cl, tgsName)
	rep, err = r.send(k)
	require.NoError(t, err)
	require.NoError(t, rep.DecryptEncPart(r.session))
	require.LessOrEqual(t, rep.DecryptedEncPart.EndTime.Sub(rep.DecryptedEncPart.StartTime), 20*time.Minute)
}
