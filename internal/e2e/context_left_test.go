package e2e_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A countingContext counts what is registered with it.
type countingContext struct {
	context.Context
	mu   sync.Mutex
	left int
}

func (c *countingContext) Value(any) any { return nil }

func (c *countingContext) AfterFunc(f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left++
	stop := context.AfterFunc(c.Context, f)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		if stop() {
			c.left--
			return true
		}
		return false
	}
}

// A request that has ended leaves nothing with its context, which may be that of the program.
func TestNothingStaysWithTheContext(t *testing.T) {
	t.Parallel()
	for _, wrong := range []bool{false, true} {
		eachScheme(t, fmt.Sprint("wrong ", wrong), func(t testing.TB, m testproxy.Mechanism, w way) {
			secret := password
			if wrong {
				secret = wrongPassword
			}
			l, _ := newCaseLab(t, secret, m)
			parent, cancel := context.WithCancel(t.Context())
			defer cancel()
			ctx := &countingContext{Context: parent}
			for range 5 {
				_ = w.reach(ctx, l.rt, originHost)
			}
			time.Sleep(time.Second)
			ctx.mu.Lock()
			defer ctx.mu.Unlock()
			require.Zero(t, ctx.left)
		})
	}
}
