package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
)

const (
	worldCallers = 20 // at once
	worldCalls   = 8  // of each
	worldEvents  = 30
)

// TestStateMachine lets many callers loose on proxies that change and fail, and
// holds what happens against a model: see model.
//
// Each round has a seed, from which follows what everybody tries to do, though not
// in which order it happens. See seeds.
func TestStateMachine(t *testing.T) {
	t.Parallel()
	seed, rounds := seeds(t, 32)
	for i := range rounds {
		t.Run(fmt.Sprintf("PROXYAUTH_SEED=%d", seed+i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newWorld(t, seed+i).run() })
		})
	}
}

// run lets everybody do what the seed says, and then checks what came of it.
func (w *world) run() {
	var callers sync.WaitGroup
	for i := range worldCallers {
		callers.Go(func() { w.callAround(rand.New(rand.NewPCG(w.seed, uint64(i)))) })
	}
	w.makeTrouble(rand.New(rand.NewPCG(w.seed, worldCallers)))
	callers.Wait()
	troubled := w.model.calls
	w.calm()
	w.check(len(troubled))
}

// pick returns a proxy and an identity. Each round has favourites, lest everybody
// be alone.
func (w *world) pick(random *rand.Rand) (proxy string, who *identity) {
	proxy = allProxies[w.seed%uint64(len(allProxies))]
	who = w.identities[w.seed/uint64(len(allProxies))%uint64(len(w.identities))]
	if random.IntN(2) == 0 {
		proxy = allProxies[random.IntN(len(allProxies))]
	}
	if random.IntN(2) == 0 {
		who = w.identities[random.IntN(len(w.identities))]
	}
	return proxy, who
}

// makeTrouble changes things while others are at it.
func (w *world) makeTrouble(random *rand.Rand) {
	for range worldEvents {
		time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
		proxy, who := w.pick(random)
		program, a := who.program, account{proxy, who.user}
		switch random.IntN(10) {
		case 0:
			w.model.during(proxy, func() {
				w.proxies[proxy].Disconnect()
				synctest.Wait() // everybody knows
			})
		case 1:
			w.model.during(nonces, w.forgetNonces)
		case 2:
			w.forgetConnections()
		case 3:
			w.provide(a) // too early
		case 4:
			w.enforce(a, random.IntN(2) == 0)
		case 5:
			w.provide(a)
			w.enforce(a, random.IntN(2) == 0)
		case 6, 7:
			scheme := random.IntN(len(w.schemes))
			w.model.during(turns, func() { w.turn(scheme) })
		case 8:
			w.model.reset(program)
			program.rt.Reset()
			w.model.reset(program)
		case 9:
			program.rt.CloseIdleConnections()
		}
	}
}

func (w *world) forgetNonces() {
	for _, d := range w.digests {
		d.ForgetNonces()
	}
}

// forgetConnections takes the authentication off all connections.
func (w *world) forgetConnections() {
	for addr, n := range w.ntlms {
		n.change(w.users[addr].Passwords, true)
	}
}

// turn makes the turncoat offer one of its schemes only.
func (w *world) turn(scheme int) {
	w.schemes[scheme].off.Store(false)
	for i, m := range w.schemes {
		m.off.Store(i != scheme)
	}
}

// callAround makes one call after the other.
func (w *world) callAround(random *rand.Rand) {
	for range worldCalls {
		time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
		c := &call{way: callWays[random.IntN(len(callWays))], replayable: random.IntN(2) == 0}
		c.proxy, c.who = w.pick(random)
		if random.IntN(8) == 0 {
			c.who = w.nobody
		}
		if size := bodySizes[random.IntN(len(bodySizes))]; c.way != rawTunnel && size > 0 {
			c.body = strings.Repeat(string(rune('a'+random.IntN(26))), size)
		}
		ctx, cancel := context.WithCancelCause(w.t.Context())
		if random.IntN(6) == 0 {
			time.AfterFunc(time.Duration(random.IntN(15))*time.Millisecond, func() { cancel(errGone) })
		}
		w.make(ctx, c)
		cancel(nil)
	}
}

// calm makes one call for each identity and proxy, each way, after all trouble is
// over, of which each has to succeed.
func (w *world) calm() {
	for _, p := range w.programs {
		w.model.reset(p)
		p.rt.Reset()
		w.model.reset(p)
	}
	for _, proxy := range allProxies {
		for _, who := range w.identities {
			w.enforce(account{proxy, who.user}, false)
			for _, way := range callWays {
				c := &call{who: who, proxy: proxy, way: way}
				w.make(w.t.Context(), c)
				require.NoError(w.t, c.err, "%v, when all is calm", c)
			}
		}
		for _, way := range callWays {
			c := &call{who: w.nobody, proxy: proxy, way: way}
			w.make(w.t.Context(), c)
			if proxy == open {
				require.NoError(w.t, c.err, "%v, when all is calm", c)
			} else {
				requireCause(w.t, proxyauth.CauseNoCredentials, c.err)
			}
		}
	}
}

// check holds what everybody has seen against the model, and sees to it that
// nothing is left.
func (w *world) check(troubled int) {
	succeeded := 0
	for _, c := range w.model.calls[:troubled] {
		if c.err == nil {
			succeeded++
		}
	}
	require.Greater(w.t, succeeded, troubled/4, "or else there is little to be seen")
	for _, o := range w.origins {
		w.model.checkOrigin(o.Requests())
	}
	for _, p := range w.proxies {
		w.model.checkLegs(p)
		require.Empty(w.t, p.Violations(), p.Addr())
	}
	require.Empty(w.t, w.model.check())

	// Connections may be waiting for a caller who has gone, and squid with one
	// that it reads no further from.
	time.Sleep(max(tokenLife, 3*time.Minute))
	for _, p := range w.programs {
		p.rt.CloseIdleConnections()
	}
	synctest.Wait()
	for _, p := range w.proxies {
		require.Zero(w.t, openConns(p), p.Addr())
	}
}
