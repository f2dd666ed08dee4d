package lockout_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/lockout"
)

// TestEverythingAtOnce calls all methods at random from many goroutines. Nothing may
// wait for ever, and no turn may stay counted.
func TestEverythingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(lockout.Limiter)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				r := random(i)
				for range 60 {
					anything(g, r)
				}
			})
		}
		wg.Wait()
		require.Zero(t, counts(g).Waiting)
		g.Reset()
		require.Equal(t, lockout.Counts{}, counts(g))
		l := login{g.Handle(lockout.Secret{Proxy: "p0", User: "u0", Password: "w0"}), t}
		require.Len(t, l.underWay("a"), 1)
	})
}

// counts returns what is known of the secrets for all proxies.
func counts(g *lockout.Limiter) (sum lockout.Counts) {
	for _, c := range g.Counts() {
		sum.Waiting += c.Waiting
		sum.Doubted += c.Doubted
		sum.Paused += c.Paused
		sum.Barred += c.Barred
	}
	return sum
}

func anything(g *lockout.Limiter, r *rand.Rand) {
	pick := func(s string) string { return s + string(rune('0'+r.IntN(3))) }
	h := g.Handle(lockout.Secret{Proxy: pick("p"), User: pick("u"), Password: pick("w")})
	target := pick("t")
	switch r.IntN(30) {
	case 0:
		g.Reset()
	case 1:
		g.Counts()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(20_000))*ms)
	defer cancel()
	h.State()
	turn, err := h.Acquire(ctx, target)
	if err != nil {
		time.Sleep(time.Duration(r.IntN(60)) * time.Second)
		return
	}
	for range r.IntN(3) {
		turn.Sent()
		time.Sleep(time.Duration(r.IntN(20_000)) * ms)
	}
	outcome := lockout.Outcome(r.IntN(6))
	go turn.Done(outcome)
	turn.Done(outcome)
}
