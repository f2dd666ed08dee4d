package proxyauth

import (
	"context"
	"sync"
	"time"
)

// patience is for how long the others wait for the answer to one request that
// finds out what a proxy wants, or proves credentials. The proxy's own comes at
// once, as a rule; an origin server that keeps the request waiting, or that the
// proxy can't connect to, takes longer, and says nothing about the credentials.
//
// It is twice as long for each proof that is still without an answer: a directory
// may be slow to refuse them.
const patience = 10 * time.Second

// maxLate bounds the doublings of patience.
const maxLate = 10

// A flight is the right to find out what a proxy wants, and to send it
// credentials that are not proved. One request has it at a time.
type flight struct {
	p *proxy

	mu    sync.Mutex
	held  bool
	late  bool // it was lost to impatience, and the answer has not come yet
	timer *time.Timer
}

// takeOff waits for the right, no longer than ctx or its caller. It returns nil, if asking is
// true, where patience has run out and nothing secret is at stake yet: many then
// ask the proxy at once, lest they wait for one after the other of them to give up
// on a proxy that does not answer.
func (p *proxy) takeOff(ctx context.Context, asking bool) (*flight, error) {
	select {
	case p.flight <- struct{}{}:
		return &flight{p: p, held: true}, nil
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	caller := callerOf(ctx)
	for {
		select {
		case p.flight <- struct{}{}:
			return &flight{p: p, held: true}, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-caller.Done():
			return nil, context.Cause(caller)
		case <-timer.C:
			if m, _ := p.current(); asking && m == nil {
				return nil, nil
			}
		}
	}
}

// hurry gives the right up when patience has run out, unless rest or land is
// called before.
func (f *flight) hurry() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held && f.timer == nil {
		f.timer = time.AfterFunc(patience<<min(f.p.late.Load(), maxLate), f.lose)
	}
}

// rest ends what hurry began: the answer has come, and what is done with it, such as
// asking the user, takes the time it takes.
func (f *flight) rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stop()
}

func (f *flight) stop() {
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
}

func (f *flight) lose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held {
		f.held, f.late = false, true
		f.p.late.Add(1)
		<-f.p.flight
	}
}

// isLost reports whether the right has been given up.
func (f *flight) isLost() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.held
}

// land gives the right up. It may be called more than once.
func (f *flight) land() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stop()
	if f.held {
		f.held = false
		<-f.p.flight
	}
	if f.late {
		f.late = false
		f.p.late.Add(-1)
	}
}
