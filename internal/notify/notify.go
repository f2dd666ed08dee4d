// Package notify tells somebody of events, one at a time and in order, without holding up
// those who cause them.
package notify

import (
	"context"
	"sync"
	"time"
)

const (
	// maxNotices bounds the notices for an observer that does not take them.
	maxNotices = 64

	// noticeWait is how long a question waits for the notices before it.
	noticeWait = time.Second
)

// A Queue tells an observer of events, one at a time and in order, in a goroutine that ends
// when nothing is left. The zero value is empty. A Queue may be used by several goroutines,
// and by the notices.
type Queue struct {
	mu    sync.Mutex
	queue []func()
	done  chan struct{} // closed when the queue is empty, nil if it is
	taken int           // notices that have begun
	late  int           // taken when a question had waited in vain for the last of them
}

// Add queues a notice, which is called later. If 64 wait already, the oldest of them is
// dropped.
func (n *Queue) Add(notice func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) == maxNotices {
		n.queue = n.queue[1:]
	}
	n.queue = append(n.queue, notice)
	if n.done == nil {
		n.done = make(chan struct{})
		go n.run()
	}
}

func (n *Queue) run() {
	ended := false
	defer func() {
		if !ended { // a notice has ended its goroutine
			go n.run()
		}
	}()
	for {
		n.mu.Lock()
		if len(n.queue) == 0 {
			close(n.done)
			n.done = nil
			n.mu.Unlock()
			ended = true
			return
		}
		notice := n.queue[0]
		n.queue = n.queue[1:]
		n.taken++
		n.mu.Unlock()
		notice()
	}
}

// Wait waits until the notices before a question have returned and none is left, for 1 s at
// most, or until ctx ends. It does not wait for a notice that another question has waited 1 s
// for. A notice should not call it: it would wait for itself.
func (n *Queue) Wait(ctx context.Context) {
	n.mu.Lock()
	done, taken, late := n.done, n.taken, n.late
	n.mu.Unlock()
	if done == nil || taken == late && taken > 0 {
		return
	}
	timer := time.NewTimer(noticeWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		n.mu.Lock()
		if n.taken == taken {
			n.late = taken
		}
		n.mu.Unlock()
	case <-ctx.Done():
	}
}
