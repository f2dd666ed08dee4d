package notify_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/notify"
)

const (
	most = 64          // notices that wait
	wait = time.Second // for the notices before a question
)

// An observer takes numbered notices. The notice of stop does not return before resume is
// called.
type observer struct {
	queue   notify.Queue
	resumed chan struct{}

	mu   sync.Mutex
	seen []int
}

func newObserver() *observer { return &observer{resumed: make(chan struct{})} }

func (o *observer) add(n int) {
	o.queue.Add(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.seen = append(o.seen, n)
	})
}

func (o *observer) stop() {
	o.queue.Add(func() { <-o.resumed })
	synctest.Wait() // until it has begun
}

func (o *observer) resume() { close(o.resumed) }

// took returns the numbers of the notices in their order.
func (o *observer) took() []int {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen
}

// numbers returns the numbers from one to another, which is not among them.
func numbers(from, to int) (list []int) {
	for n := from; n < to; n++ {
		list = append(list, n)
	}
	return list
}

func TestOrderAndBound(t *testing.T) {
	for _, tt := range []struct {
		desc  string
		added int
		want  []int
	}{
		{"none", 0, nil},
		{"one", 1, numbers(0, 1)},
		{"as many as wait", most, numbers(0, most)},
		{"one too many", most + 1, numbers(1, most+1)},
		{"far too many", 10 * most, numbers(9*most, 10*most)},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newObserver()
				o.stop()
				for n := range tt.added {
					o.add(n)
				}
				require.Empty(t, o.took())
				o.resume()
				require.Equal(t, tt.want, o.took())
			})
		})
	}
}

// An observer that takes its notices loses none of them, however many there are.
func TestNothingIsLostOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newObserver()
		for n := range 5 * most {
			o.add(n)
			synctest.Wait()
		}
		require.Equal(t, numbers(0, 5*most), o.took())
	})
}

func TestNoticesComeOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var queue notify.Queue
		var running, count atomic.Int32
		var adding sync.WaitGroup
		for range most {
			adding.Go(func() {
				queue.Add(func() {
					if running.Add(1) != 1 {
						t.Error("two at a time")
					}
					time.Sleep(time.Millisecond)
					running.Add(-1)
					count.Add(1)
				})
			})
		}
		adding.Wait()
		time.Sleep(time.Second)
		require.EqualValues(t, most, count.Load())
	})
}

func TestWait(t *testing.T) {
	for _, tt := range []struct {
		desc string
		last time.Duration // how long the notice before takes; zero for none
		ctx  time.Duration // how long the context lasts
		want time.Duration
	}{
		{"nothing to wait for", 0, time.Hour, 0},
		{"notice", 300 * time.Millisecond, time.Hour, 300 * time.Millisecond},
		{"slow notice", time.Hour, 2 * time.Hour, wait},
		{"context", time.Hour, 200 * time.Millisecond, 200 * time.Millisecond},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var queue notify.Queue
				if tt.last > 0 {
					queue.Add(func() { time.Sleep(tt.last) })
				}
				ctx, cancel := context.WithTimeout(t.Context(), tt.ctx)
				defer cancel()
				start := time.Now()
				queue.Wait(ctx)
				require.Equal(t, tt.want, time.Since(start))
				time.Sleep(tt.last)
			})
		})
	}
}

// A notice that hangs costs its second once, and the next one has a second of its own.
func TestNoticeThatHangsIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var queue notify.Queue
		resume := make(chan struct{})
		for range 2 {
			queue.Add(func() { <-resume })
			synctest.Wait()
			start := time.Now()
			for range 10 {
				queue.Wait(t.Context())
			}
			require.Equal(t, wait, time.Since(start))
			resume <- struct{}{}
			synctest.Wait()
		}
	})
}

// A question comes after all notices before it, and several questions wait for them at
// once.
func TestQuestionsComeAfterNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newObserver()
		o.stop()
		o.add(1)
		o.add(2)
		var questions sync.WaitGroup
		for range 5 {
			questions.Go(func() {
				o.queue.Wait(t.Context())
				o.mu.Lock()
				defer o.mu.Unlock()
				if len(o.seen) != 2 {
					t.Errorf("notices before the question: %v", o.seen)
				}
			})
		}
		synctest.Wait()
		o.resume()
		questions.Wait()
	})
}

// An observer may cause further notices.
func TestNoticeAddsANotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newObserver()
		o.queue.Add(func() { o.add(2) })
		o.queue.Wait(t.Context())
		require.Equal(t, []int{2}, o.took())
		o.add(3) // when the queue has been empty
		require.Equal(t, []int{2, 3}, o.took())
	})
}

// A notice that does not return holds up no other event.
func TestAddDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newObserver()
		o.stop()
		start := time.Now()
		for n := range 1000 {
			o.add(n)
		}
		require.Zero(t, time.Since(start))
		o.resume()
		require.Len(t, o.took(), most)
	})
}

// A notice may end its goroutine, as t.FailNow does.
func TestNoticeEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newObserver()
		o.queue.Add(runtime.Goexit)
		o.add(1)
		require.Equal(t, []int{1}, o.took())
		start := time.Now()
		o.queue.Wait(t.Context())
		require.Zero(t, time.Since(start))
	})
}
