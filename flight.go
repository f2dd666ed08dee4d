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

// littlePatience is the same where little is at stake: nothing secret has been sent
// yet, or the proxy has accepted the credentials before and only wants them proved
// anew, because of a new nonce, say.
const littlePatience = 2 * time.Second

// maxLate bounds the doublings.
const maxLate = 2

// atStake reports whether what is asked for next shows the proxy a secret, and whether
// it has accepted that before.
func (p *proxy) atStake() (secret, accepted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.method != nil, p.method != nil && p.method == p.told
}

// A flight is the right to find out what a proxy wants, and to send it
// credentials that are not proved. One request has it at a time.
type flight struct {
	p *proxy

	mu    sync.Mutex
	held  bool
	late  bool // it was lost with a secret on its way, and the answer has not come yet
	timer *time.Timer
}

// takeOff waits for the right, no longer than ctx or its caller. It returns nil, if
// asking is true, where patience has run out and nothing secret is at stake yet: many
// then ask the proxy at once, lest they wait for one after the other of them to give
// up on a proxy that does not answer.
func (p *proxy) takeOff(ctx context.Context, asking bool) (*flight, error) {
	select {
	case p.flight <- struct{}{}:
		return &flight{p: p, held: true}, nil
	default:
	}
	timer := time.NewTimer(littlePatience)
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
	if !f.held || f.timer != nil {
		return
	}
	secret, accepted := f.p.atStake()
	wait := patience
	if !secret || accepted {
		wait = littlePatience
	}
	f.timer = time.AfterFunc(wait<<min(f.p.late.Load(), maxLate), func() { f.lose(secret) })
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

func (f *flight) lose(secret bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.held {
		return
	}
	f.held = false
	if secret {
		f.late = true
		f.p.late.Add(1)
	}
	<-f.p.flight
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

// begin takes up what is known of the proxy. While nothing is, or credentials
// are not proved, it waits for the request that is finding out.
func (a *attempt) begin(ctx context.Context) error {
	if a.within = isWithin(ctx, a.p); a.within || a.takeUp(false) {
		return nil
	}
	f, err := a.p.takeOff(ctx, true)
	if f == nil || err != nil {
		return err
	}
	if a.takeUp(true) {
		f.land()
		return nil
	}
	a.flight = f
	a.method, _ = a.p.current()
	return nil
}

// takeUp reports whether the attempt can go ahead with what is known: a method
// that is proved, or that none has been needed or could be had so far.
func (a *attempt) takeUp(leading bool) bool {
	p := a.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proved {
		a.method = p.method
		return true
	}
	return p.contacted && p.method == nil && (leading || len(p.flight) == 0)
}

// hurry bounds, until rest is called, for how long the others wait for this
// attempt, if they do.
func (a *attempt) hurry() {
	if a.flight != nil {
		a.flight.hurry()
	}
}

// rest ends what hurry began.
func (a *attempt) rest() {
	if a.flight != nil {
		a.flight.rest()
	}
}

// end gives up what the attempt holds.
func (a *attempt) end() {
	if a.flight != nil {
		a.flight.land()
		a.flight = nil
	}
}

// holds reports whether the attempt has a flight that it has not lost.
func (a *attempt) holds() bool {
	if a.flight != nil && a.flight.isLost() {
		a.end()
	}
	return a.flight != nil
}
