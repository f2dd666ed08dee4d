package negotiate_test

import (
	"encoding/base64"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

func TestNTLMWithoutKerberosTakesTwoLegs(t *testing.T) {
	l := newLab(t).withNTLM()
	ex := exchange("ann", "s3cret")
	ex.Proxy = &url.URL{Scheme: "http", Host: "192.0.2.1:3128"}
	legs, err := l.connect(t.Context(), ex)
	require.NoError(t, err)
	require.Equal(t, 2, legs)
	require.True(t, l.last().Raw)

	ex.Credentials.Password = proxyauth.NewSecret("wrong")
	_, err = l.connect(t.Context(), ex)
	require.ErrorIs(t, err, proxyauth.ErrRejected)
}

func TestProxySelectsNTLM(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		faults spnegoserver.Faults
		legs   int
		mic    bool
		err    error
	}{
		{"instead of Kerberos", spnegoserver.Faults{SelectNTLM: true}, 3, true, nil},
		{"with a plain accept-incomplete", spnegoserver.Faults{SelectNTLM: true, PlainIncomplete: true}, 3, true, nil},
		{"and sends raw messages", spnegoserver.Faults{SelectNTLM: true, RawNTLM: true}, 3, false, nil},
		{"and wants more", spnegoserver.Faults{SelectNTLM: true, ExtraLegs: 1}, 4, true, nil},
		{"and sends a wrong MIC", spnegoserver.Faults{SelectNTLM: true, WrongMIC: true}, 3, true, proxyauth.ErrNotVerified},
		{"and sends no MIC", spnegoserver.Faults{SelectNTLM: true, NoMIC: true}, 3, true, nil},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			l := newLab(t).withNTLM()
			l.proxy.Faults = spnegoserver.Always(tc.faults)
			legs, err := l.connect(t.Context(), exchange("ann", "s3cret"))
			require.ErrorIs(t, err, tc.err)
			require.Equal(t, tc.legs, legs)
			require.Equal(t, []string{spnegoserver.Kerberos, spnegoserver.NTLMSSP}, l.last().MechTypes)
			require.Equal(t, tc.mic, l.last().MIC)
			require.Empty(t, l.proxy.Violations())
			if tc.err == nil && tc.faults.ExtraLegs == 0 {
				legs, err = l.connect(t.Context(), exchange("ann", "s3cret"))
				require.NoError(t, err)
				require.Equal(t, 2, legs, "the next connection knows")
			}
		})
	}
}

func TestProxySelectsNTLMButThePasswordIsWrong(t *testing.T) {
	// Right for the KDC, wrong for the proxy's own accounts.
	l := newLab(t).withNTLM()
	l.SetPassword("ann", "other")
	l.proxy.Faults = spnegoserver.Always(spnegoserver.Faults{SelectNTLM: true})
	_, err := l.connect(t.Context(), exchange("ann", "other"))
	require.ErrorIs(t, err, proxyauth.ErrRejected)
}

func TestProxySelectsNTLMWithoutAPassword(t *testing.T) {
	l := newLab(t).withNTLM()
	l.scheme.DisableNTLM = true
	l.proxy.Faults = spnegoserver.Always(spnegoserver.Faults{SelectNTLM: true})
	_, err := l.connect(t.Context(), exchange("ann", "s3cret"))
	require.ErrorIs(t, err, negotiate.TicketRefused)
}

// A proxy that wants NTLM though it was not offered gets no password, for there is none
// to give.
func TestProxyWantsNTLMThatWasNotOffered(t *testing.T) {
	ntlm := []byte("NTLMSSP\x00\x02\x00\x00\x00")
	// NegTokenResp [1] { negState accept-incomplete, supportedMech NTLMSSP } (RFC 4178, Section 4.2.2).
	selected := []byte("\xa1\x15\x30\x13\xa0\x03\x0a\x01\x01\xa1\x0c\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a")
	for desc, token := range map[string][]byte{"raw": ntlm, "selected": selected} {
		t.Run(desc, func(t *testing.T) {
			l := newLab(t)
			l.scheme.DisableNTLM = true
			s, err := l.scheme.NewSession(t.Context(), exchange("ann", "s3cret"))
			require.NoError(t, err)
			_, err = s.Authorization(t.Context(), proxyauth.Leg{})
			require.NoError(t, err)
			err = proceed(t.Context(), s, []proxyauth.Challenge{
				{Scheme: "Negotiate", Token68: base64.StdEncoding.EncodeToString(token)},
			})
			require.ErrorIs(t, err, negotiate.NoPassword)
		})
	}
}

// A mechanism that nobody has offered is not taken for NTLM, which a password would help with.
func TestProxySelectsAnUnknownMechanism(t *testing.T) {
	// As above, with NEGOEX (MS-NEGOEX, Section 1.9).
	selected := []byte("\xa1\x15\x30\x13\xa0\x03\x0a\x01\x01\xa1\x0c\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x1e")
	for _, disabled := range []bool{false, true} {
		l := newLab(t)
		l.scheme.DisableNTLM = disabled
		s, err := l.scheme.NewSession(t.Context(), exchange("ann", "s3cret"))
		require.NoError(t, err)
		_, err = s.Authorization(t.Context(), proxyauth.Leg{})
		require.NoError(t, err)
		err = proceed(t.Context(), s, []proxyauth.Challenge{
			{Scheme: "Negotiate", Token68: base64.StdEncoding.EncodeToString(selected)},
		})
		require.ErrorContains(t, err, "a mechanism that was not offered")
		require.NotErrorIs(t, err, negotiate.NoPassword)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	require.Equal(t, 16_384, negotiate.Remember(20_000))
}

// A proxy that says that it rejects the ticket is offered NTLM on the same
// connection.
func TestProxyRejectsTheTicket(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		faults spnegoserver.Faults
	}{
		{"at once", spnegoserver.Faults{Reject: true}},
		{"with an error token", spnegoserver.Faults{KRBError: 41}},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			l := newLab(t).withNTLM()
			l.proxy.Faults = spnegoserver.First(1, tc.faults)
			legs, err := l.connect(t.Context(), exchange("ann", "s3cret"))
			require.NoError(t, err)
			require.Equal(t, 3, legs)
		})
	}
}

// One that says nothing may have given up the connection: the next one is begun
// with NTLM.
func TestProxyDropsTheTicket(t *testing.T) {
	l := newLab(t).withNTLM()
	l.squid = true
	l.proxy.Keytab = l.Keytab("ann")
	_, err := l.connect(t.Context(), exchange("ann", "s3cret"))
	require.ErrorIs(t, err, errBroken)
	require.ErrorIs(t, err, negotiate.TicketRefused)
	legs, err := l.connect(t.Context(), exchange("ann", "s3cret"))
	require.NoError(t, err)
	require.Equal(t, 2, legs)
}

// One that does not know NTLM without SPNEGO gets it wrapped the next time.
func TestProxyWantsNTLMWrapped(t *testing.T) {
	l := newLab(t)
	l.squid = true
	ex := exchange("ann", "s3cret")
	ex.Proxy = &url.URL{Scheme: "http", Host: "192.0.2.1:3128"}
	_, err := l.connect(t.Context(), ex)
	require.ErrorIs(t, err, errBroken)
	require.ErrorIs(t, err, negotiate.IPAddress)
	l.withNTLM()
	legs, err := l.connect(t.Context(), ex)
	require.NoError(t, err)
	require.Equal(t, 2, legs)
	require.Equal(t, []string{spnegoserver.NTLMSSP}, l.last().MechTypes)
}

func TestGarbageFromTheProxy(t *testing.T) {
	l := newLab(t).withNTLM()
	l.proxy.Faults = spnegoserver.Always(spnegoserver.Faults{Garbage: true})
	_, err := l.connect(t.Context(), exchange("ann", "s3cret"))
	require.Error(t, err)
	require.NotErrorIs(t, err, proxyauth.ErrRejected)
}
