package kdc_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
)

func TestASRefusals(t *testing.T) {
	cases := []struct {
		desc     string
		cfg      kdc.Config
		user     kdc.Principal
		password string
		offset   time.Duration
		want     string
	}{
		{desc: "unknown client", user: kdc.Principal{Name: "bob"}, want: "KDC_ERR_C_PRINCIPAL_UNKNOWN"},
		{desc: "wrong password", password: "wrong", want: "KDC_ERR_PREAUTH_FAILED"},
		{desc: "locked", user: kdc.Principal{Locked: true}, want: "KDC_ERR_CLIENT_REVOKED"},
		{desc: "expired", user: kdc.Principal{Expired: true}, want: "KDC_ERR_KEY_EXPIRED"},
		{desc: "refused by a code", user: kdc.Principal{Refuse: 12}, want: "KDC_ERR_POLICY"},
		{desc: "clock behind", offset: -10 * time.Minute, want: "KRB_AP_ERR_SKEW"},
		{desc: "clock ahead", offset: 10 * time.Minute, want: "KRB_AP_ERR_SKEW"},
		{
			desc: "skew allowed", cfg: kdc.Config{MaxSkew: time.Hour}, offset: 4 * time.Minute,
		},
		{desc: "our clock", cfg: kdc.Config{Now: func() time.Time { return time.Now().Add(time.Hour) }}, want: "KRB_AP_ERR_SKEW"},
	}
	for _, tc := range cases {
		t.Run(tc.desc, func(t *testing.T) {
			if tc.user.Name == "" {
				tc.user.Name = "ann"
			}
			tc.user.Password = secret
			tc.cfg.Principals = []kdc.Principal{tc.user, {Name: service}}
			k := kdc.Start(t, tc.cfg)
			k.SetClockOffset(tc.offset)
			if tc.password == "" {
				tc.password = secret
			}
			err := withPassword(t, k, tc.password).Login()
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.want)
			require.Zero(t, k.Total().TGTs)
		})
	}
}

func TestNoCommonEnctype(t *testing.T) {
	k := start(t, kdc.Principal{Name: "ann", Password: secret, Enctypes: []int32{kdc.RC4}}, kdc.Principal{Name: service})
	cl := withPassword(t, k, secret, "default_tkt_enctypes = aes256-cts-hmac-sha1-96")
	require.ErrorContains(t, cl.Login(), "KDC_ERR_ETYPE_NOSUPP")
}

func TestServiceOfOtherEnctype(t *testing.T) {
	k := start(t, kdc.Principal{Name: "ann", Password: secret}, kdc.Principal{Name: service, Enctypes: []int32{kdc.RC4}})
	cl := withPassword(t, k, secret, "default_tgs_enctypes = aes256-cts-hmac-sha1-96")
	_, _, err := cl.GetServiceTicket(service)
	require.ErrorContains(t, err, "KDC_ERR_ETYPE_NOSUPP")
}

func TestUnknownService(t *testing.T) {
	k := start(t, annAndService()...)
	cl := withPassword(t, k, secret)
	_, _, err := cl.GetServiceTicket("HTTP/nowhere.example.com")
	require.ErrorContains(t, err, "KDC_ERR_S_PRINCIPAL_UNKNOWN")
	k.Remove(service)
	_, _, err = cl.GetServiceTicket(service)
	require.ErrorContains(t, err, "KDC_ERR_S_PRINCIPAL_UNKNOWN")
	require.Equal(t, 2, k.Counts("ann").TGSRequests)
	require.Zero(t, k.Counts("ann").ServiceTickets)
}

func TestTGSSkew(t *testing.T) {
	k := start(t, annAndService()...)
	cl := withPassword(t, k, secret)
	require.NoError(t, cl.Login())
	k.SetClockOffset(time.Hour)
	_, _, err := cl.GetServiceTicket(service)
	require.ErrorContains(t, err, "KRB_AP_ERR_SKEW")
}

func TestTGSRefusesExpiredTGT(t *testing.T) {
	k := start(t, annAndService()...)
	cl := withPassword(t, k, secret)
	require.NoError(t, cl.Login())
	k.SetClockOffset(11 * time.Hour)
	_, _, err := cl.GetServiceTicket(service)
	require.ErrorContains(t, err, "KRB_AP_ERR_TKT_EXPIRED")
}

func TestLockout(t *testing.T) {
	k := kdc.Start(t, kdc.Config{Principals: annAndService(), MaxFailures: 3})
	for range 2 {
		require.Error(t, withPassword(t, k, "wrong").Login())
	}
	require.Equal(t, 2, k.Counts("ann").PreauthFailed)
	require.NoError(t, withPassword(t, k, secret).Login(), "success starts the count anew")
	for range 3 {
		require.Error(t, withPassword(t, k, "wrong").Login())
	}
	require.True(t, k.Locked("ann"))
	require.ErrorContains(t, withPassword(t, k, secret).Login(), "KDC_ERR_CLIENT_REVOKED")
	require.Equal(t, 5, k.Counts("ann").PreauthFailed)
	k.Lock("ann", false)
	require.NoError(t, withPassword(t, k, secret).Login())
}

func TestChangedPassword(t *testing.T) {
	k := start(t, annAndService()...)
	k.SetPassword("ann", "n3wer")
	require.ErrorContains(t, withPassword(t, k, secret).Login(), "KDC_ERR_PREAUTH_FAILED")
	require.NoError(t, withPassword(t, k, "n3wer").Login())
	k.Expire("ann", true)
	require.ErrorContains(t, withPassword(t, k, "n3wer").Login(), "KDC_ERR_KEY_EXPIRED")
	k.Expire("ann", false)
	k.Refuse("ann", 12)
	require.ErrorContains(t, withPassword(t, k, "n3wer").Login(), "KDC_ERR_POLICY")
}

func TestUnusableConfig(t *testing.T) {
	for _, p := range []kdc.Principal{{}, {Name: "ann", Enctypes: []int32{3}}, {Name: "ann", Enctypes: []int32{}}} {
		_, err := kdc.New(kdc.Config{Principals: []kdc.Principal{p}})
		require.Error(t, err)
	}
}
