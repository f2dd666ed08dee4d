package lockout_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/lockout"
	"github.com/go-proxyauth/proxyauth/internal/sample"
)

// TestBudgetHoldsWhateverAPeerDoes plays peers that mix refusals, closed connections,
// answers without a verdict and lost ones at random, each with another mixture, against
// a password that is never accepted.
func TestBudgetHoldsWhateverAPeerDoes(t *testing.T) {
	for seed := range sample.Size(5, 40) {
		play(t, fmt.Sprint("seed", seed), func(w *world) {
			r := rand.New(rand.NewPCG(uint64(seed), 11))
			w.preemptive = r.IntN(4) == 0
			hosts, timeout := 1+r.IntN(30), []time.Duration{200 * ms, 5 * time.Second, time.Hour}[r.IntN(3)]
			w.proxy = adversary(r, w)
			hour([]int{0, 10, 1000}[r.IntN(3)], 1+r.IntN(20), func(i int) {
				within(timeout, func(ctx context.Context) { w.do(ctx, "pw", host(i%hosts), false) })
			})
			w.wantBudget(4)
		})
	}
}

// adversary returns a peer with likings of its own, which last for a while.
func adversary(r *rand.Rand, w *world) func(int, string, string) answer {
	outcomes := []lockout.Outcome{lockout.Refused, lockout.NoVerdict, lockout.Lost}
	var weights [3]int
	left := 0
	return func(int, string, string) answer {
		w.mu.Lock()
		defer w.mu.Unlock()
		if left--; left < 0 {
			left = 1 + r.IntN(12)
			weights = [3]int{r.IntN(4) * r.IntN(2), 1 + r.IntN(10), r.IntN(10)}
		}
		x := r.IntN(weights[0] + weights[1] + weights[2])
		what := 0
		for ; x >= weights[what]; what++ {
			x -= weights[what]
		}
		spans := []time.Duration{20 * ms, 500 * ms, 20 * time.Second, 90 * time.Second}
		return answer{time.Duration(r.Int64N(int64(spans[min(r.IntN(6), 3)]))), outcomes[what]}
	}
}
