package interop_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// A directory counts wrong passwords wherever they come from. That the KDC has
// refused one is reason enough not to send it to the proxy as Basic.
func TestKDCGetsWrongPasswordOnce(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"forwarded", "tunnelled"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
			proxy := startSquidNegotiate(t, kdc, interop.SquidBasic(ann))
			scheme := &negotiate.Scheme{ConfigFile: kdc.ConfigFile}
			var password atomic.Value
			password.Store(wrong.Password)
			var client *http.Client
			for _, via := range urlsOf(proxy) {
				client = user{
					origin: origin, proxy: proxy, via: via, scheme: scheme,
					provider: changing(ann.Username, &password),
				}.client(t)
				concurrently(t, lockoutWorkers, func() error { return refusal(client, origin.targets()[way]) })
			}
			require.Equal(t, 1, kdc.PreauthFailures(t))
			require.Zero(t, origin.requests.Load())

			password.Store(wrong.Password + "again")
			require.NoError(t, refusal(client, origin.targets()[way]))
			require.Equal(t, 2, kdc.PreauthFailures(t), "another wrong password")

			password.Store(ann.Password)
			require.NoError(t, fetch(client, origin.targets()[way]))
			require.Equal(t, 2, kdc.PreauthFailures(t))
			client.CloseIdleConnections()
			proxy.Stop()
			require.Equal(t, 1, authorized(proxy.Legs(t)), "the ticket alone goes to the proxy")
		})
	}
}

func TestKdestroyInMidRun(t *testing.T) {
	t.Parallel()
	for _, tc := range kerberosProxies {
		if tc.perRequest {
			continue
		}
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
			proxy := tc.start(t, kdc)
			for way, target := range origin.targets() {
				tickets := newTickets(t, kdc)
				client := user{
					origin: origin, proxy: proxy, via: proxy.URL,
					scheme: &negotiate.Scheme{ConfigFile: kdc.ConfigFile, TicketCache: tickets.Name},
				}.client(t)
				require.NoError(t, fetch(client, target), way)

				tickets.Kdestroy(t)
				require.NoError(t, fetch(client, target), "%s on a connection that is authenticated", way)
				client.CloseIdleConnections()
				for range 2 {
					why := requireFailure(t, client, target)
					require.Contains(t, []proxyauth.Cause{proxyauth.CauseTicketMissing, proxyauth.CauseKerberosFailed}, why.Cause)
					requireTried(t, why, negotiate.NoTicket)
					require.ErrorContains(t, why.Tried[0], "kinit")
				}

				tickets.Kinit(t, ann)
				require.NoError(t, fetch(client, target), "%s after kinit", way)
			}
		})
	}
}

// Per request, there is no connection that goes on.
func TestKdestroyInMidRunPerRequest(t *testing.T) {
	t.Parallel()
	kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
	proxy := startApacheGSSAPI(t, kdc, interop.PerRequest)
	tickets := newTickets(t, kdc)
	client := user{
		origin: origin, proxy: proxy, via: proxy.URL,
		scheme: &negotiate.Scheme{ConfigFile: kdc.ConfigFile, TicketCache: tickets.Name},
	}.client(t)
	require.NoError(t, repeat(3, func() error { return fetch(client, origin.url) }))
	tickets.Kdestroy(t)
	why := requireFailure(t, client, origin.url)
	requireTried(t, why, negotiate.NoTicket)
	tickets.Kinit(t, ann)
	require.NoError(t, fetch(client, origin.url))
}

// That there is no ticket does not say anything about a password. But where the proxy has
// accepted a ticket, the password is not shown on the wire.
func TestNoTicketFallsBackToBasic(t *testing.T) {
	t.Parallel()
	kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
	proxy := startSquidNegotiate(t, kdc, interop.SquidBasic(ann))
	for _, via := range urlsOf(proxy) {
		for way, target := range origin.targets() {
			desc := via.Scheme + " proxy, " + way
			tickets := newTickets(t, kdc)
			var accepted atomic.Value
			u := user{
				origin: origin, proxy: proxy, via: via,
				scheme: &negotiate.Scheme{
					ConfigFile:  kdc.ConfigFile,
					TicketCache: tickets.Name,
					Sources:     []negotiate.Source{negotiate.TicketCache},
					DisableNTLM: true,
				},
				provider: fixed(ann),
				change: func(rt *proxyauth.Transport) {
					rt.Trace = &proxyauth.Trace{Accepted: func(_ context.Context, info proxyauth.TraceInfo) { accepted.Store(info.Scheme) }}
				},
			}
			client := u.client(t)
			require.NoError(t, fetch(client, target), desc)
			require.Equal(t, "Negotiate", accepted.Load(), desc)
			tickets.Kdestroy(t)
			client.CloseIdleConnections()
			if via.Scheme == "http" {
				why := requireFailure(t, client, target)
				require.Equal(t, proxyauth.CausePolicyForbids, why.Cause, desc)
				requireTried(t, why, negotiate.NoTicket)
				require.ErrorContains(t, why, "kinit")
				client = u.client(t)
			}
			require.NoError(t, fetch(client, target), desc)
			require.Equal(t, "Basic", accepted.Load(), desc)
		}
	}
	for way, target := range origin.targets() {
		u := user{
			origin: origin, proxy: proxy, via: proxy.URL,
			scheme:   &negotiate.Scheme{ConfigFile: kdc.ConfigFile, Sources: []negotiate.Source{negotiate.TicketCache}, DisableNTLM: true},
			provider: fixed(ann),
			change:   func(rt *proxyauth.Transport) { rt.ForbidCleartext = true },
		}
		why := requireFailure(t, u.client(t), target)
		require.Equal(t, proxyauth.CausePolicyForbids, why.Cause, way)
		requireTried(t, why, negotiate.NoTicket)
		require.Len(t, why.Tried, 2, way)
	}
}

// squid's helper for Kerberos takes no NTLM inside Negotiate, which goes in the place of a
// ticket where there is a password: that is no reason to break off.
func TestBasicWithoutAnyKerberos(t *testing.T) {
	t.Parallel()
	kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
	proxy := startSquidNegotiate(t, kdc, interop.SquidBasic(ann))
	for _, via := range urlsOf(proxy) {
		for way, target := range origin.targets() {
			client := user{
				origin: origin, proxy: proxy, via: via,
				scheme:   &negotiate.Scheme{ConfigFile: os.DevNull},
				provider: fixed(ann),
			}.client(t)
			for range 2 {
				require.NoError(t, fetch(client, target), "%s proxy, %s", via.Scheme, way)
			}
		}
	}
}

func TestExpiredTicket(t *testing.T) {
	t.Parallel()
	kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
	proxy := startSquidNegotiate(t, kdc)
	tickets := interop.NewTicketCache(t, kdc)
	tickets.KinitExpired(t, ann)
	client := user{
		origin: origin, proxy: proxy, via: proxy.URL,
		scheme: &negotiate.Scheme{ConfigFile: kdc.ConfigFile, TicketCache: tickets.Name},
	}.client(t)
	for way, target := range origin.targets() {
		why := requireFailure(t, client, target)
		require.Contains(t, []proxyauth.Cause{proxyauth.CauseTicketMissing, proxyauth.CauseKerberosFailed}, why.Cause, way)
		requireTried(t, why, negotiate.TicketExpired)
		require.ErrorContains(t, why.Tried[0], "kinit", way)
	}
	tickets.Kinit(t, ann)
	requireWorks(t, client, origin)
}

func TestUnknownProxyService(t *testing.T) {
	t.Parallel()
	kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
	proxy := startSquidNegotiate(t, kdc)
	kdc.RemoveProxy(t)
	client := user{
		origin: origin, proxy: proxy, via: proxy.URL,
		scheme: &negotiate.Scheme{ConfigFile: kdc.ConfigFile, TicketCache: newTickets(t, kdc).Name},
	}.client(t)
	for way, target := range origin.targets() {
		why := requireFailure(t, client, target)
		require.Contains(t, []proxyauth.Cause{proxyauth.CauseTicketMissing, proxyauth.CauseKerberosFailed}, why.Cause, way)
		requireTried(t, why, negotiate.ServiceUnknown)
		require.ErrorContains(t, why.Tried[0], "HTTP/"+interop.ProxyHost, way)
		require.ErrorContains(t, why.Tried[0], "setspn", way)
	}
}

func TestKDCDown(t *testing.T) {
	t.Parallel()
	kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
	proxy := startSquidNegotiate(t, kdc)
	scheme := &negotiate.Scheme{ConfigFile: kdc.ConfigFile, DisableNTLM: true}
	client := user{origin: origin, proxy: proxy, via: proxy.URL, scheme: scheme, provider: fixed(ann)}.client(t)
	kdc.Stop()
	for way, target := range origin.targets() {
		why := requireFailure(t, client, target)
		require.Contains(t, []proxyauth.Cause{proxyauth.CauseTicketMissing, proxyauth.CauseKerberosFailed}, why.Cause, way)
		requireTried(t, why, negotiate.KDCUnreachable)
	}
}

// A KDC that is restarted fails nobody: who has a ticket does not notice, and who needs one waits.
func TestKDCRestartsInMidRun(t *testing.T) {
	t.Parallel()
	kdc, origin := interop.StartKDC(t, ann, bob), newOrigin(t)
	proxy := startSquidNegotiate(t, kdc)
	scheme := &negotiate.Scheme{ConfigFile: kdc.ConfigFile, DisableNTLM: true}
	clientOf := func(account interop.Account) *http.Client {
		return user{origin: origin, proxy: proxy, via: proxy.URL, scheme: scheme, provider: fixed(account)}.client(t)
	}
	const requests = 100
	warm := make(chan *http.Client, requests)
	for range requests { // a connection each
		warm <- clientOf(ann)
	}
	require.NoError(t, fetch(<-warm, origin.url))
	kdc.Stop()
	concurrently(t, requests-1, func() error { return fetch(<-warm, origin.url) })

	cold, errs := clientOf(bob), make(chan error, requests)
	for range requests {
		go func() {
			err := fetch(cold, origin.tlsURL)
			for range 100 { // on a busy machine the KDC takes its time
				if !errors.Is(err, negotiate.KDCUnreachable) {
					break
				}
				time.Sleep(100 * time.Millisecond)
				err = fetch(cold, origin.tlsURL)
			}
			errs <- err
		}()
	}
	kdc.Restart(t)
	for range requests {
		require.NoError(t, <-errs)
	}
	require.Len(t, kdc.Issued(t, "AS"), 2)
	require.Len(t, kdc.Issued(t, "TGS"), 2)
	require.Zero(t, kdc.PreauthFailures(t))
}
