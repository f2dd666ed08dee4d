package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// seeds returns the seed of the first round of a random test, PROXYAUTH_SEED, and how many
// rounds there are, PROXYAUTH_SEEDS, of which each has the next seed. By default there are
// more if all variants are to run.
func seeds(t *testing.T, byDefault uint64) (first, n uint64) {
	number := func(name string, byDefault uint64) uint64 {
		text := os.Getenv(name)
		if text == "" {
			return byDefault
		}
		n, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		return n
	}
	switch {
	case !sample.Thorough():
		byDefault /= 8
	case raceEnabled:
		byDefault /= 4
	}
	return number("PROXYAUTH_SEED", 1), number("PROXYAUTH_SEEDS", byDefault)
}

// A peer that mixes refusals, answers without a verdict, slow ones, closed connections,
// circles and garbage is sent a wrong secret no more often than the budget allows. Each seed
// is another mixture, in another scheme, for other callers.
func TestMixtureKeepsTheBudget(t *testing.T) {
	t.Parallel()
	first, n := seeds(t, 12)
	for seed := first; seed < first+n; seed++ {
		t.Run(fmt.Sprintf("PROXYAUTH_SEED=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 0))
				scheme := []string{"Basic", "Digest", "NTLM", "Negotiate"}[random.IntN(4)]
				p := newPeer(t, wrongPassword, peerMechanism(scheme), mixture(random, scheme))
				p.rt.Preemptive = random.IntN(4) == 0
				p.visit(t, random)
				p.requireBudget(t, min(mostUnderWay, p.most+1))
			})
		})
	}
}

// visit has callers make requests for an hour, patient or not, to few hosts or many.
func (p *peer) visit(t *testing.T, random *rand.Rand) {
	hosts, leave := 1+random.IntN(30), []time.Duration{200 * time.Millisecond, 5 * time.Second, time.Hour}[random.IntN(3)]
	atOnce, rate := []int{0, 10, 100}[random.IntN(3)], 1+random.IntN(3)
	start := random.IntN(2)
	var all sync.WaitGroup
	for i := 0; time.Since(p.start) < time.Hour; i++ {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), leave)
			defer cancel()
			p.reach(ctx, ways[(start+i/7)%2], fmt.Sprintf("host%d.example.com", i%hosts))
		})
		switch {
		case i < atOnce:
		case time.Since(p.start) < time.Minute:
			time.Sleep(time.Second / time.Duration(rate))
		default:
			time.Sleep(20 * time.Second)
		}
	}
	all.Wait()
}

// mixture returns a peer that prefers other replies every few times.
func mixture(random *rand.Rand, scheme string) func(int) reply {
	status := []int{http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusBadGateway}
	at := []testproxy.Point{testproxy.OnRequest, testproxy.BeforeAnswer, testproxy.InStatusLine, testproxy.InHeader}
	kinds := []func(after time.Duration) reply{
		refuses,
		func(after time.Duration) reply { return answers(after, status[random.IntN(len(status))]) },
		func(after time.Duration) reply { return closes(after, at[random.IntN(len(at))]) },
		func(after time.Duration) reply {
			return reply{after, lost, testproxy.ResetAt(at[random.IntN(len(at))])}
		},
		func(after time.Duration) reply { return circle(after, scheme, random.Uint64()) },
		func(after time.Duration) reply { return reply{after, lost, testproxy.Garbage("Login:")} },
	}
	var weights [6]int
	left := 0
	return func(int) reply {
		if left--; left < 0 {
			left = random.IntN(12)
			for i := range weights {
				weights[i] = random.IntN(10)
			}
			weights[0] *= random.IntN(2) * random.IntN(2)
			weights[1]++
		}
		spans := []time.Duration{20 * time.Millisecond, 500 * time.Millisecond, 20 * time.Second, 58 * time.Second}
		return kinds[weighted(random, weights[:])](time.Duration(random.Int64N(int64(spans[min(random.IntN(6), 3)]))))
	}
}

// weighted returns an index that is as likely as its weight is large.
func weighted(random *rand.Rand, weights []int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	x := random.IntN(sum)
	for i, w := range weights {
		if x -= w; x < 0 {
			return i
		}
	}
	panic("unreachable")
}
