package negotiate_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/enginetest"
)

// A countedEngine counts the contexts of another that are open.
type countedEngine struct {
	negotiate.Engine
	opened, open, twice atomic.Int64

	mu      sync.Mutex
	targets []negotiate.Target
}

type countedContext struct {
	negotiate.Context
	e      *countedEngine
	closed bool
}

func (e *countedEngine) NewContext(ctx context.Context, t negotiate.Target) (negotiate.Context, error) {
	e.mu.Lock()
	e.targets = append(e.targets, t)
	e.mu.Unlock()
	x, err := e.Engine.NewContext(ctx, t)
	if err != nil {
		return nil, err
	}
	e.opened.Add(1)
	e.open.Add(1)
	return &countedContext{Context: x, e: e}, nil
}

func (x *countedContext) Close() error {
	if x.closed {
		x.e.twice.Add(1)
	}
	x.closed = true
	x.e.open.Add(-1)
	return x.Context.Close()
}

// requireClosed requires that n contexts were opened and each was closed once.
func (e *countedEngine) requireClosed(t testing.TB, n int64) {
	t.Helper()
	require.Equal(t, n, e.opened.Load())
	require.Zero(t, e.open.Load())
	require.Zero(t, e.twice.Load())
}

// withEngine has the lab's scheme use its Kerberos, with the tickets of ann's cache, as an
// engine, and nothing else.
func (l *lab) withEngine(t *testing.T) *countedEngine {
	t.Helper()
	cache, err := l.CCache(kdc.CCache{Client: "ann"})
	require.NoError(t, err)
	l.scheme.TicketCache = filepath.Join(t.TempDir(), "cc")
	require.NoError(t, os.WriteFile(l.scheme.TicketCache, cache, 0o600))
	e := &countedEngine{Engine: l.scheme}
	l.scheme = &negotiate.Scheme{Engine: e, Sources: []negotiate.Source{}, ConfigFile: os.DevNull}
	return e
}

func (l *lab) target() negotiate.Target {
	return negotiate.Target{Host: "proxy.example.com", SPN: proxySPN}
}

// attempt authenticates one connection and closes the session.
func (l *lab) attempt(t *testing.T, ex proxyauth.Exchange) error {
	t.Helper()
	s, err := l.scheme.NewSession(t.Context(), ex)
	if err != nil {
		return err
	}
	_, err = l.authenticate(t.Context(), s, nil)
	if c, ok := s.(interface{ Close() error }); ok {
		require.NoError(t, c.Close())
	}
	return err
}

func TestBuiltinEngine(t *testing.T) {
	for _, secret := range []string{"", "s3cret"} {
		t.Run(secret, func(t *testing.T) {
			l := newLab(t)
			e := l.withEngine(t)
			config := enginetest.Config{
				Engine:      e,
				Target:      l.target(),
				NewAcceptor: func() enginetest.Acceptor { return l.proxy.NewContext(nil) },
				Handles:     func() int { return int(e.open.Load()) },
			}
			if secret != "" {
				config.Target.User, config.Target.Password = "ann", func() string { return secret }
			}
			enginetest.Test(t, config)
			require.Empty(t, l.proxy.Violations())
			seen := l.last()
			require.True(t, seen.MutualOption)
			require.False(t, seen.Flags.Has(spnegoserver.FlagDelegate))
		})
	}
}

func TestEngineSession(t *testing.T) {
	l := newLab(t)
	e := l.withEngine(t)
	for range 3 {
		require.NoError(t, l.attempt(t, exchange("", "")))
	}
	e.requireClosed(t, 3)
	require.Equal(t, "ann@EXAMPLE.COM", l.last().Client)
	require.Equal(t, l.target(), e.targets[0])

	s, err := l.scheme.NewSession(t.Context(), exchange("", ""))
	require.NoError(t, err)
	a, err := s.Authorization(t.Context(), proxyauth.Leg{})
	require.NoError(t, err)
	require.True(t, a.Ticket)
	require.False(t, a.More)
	require.NoError(t, s.(interface{ Close() error }).Close())
	e.requireClosed(t, 4)
	_, err = s.(proxyauth.Continuer).Continue(t.Context(), nil)
	require.Error(t, err)
	require.Error(t, s.(proxyauth.Verifier).Verify(l.answer("")))
}

// A session begins anew for a proxy that wants a token for each request.
func TestEngineSessionClosesWhatItReplaces(t *testing.T) {
	l := newLab(t)
	e := l.withEngine(t)
	s, err := l.scheme.NewSession(t.Context(), exchange("", ""))
	require.NoError(t, err)
	for range 3 {
		legs, err := l.authenticate(t.Context(), s, nil)
		require.NoError(t, err)
		require.Equal(t, 1, legs)
	}
	require.EqualValues(t, 1, e.open.Load())
	require.NoError(t, s.(interface{ Close() error }).Close())
	e.requireClosed(t, 3)
}

func TestEngineReplyIsVerified(t *testing.T) {
	for _, tc := range []struct {
		desc    string
		faults  spnegoserver.Faults
		mutual  error // with RequireMutual
		without error
	}{
		{"good", spnegoserver.Faults{}, nil, nil},
		{"without SPNEGO", spnegoserver.Faults{Reply: spnegoserver.ReplyBare}, nil, nil},
		{"missing in the token", spnegoserver.Faults{Reply: spnegoserver.ReplyMissing}, negotiate.NoMutual, nil},
		{"missing", spnegoserver.Faults{Reply: spnegoserver.ReplyNone}, negotiate.NoMutual, nil},
		{"of another key", spnegoserver.Faults{Reply: spnegoserver.ReplyWrongKey}, proxyauth.ErrNotVerified, proxyauth.ErrNotVerified},
		{"of another second", spnegoserver.Faults{Reply: spnegoserver.ReplyWrongTime}, proxyauth.ErrNotVerified, proxyauth.ErrNotVerified},
		{"garbage", spnegoserver.Faults{Reply: spnegoserver.ReplyGarbage}, proxyauth.ErrNotVerified, proxyauth.ErrNotVerified},
		{"extra leg", spnegoserver.Faults{ExtraLegs: 1}, nil, nil},
		{"too many legs", spnegoserver.Faults{ExtraLegs: 10}, errBroken, errBroken},
		{"MIC wanted", spnegoserver.Faults{RequestMIC: true}, nil, nil},
		{"wrong MIC", spnegoserver.Faults{RequestMIC: true, WrongMIC: true}, proxyauth.ErrNotVerified, proxyauth.ErrNotVerified},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			l := newLab(t)
			e := l.withEngine(t)
			l.proxy.Faults = spnegoserver.Always(tc.faults)
			require.ErrorIs(t, l.attempt(t, exchange("", "")), tc.without)
			l.scheme.RequireMutual = true
			require.ErrorIs(t, l.attempt(t, exchange("", "")), tc.mutual)
			e.requireClosed(t, 2)
		})
	}
}

func TestEngineTicketRefused(t *testing.T) {
	for _, tc := range refusedTickets {
		t.Run(tc.desc, func(t *testing.T) {
			l := newLab(t)
			e := l.withEngine(t)
			l.squid = tc.squid
			l.proxy.Faults = spnegoserver.Always(spnegoserver.Faults{KRBError: tc.code})
			err := l.attempt(t, exchange("", ""))
			require.ErrorIs(t, err, negotiate.TicketRefused)
			require.ErrorIs(t, err, tc.want)
			require.NotErrorIs(t, err, proxyauth.ErrRejected)
			e.requireClosed(t, 1)
		})
	}
}

// Where there is a password, NTLM takes the place of a ticket that is refused, or missing.
func TestNTLMTakesThePlaceOfTheEngine(t *testing.T) {
	l := newLab(t).withNTLM()
	e := l.withEngine(t)
	l.proxy.Faults = spnegoserver.Always(spnegoserver.Faults{KRBError: 60})
	l.scheme.SPN = fixed(proxySPN)
	require.ErrorIs(t, l.attempt(t, exchange("ann", "s3cret")), errBroken)
	l.proxy.Faults = nil
	for range 2 { // the second goes inside SPNEGO, as the proxy wants it
		_ = l.attempt(t, exchange("ann", "s3cret"))
	}
	require.NoError(t, l.attempt(t, exchange("ann", "s3cret")))
	require.Equal(t, spnegoserver.NTLMSSP, l.last().Selected)
	e.requireClosed(t, 1)

	l.scheme.Engine = failing{fmt.Errorf("%w: no logon", negotiate.NoTicket)}
	l.scheme.Reset()
	for range 2 {
		_ = l.attempt(t, exchange("ann", "s3cret"))
	}
	require.NoError(t, l.attempt(t, exchange("ann", "s3cret")))
	require.Equal(t, spnegoserver.NTLMSSP, l.last().Selected)
}

// failing is an engine that has an error for all targets.
type failing struct{ error }

func (f failing) NewContext(context.Context, negotiate.Target) (negotiate.Context, error) {
	return nil, f.error
}

type advice struct{ error }

func (a advice) Unwrap() error { return a.error }

func (advice) Hint() string { return "Log on." }

func TestEngineErrors(t *testing.T) {
	for _, tc := range []struct {
		desc     string
		err      error
		password string
		code     negotiate.Code
		cause    proxyauth.Cause
		hint     string
		is       []error
		not      error
	}{
		{
			desc: "of a code", err: fmt.Errorf("engine: %w", negotiate.ServiceUnknown),
			code: negotiate.ServiceUnknown, cause: proxyauth.CauseKerberosFailed, hint: proxySPN,
		},
		{
			desc: "a code alone", err: &negotiate.Error{Code: negotiate.ServiceUnknown},
			code: negotiate.ServiceUnknown, cause: proxyauth.CauseKerberosFailed, hint: "setspn",
		},
		{
			desc: "with a hint", err: advice{negotiate.NoTicket},
			code: negotiate.NoTicket, cause: proxyauth.CauseTicketMissing, hint: "Log on.",
		},
		{
			desc: "the sources explain more", err: advice{negotiate.NoTicket}, password: "s3cret",
			code: negotiate.NoKDC, cause: proxyauth.CauseKerberosFailed, hint: "EXAMPLE.COM",
			is: []error{negotiate.NoTicket},
		},
		{
			desc: "refused by a KDC", err: fmt.Errorf("%w: %w", proxyauth.ErrRejected, negotiate.PasswordWrong), password: "s3cret",
			code: negotiate.PasswordWrong, cause: proxyauth.CauseCredentialsRejected,
			is: []error{proxyauth.ErrRejected}, not: negotiate.NoKDC,
		},
		{
			desc: "held back", err: fmt.Errorf("%w: %w", proxyauth.ErrHeldBack, negotiate.AccountRevoked), password: "s3cret",
			code: negotiate.AccountRevoked, cause: proxyauth.CauseCredentialsRejected,
			is: []error{proxyauth.ErrHeldBack}, not: negotiate.NoKDC,
		},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			hermetic(t)
			s := &negotiate.Scheme{Engine: failing{tc.err}, Realm: "EXAMPLE.COM", DisableNTLM: true}
			require.True(t, s.Properties().Ambient)
			user := ""
			if tc.password != "" {
				user = "ann"
			}
			_, err := s.NewSession(t.Context(), exchange(user, tc.password))
			require.ErrorIs(t, err, tc.err)
			e, ok := errors.AsType[*negotiate.Error](err)
			require.True(t, ok)
			require.Equal(t, tc.code, e.Code)
			require.Equal(t, tc.cause, e.Cause())
			require.Contains(t, e.Hint(), tc.hint)
			require.NotContains(t, err.Error(), "\n")
			for _, is := range tc.is {
				require.ErrorIs(t, err, is)
			}
			if tc.not != nil {
				require.NotErrorIs(t, err, tc.not)
			}
		})
	}
}

// An engine that returns nothing is named in the error.
func TestEngineWithoutContextOrError(t *testing.T) {
	hermetic(t)
	s := &negotiate.Scheme{Engine: failing{}, Sources: []negotiate.Source{}}
	_, err := s.NewSession(t.Context(), exchange("", ""))
	require.ErrorContains(t, err, "the engine has neither a context nor an error")
}

// A logonEngine is an engine whose contexts choose NTLM, without a secret of the provider.
type logonEngine struct {
	open atomic.Int64

	// says is the mechanism that they name, [negotiate.MechanismNTLM] if it is empty.
	says string
}

type logonContext struct {
	e     *logonEngine
	steps int
}

func (e *logonEngine) NewContext(context.Context, negotiate.Target) (negotiate.Context, error) {
	e.open.Add(1)
	return &logonContext{e: e}, nil
}

func (c *logonContext) Step(_ context.Context, in []byte) ([]byte, bool, error) {
	c.steps++
	if in == nil {
		return []byte("NTLMSSP\x00\x01"), false, nil
	}
	return []byte("NTLMSSP\x00\x03"), true, nil
}

func (c *logonContext) Mechanism() string { return cmp.Or(c.e.says, negotiate.MechanismNTLM) }

func (c *logonContext) Close() error { c.e.open.Add(-1); return nil }

func TestNTLMOfTheEngine(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		scheme string
		named  bool
		user   string
		says   string
		change func(*negotiate.Scheme)
		want   error
	}{
		{desc: "called Kerberos", scheme: "http", says: negotiate.MechanismKerberos, want: proxyauth.ErrForbidden},
		{desc: "called Kerberos, https:// proxy", scheme: "https", says: negotiate.MechanismKerberos},
		{desc: "any http:// proxy", scheme: "http", want: proxyauth.ErrForbidden},
		{desc: "named http:// proxy", scheme: "http", named: true},
		{desc: "https:// proxy", scheme: "https"},
		{desc: "allowed", scheme: "http", change: func(s *negotiate.Scheme) { s.InsecureLogonNTLM = true }},
		{desc: "credentials of the provider", scheme: "http", user: "ann"},
		{desc: "disabled", scheme: "https", named: true, user: "ann", change: func(s *negotiate.Scheme) { s.DisableNTLM = true }, want: proxyauth.ErrForbidden},
		{desc: "mutual authentication", scheme: "https", named: true, user: "ann", change: func(s *negotiate.Scheme) { s.RequireMutual = true }, want: proxyauth.ErrForbidden},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			hermetic(t)
			e := &logonEngine{says: tc.says}
			s := &negotiate.Scheme{Engine: e, Sources: []negotiate.Source{}}
			if tc.change != nil {
				tc.change(s)
			}
			password := ""
			if tc.user != "" {
				password = "s3cret"
			}
			ex := exchange(tc.user, password)
			ex.Proxy, ex.Named = &url.URL{Scheme: tc.scheme, Host: "proxy.example.com:3128"}, tc.named
			if tc.scheme == "https" {
				ex.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte("leaf"), SignatureAlgorithm: x509.SHA256WithRSA}}}
			}
			session, err := s.NewSession(t.Context(), ex)
			require.ErrorIs(t, err, tc.want)
			if err == nil {
				a, err := session.Authorization(t.Context(), proxyauth.Leg{})
				require.NoError(t, err)
				require.True(t, a.More)
				require.False(t, a.Ticket)
				require.Equal(t, tc.scheme == "https", a.ChannelBound)
				next, err := session.(proxyauth.Continuer).Continue(t.Context(), []proxyauth.Challenge{{Scheme: "Negotiate", Token68: "TlRMTVNTUAAC"}})
				require.NoError(t, err)
				require.Equal(t, proxyauth.GoOn, next)
				a, err = session.Authorization(t.Context(), proxyauth.Leg{})
				require.NoError(t, err)
				require.False(t, a.More)
				require.False(t, a.Ticket)
				next, err = session.(proxyauth.Continuer).Continue(t.Context(), nil)
				require.NoError(t, err)
				require.Equal(t, proxyauth.Refused, next)
				require.NoError(t, session.(interface{ Close() error }).Close())
			}
			require.Zero(t, e.open.Load())
		})
	}
}

// Contexts are closed whatever becomes of the connection: dropped, refused, given up.
func TestTransportClosesContexts(t *testing.T) {
	isCompleting := func(leg *testproxy.Leg) bool { return leg.Scheme != "" }
	for desc, fault := range map[string]testproxy.Fault{
		"none":    nil,
		"dropped": testproxy.OnLeg(isCompleting, testproxy.DropAt(testproxy.OnRequest)),
		"bad":     testproxy.OnLeg(isCompleting, &testproxy.Action{Status: http.StatusBadGateway}),
	} {
		for _, refuses := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, refuses tickets: %t", desc, refuses), func(t *testing.T) {
				l := newLab(t)
				e := l.withEngine(t)
				l.scheme.SPN = fixed(proxySPN)
				e.Engine.(*negotiate.Scheme).DialKDC = l.Dial
				if refuses {
					l.proxy.Faults = spnegoserver.Always(spnegoserver.Faults{KRBError: 60})
				}
				synctest.Test(t, func(t *testing.T) { l.reachOften(t, fault) })
				require.NotZero(t, e.opened.Load())
				e.requireClosed(t, e.opened.Load())
			})
		}
	}
}

// reachOften makes requests through a proxy with a fault, many at once, some of which are
// given up.
func (l *lab) reachOften(t *testing.T, fault testproxy.Fault) {
	network := testproxy.NewNetwork()
	proxy := testproxy.Start(t, testproxy.Config{
		Network: network, Auth: []testproxy.Mechanism{&spnegoserver.Mechanism{Server: l.proxy}},
	})
	proxy.SetFault(fault)
	rt := &proxyauth.Transport{
		Base:    &http.Transport{Proxy: http.ProxyURL(proxy.URL()), DialContext: network.DialContext},
		Schemes: []proxyauth.Scheme{l.scheme},
	}
	defer rt.CloseIdleConnections()
	reach := func(ctx context.Context, target string) {
		resp, err := rt.RoundTrip(httptest.NewRequestWithContext(ctx, http.MethodGet, target, nil))
		if err == nil {
			resp.Body.Close()
		}
	}
	for _, target := range []string{"http://origin.example.com/", "https://origin.example.com/"} {
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				if i%4 == 0 {
					time.AfterFunc(time.Duration(i)*time.Microsecond, cancel)
				}
				defer cancel()
				reach(ctx, target)
			})
		}
		wg.Wait()
	}
	time.Sleep(2 * time.Minute) // legs that go on without their callers
}

// The Transport says whether the program has named the proxy.
func TestAllowProxyNamesTheProxy(t *testing.T) {
	hermetic(t)
	for _, named := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			network := testproxy.NewNetwork()
			proxy := testproxy.Start(t, testproxy.Config{
				Network: network, Auth: []testproxy.Mechanism{&spnegoserver.Mechanism{Server: new(spnegoserver.Server)}},
			})
			e := &logonEngine{}
			rt := &proxyauth.Transport{
				Base:       &http.Transport{Proxy: http.ProxyURL(proxy.URL()), DialContext: network.DialContext},
				Schemes:    []proxyauth.Scheme{&negotiate.Scheme{Engine: e, Sources: []negotiate.Source{}}},
				ErrorOn407: true,
			}
			defer rt.CloseIdleConnections()
			if named {
				rt.AllowProxy = proxyauth.AllowHosts(proxy.URL().Hostname())
			}
			_, err := rt.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://origin.example.com/", nil))
			require.Error(t, err, "the proxy knows no user")
			require.Equal(t, !named, errors.Is(err, proxyauth.ErrForbidden))
			sent := slices.ContainsFunc(proxy.Legs(), func(leg testproxy.Leg) bool { return leg.Scheme == "Negotiate" })
			require.Equal(t, named, sent)
			require.Zero(t, e.open.Load())
		})
	}
}

func TestEngineBindings(t *testing.T) {
	e := &countedEngine{Engine: failing{negotiate.NoTicket}}
	hermetic(t)
	s := &negotiate.Scheme{Engine: e, Sources: []negotiate.Source{}}
	ex := exchange("", "")
	ex.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte("leaf"), SignatureAlgorithm: x509.SHA256WithRSA}}}
	_, err := s.NewSession(t.Context(), ex)
	require.Error(t, err)
	require.Contains(t, string(e.targets[0].Bindings), "tls-server-end-point:")
	s.InsecureOmitChannelBindings = true
	_, err = s.NewSession(t.Context(), ex)
	require.Error(t, err)
	require.Nil(t, e.targets[1].Bindings)
}

// A panickingEngine is an engine whose contexts panic at a step, and at no other.
type panickingEngine struct {
	negotiate.Engine
	at int
}

type panickingContext struct {
	negotiate.Context
	left int
}

func (e panickingEngine) NewContext(ctx context.Context, t negotiate.Target) (negotiate.Context, error) {
	x, err := e.Engine.NewContext(ctx, t)
	return &panickingContext{x, e.at}, err
}

func (x *panickingContext) Step(ctx context.Context, in []byte) ([]byte, bool, error) {
	if x.left--; x.left == 0 {
		panic("of the engine")
	}
	return x.Context.Step(ctx, in)
}

// A context that panics is closed: the program may recover.
func TestContextsThatPanicAreClosed(t *testing.T) {
	for at := 1; at <= 2; at++ {
		t.Run(fmt.Sprintf("step %d", at), func(t *testing.T) {
			l := newLab(t)
			e := l.withEngine(t)
			l.scheme.SPN = fixed(proxySPN)
			inner := e.Engine.(*negotiate.Scheme)
			inner.DialKDC = l.Dial
			e.Engine = panickingEngine{inner, at}
			l.proxy.Faults = spnegoserver.Always(spnegoserver.Faults{ExtraLegs: 1})
			synctest.Test(t, func(t *testing.T) {
				network := testproxy.NewNetwork()
				proxy := testproxy.Start(t, testproxy.Config{
					Network: network, Auth: []testproxy.Mechanism{&spnegoserver.Mechanism{Server: l.proxy}},
				})
				rt := &proxyauth.Transport{
					Base:    &http.Transport{Proxy: http.ProxyURL(proxy.URL()), DialContext: network.DialContext},
					Schemes: []proxyauth.Scheme{l.scheme},
				}
				defer rt.CloseIdleConnections()
				require.Panics(t, func() {
					resp, err := rt.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://origin.example.com/", nil))
					if err == nil {
						resp.Body.Close()
					}
				})
			})
			e.requireClosed(t, 1)
		})
	}
}

// A logon that the proxy refuses is sent once, and the error says whose it was.
func TestRefusedLogonIsSentOnce(t *testing.T) {
	hermetic(t)
	var sent atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := "Negotiate"
		switch r.Header.Get("Proxy-Authorization") {
		case "Negotiate TlRMTVNTUAAB":
			answer = "Negotiate TlRMTVNTUAAC"
		case "Negotiate TlRMTVNTUAAD":
			sent.Add(1)
		}
		w.Header().Set("Proxy-Authenticate", answer)
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()
	u, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	e := &logonEngine{}
	rt := &proxyauth.Transport{
		Base:       &http.Transport{Proxy: http.ProxyURL(u)},
		Schemes:    []proxyauth.Scheme{&negotiate.Scheme{Engine: e, Sources: []negotiate.Source{}}},
		AllowProxy: proxyauth.AllowHosts(u.Hostname()),
		ErrorOn407: true,
	}
	defer rt.CloseIdleConnections()
	for range 3 {
		_, err := rt.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://origin.example.com/", nil))
		require.ErrorIs(t, err, proxyauth.ErrRejected)
		require.ErrorContains(t, err, "logged in")
		require.NotContains(t, err.Error(), "empty")
		failure, ok := errors.AsType[*proxyauth.Error](err)
		require.True(t, ok)
		require.Contains(t, failure.Hint(), "logged in")
	}
	require.EqualValues(t, 1, sent.Load())
	require.Zero(t, e.open.Load())
}

// A waitingContext waits for the proxy's token to be looked at until it need not any more.
type waitingContext struct{ negotiate.Context }

func (waitingContext) Step(ctx context.Context, in []byte) ([]byte, bool, error) {
	if in == nil {
		return []byte{0x60, 0}, false, nil
	}
	<-ctx.Done()
	return nil, false, context.Cause(ctx)
}

func (waitingContext) Mechanism() string { return negotiate.MechanismKerberos }
func (waitingContext) Close() error      { return nil }

func (waitingContext) NewContext(context.Context, negotiate.Target) (negotiate.Context, error) {
	return waitingContext{}, nil
}

func TestLastStepIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scheme := &negotiate.Scheme{Engine: waitingContext{}, Sources: []negotiate.Source{}}
		session, err := scheme.NewSession(t.Context(), proxyauth.Exchange{Proxy: &url.URL{Scheme: "http", Host: "proxy.example.com:3128"}})
		require.NoError(t, err)
		_, err = session.Authorization(t.Context(), proxyauth.Leg{Method: http.MethodGet, Target: "http://origin.example.com/"})
		require.NoError(t, err)
		start := time.Now()
		err = session.(proxyauth.Verifier).Verify(&http.Response{StatusCode: http.StatusOK, Header: http.Header{"Proxy-Authenticate": {"Negotiate YAA="}}})
		require.ErrorIs(t, err, negotiate.NotVerified)
		require.Equal(t, 10*time.Second, time.Since(start))
	})
}
