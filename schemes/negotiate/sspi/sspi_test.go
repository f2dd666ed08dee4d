package sspi_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/enginetest"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/sspi"
)

// Tokens of Kerberos with nothing in them, and messages of NTLM.
var (
	apReq = unhex("600f06092a864886f71201020201006e00")
	apRep = unhex("600f06092a864886f71201020202006f00")
	type1 = []byte("NTLMSSP\x00\x01\x00\x00\x00")
	type2 = []byte("NTLMSSP\x00\x02\x00\x00\x00")
	type3 = []byte("NTLMSSP\x00\x03\x00\x00\x00")
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

const spn = "HTTP/proxy.example.com"

var target = negotiate.Target{Host: "proxy.example.com", SPN: spn}

func asUser(user, password string) negotiate.Target {
	t := target
	t.User, t.Password = user, func() string { return password }
	return t
}

// kerberos is a Fake's Step that answers as SSPI's Kerberos does.
func kerberos(n int, target string, _, in []byte) ([]byte, bool, uint32) {
	switch {
	case n == 1 && target != spn:
		return nil, false, sspi.StatusTargetUnknown
	case n == 1:
		return apReq, true, sspi.StatusContinue
	case bytes.Equal(in, apRep):
		return nil, true, sspi.StatusOK
	}
	return nil, false, sspi.StatusInvalidToken
}

func requireReleased(t *testing.T, f *sspi.Fake) {
	t.Helper()
	require.Zero(t, f.Credentials.Load(), "handles of credentials")
	require.Zero(t, f.Contexts.Load(), "handles of contexts")
}

// open returns a context and its first token.
func open(t *testing.T, e *sspi.Engine, target negotiate.Target) (negotiate.Context, []byte, error) {
	t.Helper()
	x, err := e.NewContext(t.Context(), target)
	if err != nil {
		return nil, nil, err
	}
	out, _, err := x.Step(t.Context(), nil)
	if err != nil {
		require.NoError(t, x.Close())
	}
	return x, out, err
}

func TestEngine(t *testing.T) {
	for _, explicit := range []bool{false, true} {
		f := &sspi.Fake{}
		var mu sync.Mutex
		count := byte(0)
		f.Step = func(n int, target string, bindings, in []byte) ([]byte, bool, uint32) {
			out, mutual, st := kerberos(n, target, bindings, in)
			if n == 1 && out != nil { // no two tokens are the same
				mu.Lock()
				count++
				out = append(bytes.Clone(out), count)
				out[1]++
				mu.Unlock()
			}
			return out, mutual, st
		}
		e := f.With(&sspi.Engine{UseCredentials: explicit})
		config := enginetest.Config{
			Engine:  e,
			Target:  target,
			Handles: func() int { return int(f.Contexts.Load()) },
		}
		if explicit {
			config.Target = asUser(`EXAMPLE\ann`, "s3cret")
		}
		enginetest.Test(t, config)
		require.Equal(t, []string{"Kerberos"}, f.Packages)
		e.Reset()
		requireReleased(t, f)
		if explicit {
			require.EqualValues(t, 1, f.Acquired.Load(), "a domain controller is asked with each")
		}
	}
}

func TestKerberosIsWrappedAndVerified(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		answer []byte
		mutual bool
		want   error
	}{
		{"bare", apRep, true, nil},
		{"in SPNEGO", wrapped(apRep), true, nil},
		{"without mutual authentication", apRep, false, negotiate.NotVerified},
		{"another", unhex("600f06092a864886f71201020202006f01"), true, negotiate.NotVerified},
		{"rejection", unhex("a1073005a0030a0102"), true, negotiate.TicketRefused},
		{"error of Kerberos", unhex("600f06092a864886f71201020203007e00"), true, negotiate.TicketRefused},
		{"garbage", []byte("garbage"), true, negotiate.NotVerified},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			f := &sspi.Fake{Step: func(n int, target string, bindings, in []byte) ([]byte, bool, uint32) {
				out, mutual, st := kerberos(n, target, bindings, in)
				return out, mutual && tc.mutual, st
			}}
			x, out, err := open(t, f.With(&sspi.Engine{}), target)
			require.NoError(t, err)
			require.Equal(t, negotiate.MechanismKerberos, x.Mechanism())
			require.Equal(t, "06062b0601050502", hex.EncodeToString(out[2:10]), "in SPNEGO")
			_, done, err := x.Step(t.Context(), tc.answer)
			require.ErrorIs(t, err, tc.want)
			require.Equal(t, tc.want == nil, done)
			if tc.want != negotiate.NotVerified {
				require.NotErrorIs(t, err, negotiate.NotVerified)
			}
			require.NoError(t, x.Close())
			requireReleased(t, f)
		})
	}
}

// wrapped puts the token of an acceptor into SPNEGO.
func wrapped(token []byte) []byte {
	n := byte(len(token))
	head := []byte{0xa1, n + 11, 0x30, n + 9, 0xa0, 3, 0x0a, 1, 0, 0xa2, n + 2, 0x04, n}
	return append(head, token...)
}

// Windows' tokens are those of SPNEGO, and Wine's are bare.
func TestNegotiateChooses(t *testing.T) {
	ntlm := func(n int, _ string, _, in []byte) ([]byte, bool, uint32) {
		if n == 1 {
			return type1, false, sspi.StatusContinue
		}
		if !bytes.Equal(in, type2) {
			return nil, false, sspi.StatusInvalidToken
		}
		return type3, false, sspi.StatusOK
	}
	inSPNEGO := func(token []byte) []byte { // as an offer of Kerberos
		n := byte(len(token))
		mechs := unhex("a00d300b06092a864886f712010202")
		body := append(append(mechs, 0xa2, n+2, 0x04, n), token...)
		b := append(unhex("06062b0601050502"), 0xa0, byte(len(body)+2), 0x30, byte(len(body)))
		b = append(b, body...)
		return append([]byte{0x60, byte(len(b))}, b...)
	}
	windows := func(n int, target string, b, in []byte) ([]byte, bool, uint32) {
		if n == 1 {
			return inSPNEGO(apReq), true, sspi.StatusContinue
		}
		if in[0] != 0xa1 {
			return nil, false, sspi.StatusInvalidToken
		}
		return nil, true, sspi.StatusOK
	}
	for _, tc := range []struct {
		desc      string
		step      func(int, string, []byte, []byte) ([]byte, bool, uint32)
		answer    []byte
		mechanism string
		out       []byte
	}{
		{"Kerberos of Wine, bare answer", kerberos, apRep, negotiate.MechanismKerberos, nil},
		{"Kerberos of Wine, answer in SPNEGO", kerberos, wrapped(apRep), negotiate.MechanismKerberos, nil},
		{"NTLM of Wine, bare answer", ntlm, type2, negotiate.MechanismNTLM, type3},
		{"NTLM of Wine, answer in SPNEGO", ntlm, wrapped(type2), negotiate.MechanismNTLM, type3},
		{"Windows, bare answer", windows, apRep, negotiate.MechanismKerberos, nil},
		{"Windows, answer in SPNEGO", windows, wrapped(apRep), negotiate.MechanismKerberos, nil},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			f := &sspi.Fake{Step: tc.step}
			x, _, err := open(t, f.With(&sspi.Engine{Package: sspi.Negotiate}), target)
			require.NoError(t, err)
			require.Equal(t, []string{"Negotiate"}, f.Packages)
			require.Equal(t, tc.mechanism, x.Mechanism())
			out, done, err := x.Step(t.Context(), tc.answer)
			require.NoError(t, err)
			require.True(t, done)
			require.Equal(t, tc.out, out)
			require.Equal(t, tc.mechanism, x.Mechanism())
			require.NoError(t, x.Close())
			requireReleased(t, f)
		})
	}
}

// NTLM that Negotiate chooses goes to no http:// proxy that the program has not named.
func TestChosenNTLMIsForbidden(t *testing.T) {
	f := &sspi.Fake{Step: func(int, string, []byte, []byte) ([]byte, bool, uint32) { return type1, false, sspi.StatusContinue }}
	s := &negotiate.Scheme{Engine: f.With(&sspi.Engine{Package: sspi.Negotiate}), Sources: []negotiate.Source{}}
	ex := proxyauth.Exchange{Proxy: &url.URL{Scheme: "http", Host: "proxy.example.com:3128"}}
	_, err := s.NewSession(t.Context(), ex)
	require.ErrorIs(t, err, proxyauth.ErrForbidden)
	requireReleased(t, f)
	ex.Named = true
	session, err := s.NewSession(t.Context(), ex)
	require.NoError(t, err)
	require.NoError(t, session.(interface{ Close() error }).Close())
	requireReleased(t, f)
}

func TestBindingsAreThereFromTheFirstCallOn(t *testing.T) {
	var seen [][]byte
	f := &sspi.Fake{Step: func(n int, target string, bindings, in []byte) ([]byte, bool, uint32) {
		seen = append(seen, bindings)
		return kerberos(n, target, bindings, in)
	}}
	bound := target
	bound.Bindings = []byte("tls-server-end-point:hash")
	x, _, err := open(t, f.With(&sspi.Engine{}), bound)
	require.NoError(t, err)
	_, _, err = x.Step(t.Context(), apRep)
	require.NoError(t, err)
	require.NoError(t, x.Close())
	want := append(unhex(strings.Repeat("00", 24)+"19000000"+"20000000"), bound.Bindings...)
	require.Equal(t, [][]byte{want, want}, seen)
}

func TestErrors(t *testing.T) {
	const explicit = true
	for _, tc := range []struct {
		status   uint32
		explicit bool
		code     negotiate.Code
		cause    proxyauth.Cause
		is       error
		hint     string
	}{
		{sspi.StatusNoCredentials, false, negotiate.NoTicket, proxyauth.CauseTicketMissing, nil, "klist"},
		{sspi.StatusInvalidToken, false, negotiate.NoTicket, proxyauth.CauseTicketMissing, nil, "klist"},
		{sspi.StatusTargetUnknown, false, negotiate.ServiceUnknown, proxyauth.CauseKerberosFailed, nil, "setspn -S " + spn},
		{sspi.StatusTimeSkew, false, negotiate.ClockSkew, proxyauth.CauseKerberosFailed, nil, "NTP"},
		{sspi.StatusNoAuthority, false, negotiate.KDCUnreachable, proxyauth.CauseKerberosFailed, nil, "network"},
		{sspi.StatusLogonDenied, false, negotiate.KDCRefuses, proxyauth.CauseKerberosFailed, nil, "Log on again"},
		{sspi.StatusLogonDenied, explicit, negotiate.PasswordWrong, proxyauth.CauseCredentialsRejected, proxyauth.ErrRejected, "not sent again"},
		{0x80090399, false, negotiate.KDCRefuses, proxyauth.CauseKerberosFailed, nil, "event log"},
	} {
		t.Run(fmt.Sprintf("%08x, explicit: %t", tc.status, tc.explicit), func(t *testing.T) {
			f := &sspi.Fake{Step: func(int, string, []byte, []byte) ([]byte, bool, uint32) { return nil, false, tc.status }}
			s := &negotiate.Scheme{Engine: f.With(&sspi.Engine{UseCredentials: true}), Sources: []negotiate.Source{}}
			ex := proxyauth.Exchange{Proxy: &url.URL{Scheme: "http", Host: "proxy.example.com:3128"}}
			if tc.explicit {
				ex.Credentials = proxyauth.Credentials{Username: `EXAMPLE\ann`, Password: proxyauth.NewSecret("s3cret")}
			}
			_, err := s.NewSession(t.Context(), ex)
			e, ok := errors.AsType[*negotiate.Error](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, tc.code, e.Code)
			require.Equal(t, tc.cause, e.Cause())
			require.Contains(t, e.Hint(), tc.hint)
			require.NotContains(t, err.Error()+e.Hint(), "kinit")
			require.Contains(t, err.Error(), fmt.Sprintf("0x%08x", tc.status))
			if tc.is != nil {
				require.ErrorIs(t, err, tc.is)
			}
			s.Reset()
			requireReleased(t, f)
		})
	}
}

func TestUserOfTheProvider(t *testing.T) {
	f := &sspi.Fake{Step: kerberos}
	_, _, err := open(t, f.With(&sspi.Engine{}), asUser(`EXAMPLE\ann`, "s3cret"))
	require.ErrorIs(t, err, negotiate.NoTicket, "SSPI is not given the password")
	require.Zero(t, f.Acquired.Load())

	var got []string
	f.Acquire = func(domain, user, password string) uint32 {
		got = append(got, domain, user, password)
		return sspi.StatusOK
	}
	e := f.With(&sspi.Engine{UseCredentials: true, Package: sspi.Negotiate})
	for _, name := range []string{`EXAMPLE\ann`, "ann@example.com"} {
		x, _, err := open(t, e, asUser(name, "s3cret"))
		require.NoError(t, err)
		require.NoError(t, x.Close())
	}
	require.Equal(t, []string{"EXAMPLE", "ann", "s3cret", "", "ann@example.com", "s3cret"}, got)
	require.Equal(t, []string{"Kerberos"}, f.Packages, "NTLM does not get it")
	for _, name := range []string{`EXAMPLE\`, "ann\x00"} {
		_, _, err = open(t, e, asUser(name, "s3cret"))
		require.Error(t, err)
	}
	e.Reset()
	requireReleased(t, f)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", e, e, e), "s3cret")
}

func TestIPAddress(t *testing.T) {
	f := &sspi.Fake{Step: kerberos}
	_, _, err := open(t, f.With(&sspi.Engine{}), negotiate.Target{Host: "192.0.2.1"})
	require.ErrorIs(t, err, negotiate.IPAddress)
}

// Domain controllers see a wrong password once, whatever they say.
func TestPasswordIsSentOnce(t *testing.T) {
	for _, tc := range []struct {
		status uint32
		want   error
	}{
		{sspi.StatusLogonDenied, proxyauth.ErrRejected},
		{0xc0000001, proxyauth.ErrHeldBack},
	} {
		for _, inAcquire := range []bool{false, true} { // as on Windows, as under Wine
			t.Run(fmt.Sprintf("%08x %t", tc.status, inAcquire), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var sent atomic.Int64
					refuse := func() uint32 {
						sent.Add(1)
						return tc.status
					}
					f := &sspi.Fake{Step: func(int, string, []byte, []byte) ([]byte, bool, uint32) { return nil, false, refuse() }}
					if inAcquire {
						f.Acquire = func(string, string, string) uint32 { return refuse() }
					}
					e := f.With(&sspi.Engine{UseCredentials: true})
					var wg sync.WaitGroup
					errs := make([]error, 64)
					for i := range errs {
						wg.Go(func() { _, _, errs[i] = open(t, e, asUser(`EXAMPLE\ann`, "wrong")) })
					}
					synctest.Wait()
					require.EqualValues(t, 1, sent.Load())
					wg.Wait()
					_, _, err := open(t, e, asUser(`EXAMPLE\ann`, "wrong"))
					require.Error(t, err)
					require.LessOrEqual(t, sent.Load(), int64(4))
					heldBack := 0
					for _, err := range errs {
						if errors.Is(err, tc.want) {
							heldBack++
						}
					}
					require.Equal(t, len(errs), heldBack, "nothing else is to send it")
					e.Reset()
					requireReleased(t, f)
				})
			})
		}
	}
}

// A call that is under way when its caller leaves goes on, and its handles are released
// after it.
func TestCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blocked := make(chan struct{})
		f := &sspi.Fake{Step: func(n int, target string, bindings, in []byte) ([]byte, bool, uint32) {
			<-blocked
			return kerberos(n, target, bindings, in)
		}}
		x, err := f.With(&sspi.Engine{}).NewContext(t.Context(), target)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			cancel()
		}()
		_, _, err = x.Step(ctx, nil)
		require.ErrorIs(t, err, context.Canceled)
		_, _, err = x.Step(t.Context(), nil)
		require.Error(t, err, "it is in use")
		require.NoError(t, x.Close())
		require.EqualValues(t, 1, f.Contexts.Load())
		close(blocked)
		synctest.Wait()
		requireReleased(t, f)
	})
}

func TestNTLM(t *testing.T) {
	var got []string
	f := &sspi.Fake{
		Acquire: func(domain, user, password string) uint32 {
			got = append(got, domain+user+password)
			return sspi.StatusOK
		},
		Step: func(n int, target string, bindings, in []byte) ([]byte, bool, uint32) {
			if n == 1 {
				return type1, false, sspi.StatusContinue
			}
			return type3, false, sspi.StatusOK
		},
	}
	n := f.WithNTLM(&sspi.NTLM{})
	require.Equal(t, "NTLM", n.Name())
	require.Equal(t, proxyauth.SchemeProperties{BindsConnection: true, Ambient: true}, n.Properties())
	ex := proxyauth.Exchange{Proxy: &url.URL{Scheme: "https", Host: "proxy.example.com:3128"}}
	leaf := &x509.Certificate{Raw: []byte("leaf"), SignatureAlgorithm: x509.SHA256WithRSA}
	for _, user := range []string{"", "ann"} {
		ex.Credentials.Username = user
		if user == "" {
			ex.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
		} else {
			ex.TLS = nil
		}
		s, err := n.NewSession(t.Context(), ex)
		require.NoError(t, err)
		require.Equal(t, "NTLM session", fmt.Sprintf("%+v", s))
		for i, want := range [][]byte{type1, type3} {
			a, err := s.Authorization(t.Context(), proxyauth.Leg{})
			require.NoError(t, err)
			require.False(t, a.Ticket)
			require.Equal(t, i == 0, a.More)
			require.Equal(t, ex.TLS != nil, a.ChannelBound)
			if user == "" {
				require.Equal(t, "NTLM "+base64.StdEncoding.EncodeToString(want), a.Value)
			}
			challenge := proxyauth.Challenge{Scheme: "NTLM", Token68: base64.StdEncoding.EncodeToString(type2)}
			next, err := s.(proxyauth.Continuer).Continue(t.Context(), []proxyauth.Challenge{challenge}[i:])
			if user == "" || i > 0 {
				require.NoError(t, err)
			} else {
				break // the challenge is one of SSPI's alone
			}
			require.Equal(t, []proxyauth.Next{proxyauth.GoOn, proxyauth.Refused}[i], next)
		}
		if c, ok := s.(interface{ Close() error }); ok {
			require.NoError(t, c.Close())
		}
		require.Equal(t, []string{""}, got, "SSPI knows of no user of the provider's")
	}
	requireReleased(t, f)
}

func TestNotWindows(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it is")
	}
	_, _, err := open(t, new(sspi.Engine), target)
	require.ErrorIs(t, err, sspi.ErrNotWindows)
	require.Empty(t, new(sspi.Engine).Describe())
}
