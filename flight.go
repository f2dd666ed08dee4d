package proxyauth

import (
	"context"
	"sync"
	"time"
)

// patience is for how long the others wait for one request that finds out what a
// proxy wants, or proves credentials. The proxy's own answer comes at once; only
// an origin server that keeps the request waiting, or that the proxy can't
// connect to, takes longer, and it says nothing about the credentials.
const patience = 10 * time.Second

// A flight is the right to find out what a proxy wants, and to send it
// credentials that are not proved. One request has it at a time.
type flight struct {
	once  sync.Once
	slot  chan struct{}
	timer *time.Timer
}

// takeOff waits for the right, no longer than ctx. It returns nil, if asking is
// true, where patience has run out and nothing secret is at stake yet: many then
// ask the proxy at once, lest they wait for one after the other of them to give up
// on a proxy that does not answer.
func (p *proxy) takeOff(ctx context.Context, asking bool) (*flight, error) {
	select {
	case p.flight <- struct{}{}:
		return &flight{slot: p.flight}, nil
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case p.flight <- struct{}{}:
			return &flight{slot: p.flight}, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-timer.C:
			if m, _ := p.current(); asking && m == nil {
				return nil, nil
			}
		}
	}
}

// landWithin gives the right up after d, whatever happens until then.
func (f *flight) landWithin(d time.Duration) {
	if f.timer == nil {
		f.timer = time.AfterFunc(d, func() { f.once.Do(f.free) }) // by then, f.timer may not be set
	}
}

func (f *flight) free() { <-f.slot }

// land gives the right up. It may be called more than once.
func (f *flight) land() {
	f.once.Do(func() {
		if f.timer != nil {
			f.timer.Stop()
		}
		f.free()
	})
}
