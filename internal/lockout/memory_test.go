package lockout

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func (g *Limiter) use(t *testing.T, user, target string, o Outcome) *Handle {
	t.Helper()
	h := g.Handle(Secret{"p:1", user, "pw"})
	turn, err := h.Acquire(t.Context(), target)
	require.NoError(t, err)
	turn.Sent()
	turn.Done(o)
	return h
}

func TestMemoryForSecretsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Limiter
		refused := g.use(t, "refused", "a", Refused)
		busy := g.Handle(Secret{"p:1", "busy", "pw"})
		turn, err := busy.Acquire(t.Context(), "a")
		require.NoError(t, err)
		turn.Sent()
		trusted := g.use(t, "trusted", "a", Accepted)
		for i := range 17_000 {
			g.use(t, fmt.Sprint(i), "a", Accepted)
		}
		require.LessOrEqual(t, len(g.secrets), 1<<14)
		require.LessOrEqual(t, len(g.accounts), 1<<14)
		require.Equal(t, Barred, refused.State(), "trusted ones are forgotten before it")
		turn.Done(Accepted)
		require.Equal(t, Trusted, busy.State(), "it was under way")
		require.Equal(t, Tentative, trusted.State(), "forgotten; its handle is still good")
		g.use(t, "trusted", "a", Accepted)
		require.Equal(t, Trusted, trusted.State())
		for i := range 17_000 {
			g.use(t, fmt.Sprint("wrong", i), "a", Refused)
		}
		require.LessOrEqual(t, len(g.secrets), 1<<14)
		g.Reset()
		require.Empty(t, g.secrets)
		require.Empty(t, g.accounts)
		require.Empty(t, g.pairs)
	})
}

func TestMemoryForTargetsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Limiter
		g.use(t, "ann", "good", Accepted)
		g.use(t, "ann", "forbidden", Refused)
		for i := range 5_000 {
			g.use(t, "ann", fmt.Sprint(i), Accepted)
		}
		h := g.Handle(Secret{"p:1", "ann", "pw"})
		require.LessOrEqual(t, len(h.record().targets), 1<<10)
		_, err := h.Acquire(t.Context(), "forbidden")
		require.Error(t, err, "accepted ones are forgotten before it")
	})
}

func TestTargetsOfWhichNothingIsKnownAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Limiter
		for i := range 100 {
			g.use(t, "ann", fmt.Sprint(i), Unsent)
		}
		require.Empty(t, g.Handle(Secret{"p:1", "ann", "pw"}).record().targets)
	})
}

func TestTrustedTurnAllocatesItselfAlone(t *testing.T) {
	var g Limiter
	h := g.use(t, "ann", "a", Accepted)
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() { trustedTurn(h) }), 1.0)
}

func BenchmarkTrustedTurn(b *testing.B) {
	var g Limiter
	h := g.Handle(Secret{"p:1", "ann", "pw"})
	trustedTurn(h)
	b.ReportAllocs()
	for b.Loop() {
		trustedTurn(h)
	}
}

func trustedTurn(h *Handle) {
	_ = h.State()
	turn, _ := h.Acquire(context.Background(), "a")
	turn.Sent()
	turn.Done(Accepted)
}
