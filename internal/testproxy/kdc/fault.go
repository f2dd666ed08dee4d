package kdc

import "sync"

// A Fault is a way to answer no request as it should be.
type Fault int

// The faults of [KDC.SetFault].
const (
	// None answers as it should.
	None Fault = iota

	// Dead accepts connections, reads requests and never answers.
	Dead

	// HangUp closes the connection instead of answering; over UDP it is Dead.
	HangUp

	// Garbage answers with bytes that are not Kerberos.
	Garbage

	// Truncated announces a longer answer than it sends.
	Truncated

	// Oversized announces an answer of 2 GiB, sends a few bytes and waits.
	Oversized

	// NoVerdict answers, but for what proves a password: that is looked at,
	// and counted, and the connection closed.
	NoVerdict
)

// SetFault makes the KDC answer by f from now on.
func (k *KDC) SetFault(f Fault) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fault = f
}

// A Hold keeps requests waiting.
type Hold struct {
	arrived chan struct{}
	release func()
	over    chan struct{}
}

// maxArrivals is how many arrivals a [Hold] remembers for who does not look.
const maxArrivals = 4096

// Hold makes the KDC take requests and answer none until the hold is released.
// Only one hold is on at a time: another one replaces it for new requests.
func (k *KDC) Hold() *Hold {
	over := make(chan struct{})
	h := &Hold{arrived: make(chan struct{}, maxArrivals), over: over}
	h.release = sync.OnceFunc(func() { close(over) })
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hold = h
	return h
}

// Arrived yields a value for each request that is being held.
func (h *Hold) Arrived() <-chan struct{} { return h.arrived }

// Release lets the requests that are held go on, and later ones pass. It may be
// called more than once.
func (h *Hold) Release() { h.release() }

// wait waits until h is released. It returns false if the KDC is closed first.
func (k *KDC) wait() bool {
	k.mu.Lock()
	h := k.hold
	k.mu.Unlock()
	if h == nil {
		return true
	}
	select {
	case h.arrived <- struct{}{}:
	default:
	}
	select {
	case <-h.over:
		return true
	case <-k.ctx.Done():
		return false
	}
}
