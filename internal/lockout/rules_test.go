package lockout_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/lockout"
)

var ann = lockout.Secret{Proxy: "proxy:3128", User: "ann", Password: "s3cret"}

// A login is a handle with the assertions of the tests.
type login struct {
	*lockout.Handle
	t *testing.T
}

func newLogin(t *testing.T) (*lockout.Limiter, login) {
	g := new(lockout.Limiter)
	return g, login{g.Handle(ann), t}
}

// take returns a turn that must come at once, with the authorization sent.
func (l login) take(target string) *lockout.Turn {
	l.t.Helper()
	began := time.Now()
	turn, err := l.Acquire(l.t.Context(), target)
	require.NoError(l.t, err)
	require.Zero(l.t, time.Since(began), "waited for a turn")
	turn.Sent()
	return turn
}

// use takes a turn for each outcome, one after the other, and ends it.
func (l login) use(target string, outcomes ...lockout.Outcome) {
	l.t.Helper()
	for _, o := range outcomes {
		l.take(target).Done(o)
	}
}

// wantError wants no turn after wait, and an error that names reason and, from now, until.
func (l login) wantError(target string, wait time.Duration, reason lockout.Reason, until time.Duration) {
	l.t.Helper()
	began := time.Now()
	_, err := l.Acquire(l.t.Context(), target)
	var e *lockout.HeldError
	require.ErrorAs(l.t, err, &e)
	require.Equal(l.t, reason, e.Reason, e.Error())
	require.Equal(l.t, wait, time.Since(began), "wait")
	if until == never {
		require.Zero(l.t, e.Until)
		return
	}
	require.Equal(l.t, until, time.Until(e.Until), "until")
}

// wantWait wants that a turn comes only after wait, and ends it with o.
func (l login) wantWait(target string, wait time.Duration, o lockout.Outcome) {
	l.t.Helper()
	began := time.Now()
	turn, err := l.Acquire(l.t.Context(), target)
	require.NoError(l.t, err)
	require.Equal(l.t, wait, time.Since(began), "wait")
	turn.Sent()
	turn.Done(o)
}

// doubt makes the secret trusted, then doubted by a refusal at a target of its own.
func (l login) doubt() {
	l.use("good", lockout.Accepted)
	l.use("forbidden", lockout.Refused)
}

// queue has each target wait for a turn, one after the other. It reports the order in which they
// get one, and each ends with o after hold.
func (l login) queue(hold time.Duration, o lockout.Outcome, targets ...string) (order <-chan string) {
	served := make(chan string, len(targets))
	for _, target := range targets {
		go func() {
			turn, err := l.Acquire(l.t.Context(), target)
			require.NoError(l.t, err)
			served <- target
			time.Sleep(hold)
			turn.Done(o)
		}()
		synctest.Wait()
	}
	return served
}

const never = -1

func bubble(t *testing.T, f func(t *testing.T, g *lockout.Limiter, l login)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g, l := newLogin(t)
		f(t, g, l)
	})
}

func TestTentativeIsSentOneAtATimeInAnswerToAChallenge(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		require.Equal(t, lockout.Tentative, l.State())
		first := l.take("a")
		require.True(t, first.Tentative())
		require.True(t, first.First(), "may be sent unasked")
		go func() {
			time.Sleep(3 * time.Second)
			first.Done(lockout.Unsent)
		}()
		began := time.Now()
		second, err := l.Acquire(t.Context(), "b")
		require.NoError(t, err)
		require.Equal(t, 3*time.Second, time.Since(began))
		require.True(t, second.Tentative())
		require.False(t, second.First(), "was sent before")
	})
}

func TestUnsentTurnChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		turn, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		turn.Done(lockout.Unsent)
		again := l.take("a")
		require.True(t, again.First())
		require.Equal(t, lockout.Tentative, l.State())
	})
}

func TestAcceptedIsTrustedWithoutALimit(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("a", lockout.Accepted)
		require.Equal(t, lockout.Trusted, l.State())
		for range 100 {
			require.False(t, l.take("b").Tentative())
		}
	})
}

func TestAcceptanceReleasesAllWhoWait(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		first := l.take("a")
		for i := range 100 {
			go func() { l.wantWait(fmt.Sprint(i%7), time.Second, lockout.Accepted) }()
		}
		time.Sleep(time.Second)
		require.Equal(t, lockout.Counts{Waiting: 100}, counts(g))
		first.Done(lockout.Accepted)
		synctest.Wait()
		require.Equal(t, lockout.Counts{}, counts(g))
	})
}

// underWay takes turns until one more would wait, and returns them.
func (l login) underWay(target string) (turns []*lockout.Turn) {
	l.t.Helper()
	for {
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Nanosecond)
		turn, err := l.Acquire(ctx, fmt.Sprint(target, len(turns)))
		cancel()
		if err != nil {
			return turns
		}
		require.Less(l.t, len(turns), 100, "no limit")
		turn.Sent()
		turns = append(turns, turn)
	}
}

func end(turns []*lockout.Turn, o lockout.Outcome) {
	for _, turn := range turns {
		turn.Done(o)
	}
}

func TestNoVerdictDoublesWhatMayBeUnderWay(t *testing.T) {
	for _, tt := range []struct {
		desc     string
		outcomes []lockout.Outcome
		want     int
	}{
		{"nothing", nil, 1},
		{"once", []lockout.Outcome{lockout.NoVerdict}, 2},
		{"twice", []lockout.Outcome{lockout.NoVerdict, lockout.NoVerdict}, 4},
		{"unasked pass", []lockout.Outcome{lockout.AcceptedUnasked}, 2},
		{"five times", []lockout.Outcome{lockout.NoVerdict, lockout.NoVerdict, lockout.NoVerdict, lockout.NoVerdict, lockout.NoVerdict}, 4},
		{"loss and then three times", []lockout.Outcome{lockout.Lost, lockout.NoVerdict, lockout.NoVerdict, lockout.NoVerdict}, 3},
		{"two losses", []lockout.Outcome{lockout.Lost, lockout.Lost, lockout.NoVerdict, lockout.NoVerdict, lockout.NoVerdict}, 2},
		{"a loss after", []lockout.Outcome{lockout.NoVerdict, lockout.NoVerdict, lockout.Lost}, 1},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
				for i, o := range tt.outcomes {
					l.use(fmt.Sprint("a", i), o)
					time.Sleep(5 * time.Second)
				}
				turns := l.underWay("b")
				require.Len(t, turns, tt.want)
				end(turns, lockout.Unsent)
			})
		})
	}
}

func TestTenSecondsWithoutAnAnswerWidenOnce(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		first := l.take("a")
		l.wantWait("b", 10*time.Second, lockout.Unsent)
		time.Sleep(time.Hour)
		second := l.underWay("c")
		require.Len(t, second, 1, "the first stays under way")
		first.Done(lockout.NoVerdict)
		third := l.underWay("d")
		require.Len(t, third, 1, "a turn widens once")
		end(append(second, third...), lockout.Unsent)
	})
}

func TestSentAgainStartsTheTenSecondsAnew(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		first := l.take("a")
		time.Sleep(6 * time.Second)
		first.Sent()
		l.wantWait("b", 10*time.Second, lockout.Unsent)
		first.Done(lockout.Unsent)
	})
}

func TestWaitIsAtMostFifteenSeconds(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("a", lockout.NoVerdict, lockout.NoVerdict)
		turns := l.underWay("a")
		require.Len(t, turns, 4)
		l.wantError("b", 15*time.Second, lockout.ReasonBusy, 0)
		end(turns, lockout.Unsent)
	})
}

func TestTurnThatSendsNothingForTenSecondsWidens(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		first, err := l.Acquire(t.Context(), "a") // it may wait for a connection
		require.NoError(t, err)
		l.wantWait("b", 10*time.Second, lockout.Unsent)
		first.Sent()
		time.Sleep(time.Hour)
		second := l.underWay("c")
		require.Len(t, second, 1, "a turn widens once")
		end(append(second, first), lockout.Unsent)
	})
}

func TestWaitEndsWithTheContext(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		turn := l.take("a")
		cause := errors.New("the program is done")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		_, err := l.Acquire(ctx, "b")
		require.Equal(t, cause, err)
		require.Zero(t, counts(g).Waiting)
		turn.Done(lockout.Unsent)
		l.use("b", lockout.Unsent)
	})
}

func TestIdleTargetsGoFirst(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("x", lockout.NoVerdict)
		hang, other := l.take("a"), l.take("b")
		order := l.queue(time.Second, lockout.Unsent, "a", "a", "c")
		other.Done(lockout.Unsent)
		require.Equal(t, "c", <-order)
		require.Equal(t, "a", <-order, "no other is left")
		require.Equal(t, "a", <-order)
		time.Sleep(time.Second)
		hang.Done(lockout.Unsent)
	})
}

func TestInDoubtTargetsThatAcceptedTheSecretGoFirst(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("known", lockout.Accepted)
		l.use("denied", lockout.Refused)
		first := l.take("new1")
		order := l.queue(time.Second, lockout.Unsent, "new2", "new3", "known", "new4")
		first.Done(lockout.Unsent)
		require.Equal(t, "known", <-order)
		time.Sleep(time.Minute)
	})
}

func TestAfterALossOtherTargetsGoFirst(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("closes", lockout.Lost)
		require.Equal(t, "b", <-l.queue(0, lockout.Accepted, "closes", "b"))
	})
}

func TestLossesPauseFourTimesAsLongEach(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("a", lockout.Lost)
		l.wantWait("b", time.Second, lockout.Lost)
		l.wantWait("c", 4*time.Second, lockout.Lost)
		for i, s := range []time.Duration{16, 64, 256, 1024, 1800, 1800} {
			target := fmt.Sprint("d", i)
			require.Equal(t, lockout.Counts{Paused: 1}, counts(g))
			l.wantError(target, 0, lockout.ReasonPaused, s*time.Second)
			time.Sleep(s*time.Second - 14*time.Second)
			l.wantWait(target, 14*time.Second, lockout.Lost)
		}
		time.Sleep(30 * time.Minute)
		l.use("e", lockout.Accepted)
		l.use("e", lockout.Accepted)
	})
}

func TestLossesTogetherOfANewSecretCountEach(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("a", lockout.NoVerdict, lockout.NoVerdict)
		turns := l.underWay("b")
		require.Len(t, turns, 4)
		end(turns, lockout.Lost)
		l.wantError("c", 0, lockout.ReasonPaused, 64*time.Second)
	})
}

func TestLossesTogetherOfATrustedSecretCountOnce(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("a", lockout.Accepted)
		for range 2 {
			var turns []*lockout.Turn
			for range 64 {
				turns = append(turns, l.take("a"))
			}
			end(turns, lockout.Lost)
		}
		require.Equal(t, lockout.Trusted, l.State())
		l.use("a", lockout.Lost)
		require.Equal(t, lockout.Tentative, l.State(), "the third in a row")
		require.Equal(t, lockout.Counts{Doubted: 1}, counts(g))
		l.use("a", lockout.NoVerdict, lockout.NoVerdict)
		end(l.underWay("b"), lockout.Lost) // 4, which count once: a pause of 1 s
		l.wantWait("a", time.Second, lockout.Accepted)
	})
}

func TestThreeLossesInARowPutATrustedSecretInDoubt(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("a", lockout.Accepted, lockout.Lost, lockout.Lost, lockout.Accepted, lockout.Lost, lockout.Lost,
			lockout.NoVerdict, lockout.Unsent)
		require.Equal(t, lockout.Trusted, l.State())
		l.use("a", lockout.Lost)
		require.Equal(t, lockout.Tentative, l.State())
		turn := l.take("a")
		require.True(t, turn.Tentative())
		require.False(t, turn.First())
		turn.Done(lockout.Accepted)
		require.Equal(t, lockout.Trusted, l.State())
	})
}

func TestAcceptedSecretPausesAfterMoreLossesThanWereEverFollowedByAnAcceptance(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.doubt()
		l.use("a", lockout.Lost)
		l.wantWait("a", time.Second, lockout.Lost)
		l.wantWait("a", 4*time.Second, lockout.Accepted)
		l.use("forbidden2", lockout.Refused)
		l.use("a", lockout.Lost, lockout.Lost, lockout.Lost) // two were followed by an acceptance
		l.wantWait("a", time.Second, lockout.Unsent)
	})
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.doubt()
		for range 20 {
			l.use("a", lockout.Lost)
			time.Sleep(30 * time.Minute)
		}
		l.use("a", lockout.Accepted)
		l.use("forbidden2", lockout.Refused)
		for range 9 { // at most 8 without a pause
			l.use("a", lockout.Lost)
		}
		l.wantWait("a", time.Second, lockout.Unsent)
	})
}

func TestAcceptedSecretWaitsForThePause(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.doubt()
		l.use("a", lockout.Lost)
		l.wantWait("a", time.Second, lockout.Lost)
		l.wantWait("a", 4*time.Second, lockout.Lost)
		l.wantError("a", 15*time.Second, lockout.ReasonPaused, time.Second)
	})
}

func TestRefusedPasswordIsTriedOnceMoreAtAnotherTarget(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("a", lockout.Refused)
		require.Equal(t, lockout.Barred, l.State())
		require.Equal(t, lockout.Counts{Barred: 1}, counts(g))
		l.wantError("a", 0, lockout.ReasonRefused, never)
		l.wantError("b", 0, lockout.ReasonRefused, time.Minute)
		time.Sleep(50 * time.Second)
		l.wantError("a", 0, lockout.ReasonRefused, never)
		l.wantWait("b", 10*time.Second, lockout.Refused)
		time.Sleep(24 * time.Hour)
		require.Equal(t, lockout.Barred, l.State())
		l.wantError("c", 0, lockout.ReasonRefused, never)
	})
}

func TestSecondTryOfARefusedPassword(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("forbidden", lockout.Refused)
		time.Sleep(time.Minute)
		require.Equal(t, lockout.Tentative, l.State())
		l.use("b", lockout.Accepted)
		require.Equal(t, lockout.Trusted, l.State(), "the first target was a forbidden one")
	})
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("a", lockout.NoVerdict, lockout.NoVerdict, lockout.Refused)
		time.Sleep(time.Minute)
		turns := l.underWay("b")
		require.Len(t, turns, 1, "whatever was under way before")
		end(turns, lockout.Unsent)
		l.use("b", lockout.NoVerdict)
		l.wantError("b", 0, lockout.ReasonRefused, time.Minute)
		time.Sleep(time.Minute)
		require.Len(t, l.underWay("c"), 1, "never more than one at a time")
	})
}

func TestRefusalByAllThatAreUnderWayIsFinal(t *testing.T) {
	for _, targets := range [][]string{{"a", "b", "c", "d"}, {"a", "a", "a", "a"}} {
		bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
			l.use("x", lockout.NoVerdict, lockout.NoVerdict)
			var turns []*lockout.Turn
			for _, target := range targets {
				turns = append(turns, l.take(target))
			}
			end(turns, lockout.Refused)
			time.Sleep(24 * time.Hour)
			l.wantError("e", 0, lockout.ReasonRefused, never)
		})
	}
}

func TestAcceptanceThatWasUnderWayOutweighsARefusal(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("x", lockout.NoVerdict)
		right, forbidden := l.take("a"), l.take("b")
		forbidden.Done(lockout.Refused)
		right.Done(lockout.Accepted)
		require.Equal(t, lockout.Trusted, l.State())
	})
}

func TestTrustedSecretIsDeniedForItsTarget(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("good", lockout.Accepted)
		l.use("site", lockout.Refused)
		require.Equal(t, lockout.Tentative, l.State(), "in doubt")
		l.wantError("site", 0, lockout.ReasonDenied, time.Minute)
		l.use("good", lockout.Accepted)
		require.Equal(t, lockout.Trusted, l.State())
		l.wantError("site", 0, lockout.ReasonDenied, time.Minute)
		for _, minutes := range []time.Duration{2, 4, 8, 16, 30, 30} {
			time.Sleep(time.Until(l.deniedUntil("site")))
			l.use("site", lockout.Refused)
			require.Equal(t, lockout.Trusted, l.State(), "denied before and never accepted since")
			l.wantError("site", 0, lockout.ReasonDenied, minutes*time.Minute)
		}
		time.Sleep(30 * time.Minute)
		l.use("site", lockout.Accepted, lockout.Refused)
		require.Equal(t, lockout.Tentative, l.State(), "accepted since")
		l.wantError("site", 0, lockout.ReasonDenied, time.Minute)
	})
}

func TestRefusalsTogetherDenyATargetOnce(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("good", lockout.Accepted)
		var turns []*lockout.Turn
		for range 10 {
			turns = append(turns, l.take("site"))
		}
		end(turns, lockout.Refused)
		l.wantError("site", 0, lockout.ReasonDenied, time.Minute)
	})
}

func TestRefusalEndsTheWaitForItsTarget(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("good", lockout.Accepted)
		before := l.take("site")
		l.use("forbidden", lockout.Refused)
		other := l.take("good")
		go l.wantWait("first", 2*time.Second, lockout.Unsent)
		synctest.Wait()
		go l.wantError("site", time.Second, lockout.ReasonDenied, time.Minute)
		time.Sleep(time.Second)
		before.Done(lockout.Refused)
		time.Sleep(time.Second)
		other.Done(lockout.Accepted)
	})
}

func (l login) deniedUntil(target string) time.Time {
	_, err := l.Acquire(l.t.Context(), target)
	e, _ := errors.AsType[*lockout.HeldError](err)
	require.NotNil(l.t, e)
	return e.Until
}

func TestInDoubt(t *testing.T) {
	for _, tt := range []struct {
		desc string
		then func(l login)
		want lockout.State
	}{
		{"refused where it had been accepted", func(l login) { l.use("good", lockout.Refused) }, lockout.Barred},
		{"refused elsewhere", func(l login) { l.use("other", lockout.Refused) }, lockout.Tentative},
		{"refused where it had passed unasked", func(l login) { l.use("passed", lockout.Refused) }, lockout.Barred},
		{"accepted", func(l login) { l.use("other", lockout.Accepted) }, lockout.Trusted},
		{"refused again by the target that began it", func(l login) {
			time.Sleep(time.Minute)
			l.use("forbidden", lockout.Refused)
		}, lockout.Tentative},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
				l.use("good", lockout.Accepted)
				l.use("passed", lockout.AcceptedUnasked)
				l.use("forbidden", lockout.Refused)
				tt.then(l)
				require.Equal(t, tt.want, l.State())
			})
		})
	}
}

func TestInDoubtRefusedElsewhereIsALoss(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.doubt()
		l.use("b", lockout.Refused)
		l.wantError("b", 0, lockout.ReasonDenied, time.Minute)
		l.wantWait("c", time.Second, lockout.Refused)
		l.wantWait("d", 4*time.Second, lockout.Accepted)
	})
}

func TestSameTargetCountsAfterItsMinute(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("api", lockout.Accepted, lockout.Refused)
		l.wantError("api", 0, lockout.ReasonDenied, time.Minute)
		time.Sleep(time.Minute)
		l.use("api", lockout.Refused)
		require.Equal(t, lockout.Barred, l.State())
	})
}

func TestRefusedAfterItWasTrustedIsTriedEveryThirtyMinutes(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.doubt()
		l.use("good", lockout.Refused)
		l.wantError("b", 0, lockout.ReasonRefused, 30*time.Minute)
		for _, o := range []lockout.Outcome{lockout.Refused, lockout.Lost, lockout.NoVerdict} {
			time.Sleep(30 * time.Minute)
			require.Equal(t, lockout.Tentative, l.State())
			turns := l.underWay(fmt.Sprint("b", o))
			require.Len(t, turns, 1)
			end(turns, o)
			require.Equal(t, lockout.Barred, l.State())
			l.wantError("c", 0, lockout.ReasonRefused, 30*time.Minute)
		}
		time.Sleep(30 * time.Minute)
		l.use("c", lockout.Accepted)
		require.Equal(t, lockout.Trusted, l.State(), "the account was unlocked")
	})
}

func TestUnaskedPassSettlesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("a", lockout.AcceptedUnasked)
		require.Equal(t, lockout.Tentative, l.State())
		require.Len(t, l.underWay("a"), 2)
	})
}

func TestWhatWasSentBeforeADoubtOrResetSettlesNothing(t *testing.T) {
	for _, tt := range []struct {
		desc  string
		begin func(g *lockout.Limiter, l login) *lockout.Turn
	}{
		{"Reset", func(g *lockout.Limiter, l login) *lockout.Turn {
			turn := l.take("a")
			g.Reset()
			return turn
		}},
		{"doubt", func(g *lockout.Limiter, l login) *lockout.Turn {
			l.use("good", lockout.Accepted)
			turn := l.take("a")
			l.use("forbidden", lockout.Refused)
			return turn
		}},
	} {
		for _, o := range []lockout.Outcome{lockout.Accepted, lockout.AcceptedUnasked, lockout.Refused, lockout.NoVerdict, lockout.Lost} {
			t.Run(fmt.Sprint(tt.desc, o), func(t *testing.T) {
				bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
					tt.begin(g, l).Done(o)
					require.Equal(t, lockout.Tentative, l.State())
					if o == lockout.Refused {
						l.wantError("a", 0, lockout.ReasonDenied, time.Minute)
					}
					require.Len(t, l.underWay("b"), 1, "neither widened nor paused")
				})
			})
		}
	}
}

func TestWhatWasSentBeforeAResetIsUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		turn := l.take("a")
		time.AfterFunc(12*time.Second, func() { turn.Done(lockout.Refused) })
		g.Reset()
		l.wantWait("b", 12*time.Second, lockout.Accepted)
	})
}

func TestResetForgetsEveryVerdict(t *testing.T) {
	for _, tt := range []struct {
		desc  string
		begin func(l login)
	}{
		{"trusted", func(l login) { l.use("a", lockout.Accepted) }},
		{"refused", func(l login) { l.use("a", lockout.Refused) }},
		{"refused, trusted", func(l login) { l.doubt(); l.use("good", lockout.Refused) }},
		{"lost", func(l login) { l.use("a", lockout.Lost) }},
	} {
		for _, busy := range []bool{false, true} { // also a secret that is in use, and keeps its record
			t.Run(fmt.Sprint(tt.desc, busy), func(t *testing.T) {
				bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
					var old *lockout.Turn
					if busy {
						l.use("x", lockout.NoVerdict)
						old = l.take("y")
					}
					tt.begin(l)
					g.Reset()
					require.Equal(t, lockout.Tentative, l.State())
					require.Equal(t, lockout.Counts{}, counts(g))
					old.Done(lockout.Accepted)
					turns := l.underWay("a")
					require.Len(t, turns, 1)
					require.True(t, turns[0].First())
				})
			})
		}
	}
}

func TestThreeSecretsOfAUserRefusedPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(lockout.Limiter)
		of := func(user, password string) login {
			return login{g.Handle(lockout.Secret{Proxy: "p:1", User: user, Password: password}), t}
		}
		for _, pw := range []string{"1", "2", "3"} {
			of("ann", pw).use("a", lockout.Refused)
		}
		of("bob", "1").use("a", lockout.Lost)
		of("ann", "4").wantWait("a", time.Second, lockout.Refused)
		of("ann", "5").wantWait("a", 4*time.Second, lockout.Refused)
		of("ann", "6").wantError("a", 0, lockout.ReasonPaused, 16*time.Second)
		time.Sleep(16 * time.Second)
		one := of("ann", "6").take("a")
		of("ann", "7").wantError("a", 15*time.Second, lockout.ReasonBusy, 0)
		one.Done(lockout.Accepted)
		for _, pw := range []string{"7", "8"} { // the row is over
			of("ann", pw).use("a", lockout.Refused)
		}
	})
}

func TestRowOfRefusedSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(lockout.Limiter)
		of := func(password string) login {
			return login{g.Handle(lockout.Secret{Proxy: "p:1", User: "ann", Password: password}), t}
		}
		of("1").use("a", lockout.Refused)
		of("2").use("a", lockout.Refused)
		time.Sleep(time.Minute)
		of("1").use("b", lockout.Refused) // counts once
		of("right").use("a", lockout.Accepted)
		for _, pw := range []string{"2", "3", "4"} {
			of(pw).use("b", lockout.Refused) // 2 counts again: a new row
		}
		waits := of("5")
		go waits.wantWait("a", 500*ms, lockout.Unsent)
		time.Sleep(500 * ms)
		of("right").use("a", lockout.Accepted) // ends the pause
		synctest.Wait()
		require.Zero(t, counts(g).Waiting)
	})
}

func TestSecretsOfAUserAtOnceAreAsManyAsMayBeRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(lockout.Limiter)
		var sent atomic.Int32
		for i := range 200 {
			h := g.Handle(lockout.Secret{Proxy: "p:1", User: "ann", Password: fmt.Sprint(i)})
			go func() {
				turn, err := h.Acquire(context.Background(), "a")
				if err != nil {
					return
				}
				sent.Add(1)
				turn.Sent()
				time.Sleep(100 * time.Millisecond)
				turn.Done(lockout.Refused)
			}()
		}
		time.Sleep(time.Second)
		require.EqualValues(t, 3, sent.Load())
		time.Sleep(time.Hour)
		require.EqualValues(t, 5, sent.Load(), "after 1 s and 4 s; the next pause is longer than they wait")
	})
}

func TestSecretIsUnderWayToTwoProxiesAtOnce(t *testing.T) {
	other := func(g *lockout.Limiter, l login, i int) login {
		return login{g.Handle(lockout.Secret{Proxy: fmt.Sprint("proxy", i), User: ann.User, Password: ann.Password}), l.t}
	}
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		first, second := l.take("a"), other(g, l, 2).take("a")
		for i := range 30 {
			go other(g, l, 3+i).wantError("a", 2*time.Second, lockout.ReasonRefused, never)
		}
		time.Sleep(time.Second)
		first.Done(lockout.Refused)
		time.Sleep(time.Second)
		second.Done(lockout.Refused)
		synctest.Wait()
	})
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		first := l.take("a")
		other(g, l, 2).take("a")
		for i := range 30 {
			go other(g, l, 3+i).wantWait("a", time.Second, lockout.Accepted)
		}
		time.Sleep(time.Second)
		first.Done(lockout.Accepted)
		synctest.Wait()
		other(g, l, 40).use("a", lockout.Accepted)
	})
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) { // without an answer
		turns := []*lockout.Turn{l.take("a"), other(g, l, 2).take("a")}
		third := other(g, l, 3)
		third.wantWait("a", 10*time.Second, lockout.NoVerdict)
		third.use("a", lockout.NoVerdict)
		end(turns, lockout.Lost)
		turns = []*lockout.Turn{third.take("a"), other(g, l, 4).take("a")}
		go other(g, l, 5).wantWait("a", time.Second, lockout.Unsent)
		time.Sleep(time.Second)
		end(turns, lockout.Lost)
		synctest.Wait()
	})
}

func TestSecretRefusedByTwoProxiesIsNotSentToAThird(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(lockout.Limiter)
		at := func(proxy, password string) login {
			return login{g.Handle(lockout.Secret{Proxy: proxy, User: "ann", Password: password}), t}
		}
		at("p:1", "x").use("a", lockout.Refused)
		at("p:2", "x").use("a", lockout.Refused)
		require.Equal(t, lockout.Barred, at("p:3", "x").State())
		at("p:3", "x").wantError("a", 0, lockout.ReasonRefused, never)
		at("p:3", "other").use("a", lockout.Accepted)
		time.Sleep(time.Minute)
		at("p:1", "x").use("b", lockout.Accepted) // its second try
		at("p:3", "x").use("a", lockout.Accepted)
	})
}

func TestHandlesOfOneSecretShareItsLimit(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("a", lockout.Refused)
		require.Equal(t, lockout.Barred, g.Handle(ann).State())
		other := ann
		other.User, other.Password = "anns", "3cret"
		require.Equal(t, lockout.Tentative, g.Handle(other).State(), "parts are kept apart")
	})
}

func TestDoneCountsOnce(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		turn := l.take("a")
		turn.Done(lockout.Accepted)
		turn.Done(lockout.Refused)
		turn.Sent()
		require.Equal(t, lockout.Trusted, l.State())
	})
}

func TestNilTurn(t *testing.T) {
	var turn *lockout.Turn
	turn.Sent()
	turn.Done(lockout.Refused)
	require.False(t, turn.Tentative())
	require.False(t, turn.First())
}

func TestSecretIsNeverPrinted(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		require.NotContains(t, fmt.Sprintf(verb, ann), "s3cret", verb)
		require.NotContains(t, fmt.Sprintf(verb, []*lockout.Secret{&ann}), "s3cret", verb)
	}
	b, err := json.Marshal(ann)
	require.NoError(t, err)
	require.NotContains(t, string(b), "s3cret")
}

func TestReasonsHaveTexts(t *testing.T) {
	seen := map[string]bool{}
	for r := lockout.ReasonRefused; r <= lockout.ReasonBusy; r++ {
		text := (&lockout.HeldError{Reason: r}).Error()
		require.NotContains(t, text, "Reason(")
		seen[text] = true
	}
	require.Len(t, seen, 4)
	require.Contains(t, lockout.Reason(9).String(), "Reason(9)")
}

// A program may poll a dead host: the end of a pause is for other targets.
func TestLostTargetLeavesTheEndOfThePauseToOthers(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("dead", lockout.Lost)
		l.wantWait("dead", 2*time.Second, lockout.Lost) // a pause of 1 s
		l.wantWait("dead", 8*time.Second, lockout.Lost) // of 4 s
		l.wantError("dead", 0, lockout.ReasonPaused, 32*time.Second)
		time.Sleep(2 * time.Second)
		l.wantWait("other", 14*time.Second, lockout.Lost)
		l.wantError("dead", 0, lockout.ReasonPaused, 94*time.Second) // 30 s after one of 64 s
	})
}

func TestRefusalRevokesWhatIsUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("a", lockout.NoVerdict) // two may be under way
		first, second := l.take("a"), l.take("b")
		require.False(t, first.Revoked())
		second.Done(lockout.Refused)
		require.True(t, first.Revoked())
		first.Done(lockout.Unsent)
		require.False(t, (*lockout.Turn)(nil).Revoked())
	})
}

func TestDoubtRevokesTurnsWithoutALimit(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("good", lockout.Accepted)
		known, denied := l.take("good"), l.take("denied")
		require.False(t, known.Revoked())
		l.use("denied", lockout.Refused)
		require.True(t, known.Revoked(), "in doubt")
		require.True(t, denied.Revoked())
		l.use("good", lockout.Accepted)
		require.False(t, known.Revoked(), "trusted again")
		require.True(t, denied.Revoked(), "refused for its target")
		time.Sleep(time.Minute)
		require.False(t, denied.Revoked(), "it may be tried again")
		known.Done(lockout.Unsent)
		denied.Done(lockout.Unsent)
	})
}

func TestRefusalOfATrustedSecretAfterResetDeniesItsTarget(t *testing.T) {
	bubble(t, func(t *testing.T, g *lockout.Limiter, l login) {
		l.use("good", lockout.Accepted)
		refused, accepted := l.take("denied"), l.take("good")
		require.True(t, refused.Current())
		g.Reset()
		require.False(t, refused.Current())
		refused.Done(lockout.Refused)
		accepted.Done(lockout.Accepted)
		require.Equal(t, lockout.Tentative, l.State(), "it settles nothing")
		l.wantError("denied", 0, lockout.ReasonDenied, time.Minute)
		l.use("good", lockout.Accepted)
	})
}
