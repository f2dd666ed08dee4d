package lockout_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/lockout"
)

const ms = time.Millisecond

// At one instant of a bubble timers fire, and goroutines run, in any order. So that a test
// plays the same each time it runs, the nth request does everything n ns after a whole
// number of slots, when no other does anything.
const slot = 100 * time.Microsecond

// An answer of the proxy, and its directory, to an authorization.
type answer struct {
	after time.Duration
	what  lockout.Outcome
}

func accepts(d time.Duration) answer   { return answer{d, lockout.Accepted} }
func refuses(d time.Duration) answer   { return answer{d, lockout.Refused} }
func status5xx(d time.Duration) answer { return answer{d, lockout.NoVerdict} }
func closes(d time.Duration) answer    { return answer{d, lockout.Lost} }

var (
	errDown = errors.New("the proxy is down")
	errPeer = errors.New("refused or lost")
)

// A world is a program whose requests go through one proxy, and what is counted there.
type world struct {
	t          *testing.T
	g          *lockout.Limiter
	start      time.Time
	preemptive bool
	// proxy answers the nth authorization.
	proxy func(n int, target, password string) answer
	// anonymous answers a request without authorization: Refused is a challenge, Accepted
	// exempt, Lost a closed connection. Nil challenges.
	anonymous func(target string) lockout.Outcome
	// connect takes a connection, after the turn; nil always can.
	connect func() error

	mu           sync.Mutex
	handles      map[string]*lockout.Handle
	requests     int
	sent         int
	refused      []time.Duration // since start
	lost         []time.Duration
	underWay     int // tentative
	mostUnderWay int
	accepted     time.Time // first acceptance
	good         int
	unlucky      map[string]int // errors of healthy requests
	waits        []time.Duration
	lateWaits    int // waits of healthy requests after the first acceptance
	row, longest int // tentative losses and refusals in a row; the longest that an acceptance followed
	mayFail      int // requests of 64 workers, in pauses that are longer than a wait
}

// play runs f, and two hours on, in a bubble, in parallel with other tests.
func play(t *testing.T, desc string, f func(w *world)) {
	t.Helper()
	t.Run(desc, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, g: new(lockout.Limiter), start: time.Now(), handles: map[string]*lockout.Handle{}, unlucky: map[string]int{}}
			f(w)
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			require.Zero(t, counts(w.g).Waiting)
			require.Zero(t, w.underWay)
		})
	})
}

func (w *world) since() time.Duration { return time.Since(w.start) }

func (w *world) handle(password string) *lockout.Handle {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.handles[password] == nil {
		w.handles[password] = w.g.Handle(lockout.Secret{Proxy: "p:1", User: "ann", Password: password})
	}
	return w.handles[password]
}

// wrong is a request that can't succeed, healthy one that would without the Limiter.
func (w *world) wrong(target string) error   { return w.do(context.Background(), "pw", target, false) }
func (w *world) healthy(target string) error { return w.do(context.Background(), "pw", target, true) }

func (w *world) do(ctx context.Context, password, target string, healthy bool) error {
	w.mu.Lock()
	w.requests++
	number := time.Duration(w.requests) % slot
	w.mu.Unlock()
	err := w.request(ctx, number, w.handle(password), password, target, healthy)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.good++
	} else if healthy {
		w.unlucky[err.Error()]++
	}
	return err
}

func (w *world) request(ctx context.Context, number time.Duration, h *lockout.Handle, password, target string, healthy bool) error {
	w.await(number)
	asked := false
	if h.State() == lockout.Tentative && !w.preemptive {
		if done, err := w.withoutAuthorization(target); done {
			return err
		}
		asked = true
	}
	turn, err := w.acquire(ctx, h, target, healthy)
	w.await(number)
	if err != nil {
		return err
	}
	if w.connect != nil {
		if err := w.connect(); err != nil {
			turn.Done(lockout.Unsent)
			return err
		}
		w.await(number)
	}
	if turn.Tentative() && !asked && !(w.preemptive && turn.First()) {
		if done, err := w.withoutAuthorization(target); done {
			turn.Done(lockout.Unsent)
			return err
		}
		asked = true
	}
	return w.send(ctx, turn, target, password, asked)
}

// await waits for the next instant at which the request with this number may act.
func (w *world) await(number time.Duration) {
	time.Sleep((number - w.since()%slot + slot) % slot)
}

func (w *world) withoutAuthorization(target string) (done bool, err error) {
	time.Sleep(5 * ms)
	if w.anonymous != nil {
		switch w.anonymous(target) {
		case lockout.Accepted:
			return true, nil
		case lockout.Lost:
			return true, errDown
		}
	}
	return false, nil
}

func (w *world) acquire(ctx context.Context, h *lockout.Handle, target string, healthy bool) (*lockout.Turn, error) {
	began := time.Now()
	turn, err := h.Acquire(ctx, target)
	if wait := time.Since(began); healthy {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.waits = append(w.waits, wait)
		if !w.accepted.IsZero() && began.After(w.accepted) && wait > 0 {
			w.lateWaits++
		}
	}
	return turn, err
}

func (w *world) send(ctx context.Context, turn *lockout.Turn, target, password string, asked bool) error {
	turn.Sent()
	a := w.proxy(w.begin(turn), target, password)
	a.after = a.after.Truncate(slot)
	if a.what == lockout.Accepted && !asked && w.preemptive {
		a.what = lockout.AcceptedUnasked
	}
	answered := make(chan error, 1)
	if turn.Tentative() { // goes on without its caller, for a minute at most
		time.AfterFunc(min(a.after, time.Minute), func() {
			if a.after > time.Minute {
				a.what = lockout.Lost
			}
			answered <- w.end(turn, a)
		})
		select {
		case err := <-answered:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	timer := time.NewTimer(a.after)
	defer timer.Stop()
	select {
	case <-timer.C:
		return w.end(turn, a)
	case <-ctx.Done():
		turn.Done(lockout.Unsent)
		return context.Cause(ctx)
	}
}

func (w *world) begin(turn *lockout.Turn) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent++
	if turn.Tentative() {
		w.underWay++
		w.mostUnderWay = max(w.mostUnderWay, w.underWay)
	}
	return w.sent
}

func (w *world) end(turn *lockout.Turn, a answer) (err error) {
	w.mu.Lock()
	if turn.Tentative() {
		w.underWay--
		w.count(a.what)
	}
	switch a.what {
	case lockout.Refused:
		w.refused, err = append(w.refused, w.since()), errPeer
	case lockout.Lost:
		w.lost, err = append(w.lost, w.since()), errPeer
	case lockout.Accepted:
		if w.accepted.IsZero() {
			w.accepted = time.Now()
		}
	}
	w.mu.Unlock()
	turn.Done(a.what)
	return err
}

// count restates when a secret that was accepted before pauses: after more losses in a
// row, or refusals at new targets, than were ever followed by an acceptance, for 1, 4, 16,
// 64 s and so on. A request waits for 15 s, so that those of one worker fail at most twice
// in a pause of 16 s.
func (w *world) count(o lockout.Outcome) {
	switch o {
	case lockout.Accepted:
		w.row, w.longest = 0, max(w.longest, w.row)
	case lockout.Refused, lockout.Lost:
		w.row++
		if n := w.row - min(8, w.longest); n >= 3 {
			w.mayFail += 64 * (1 + 1<<(2*(n-1))/15)
		}
	}
}

// crawl has 64 workers make n requests, after an acceptance.
func (w *world) crawl(n int, name func(i int) string) {
	w.proxy = byName
	w.healthy("host")
	workers(n, func(i int) {
		target := name(i)
		w.do(context.Background(), "pw", target, isHost(target))
	})
}

// failed counts the healthy requests that failed.
func (w *world) failed() (n int) {
	for _, some := range w.unlucky {
		n += some
	}
	return n
}

// lostIn counts the turns that were lost in the first d.
func (w *world) lostIn(d time.Duration) (n int) {
	for _, at := range w.lost {
		if at <= d {
			n++
		}
	}
	return n
}

// wantBudget wants what holds for a secret that was never accepted, whatever a peer
// does.
func (w *world) wantBudget(underWay int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	require.LessOrEqual(w.t, w.mostUnderWay, underWay, "under way at once")
	require.LessOrEqual(w.t, len(w.refused), min(4, w.mostUnderWay+1), "refused")
	require.LessOrEqual(w.t, w.lostIn(time.Minute), 4, "lost in the first minute")
	require.LessOrEqual(w.t, w.lostIn(time.Hour), 10, "lost in the first hour")
}

// wantHealthy wants that no healthy request failed, that none waited longer than the
// first wait, and that none waited after the first acceptance but for late in a
// thousand.
func (w *world) wantHealthy(first time.Duration, late int) {
	w.t.Helper()
	require.Empty(w.t, w.unlucky, "healthy requests failed")
	w.wantWaits(first, late)
}

func (w *world) wantWaits(first time.Duration, late int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	require.NotEmpty(w.t, w.waits)
	require.LessOrEqual(w.t, slices.Max(w.waits), first, "longest wait")
	require.LessOrEqual(w.t, w.lateWaits*1000, late*len(w.waits), "%d of %d waited after the first acceptance", w.lateWaits, len(w.waits))
}

// burst makes n requests at once, a nanosecond apart.
func burst(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			time.Sleep(time.Duration(i + 1))
			f(i)
		})
	}
	wg.Wait()
}

// steady makes rate requests a second for d.
func steady(rate int, d time.Duration, f func(i int)) {
	every(time.Second/time.Duration(rate), d, f)
}

func every(interval, d time.Duration, f func(i int)) {
	var wg sync.WaitGroup
	for i := range int(d / interval) {
		wg.Go(func() { f(i) })
		time.Sleep(interval)
	}
	wg.Wait()
}

// hour makes requests for an hour: a burst, many for two minutes, then fewer.
func hour(atOnce, rate int, f func(i int)) {
	var wg sync.WaitGroup
	wg.Go(func() { burst(atOnce, f) })
	steady(rate, 2*time.Minute, f)
	every(3*time.Second, 58*time.Minute, f)
	wg.Wait()
}

// workers share n jobs among 64.
func workers(n int, f func(i int)) {
	jobs := make(chan int, n)
	for i := range n {
		jobs <- i
	}
	close(jobs)
	burst(64, func(int) {
		for i := range jobs {
			f(i)
		}
	})
}

// workFor has 64 workers make requests for d, with a pause between them, longer after
// an error.
func workFor(d, pause time.Duration, f func(i int) error) {
	end := time.Now().Add(d)
	burst(64, func(j int) {
		for i := j; time.Now().Before(end); i += 64 {
			if f(i) != nil {
				time.Sleep(5 * time.Second)
			}
			time.Sleep(pause)
		}
	})
}

func within(d time.Duration, f func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	f(ctx)
}

// random is deterministic for a number.
func random(n int) *rand.Rand { return rand.New(rand.NewPCG(uint64(n), 7)) }

// latency of the nth answer: 30 to 370 ms.
func latency(n int) time.Duration { return time.Duration(30+random(n).IntN(340)) * ms }

func host(i int) string { return fmt.Sprint("host", i) }

// some names the ith host kind if chance, in percent, has it so, or a plain host.
func some(kind string, chance, i int) string {
	if random(i+1000).IntN(100) < chance {
		return fmt.Sprint(kind, i)
	}
	return host(i)
}

// byName answers as the name of a target says.
func byName(n int, target, _ string) answer {
	switch kind(target) {
	case "dead":
		return status5xx(30 * time.Second)
	case "stat":
		return status5xx(latency(n))
	case "clos":
		return closes(latency(n))
	case "deny":
		return refuses(latency(n))
	}
	return accepts(latency(n))
}

func isHost(target string) bool { return kind(target) == "host" }

func kind(target string) string { return strings.TrimRight(target, "0123456789") }
