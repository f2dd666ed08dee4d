package proxyauth

import (
	"sync/atomic"
	"time"
)

// A habit is what is learned of how a proxy treats a scheme: above all one that
// binds the connection.
type habit struct {
	// depth is how many authorizations the proxy goes on after although each
	// could have been the last: it has chosen another mechanism inside
	// Negotiate, say. The request is held back until it has done so.
	depth atomic.Int32

	// wary says that a body was lost to a refusal that said nothing of the
	// credentials. Until the proxy has accepted some, each request is held
	// back until its connection is authenticated.
	wary atomic.Bool

	// perRequest says that the proxy wants an authorization with each request
	// (mod_auth_gssapi without GssapiConnectionBound).
	perRequest atomic.Bool

	// bound says that the proxy does not.
	bound atomic.Bool

	// grade is the greatest one of a [Grader] that the proxy has asked for.
	grade atomic.Int64
}

// wentOn notes that the proxy has gone on after the n-th authorization of a
// handshake, which could have been the last.
func (h *habit) wentOn(n int32) { h.depth.Store(max(n, h.depth.Load())) }

// promptly is the time within which a proxy does not forget that a connection is
// authenticated: if it asks again, it asks for each request.
const promptly = 5 * time.Second

// A usage is what tells a boundConn how often it is used.
type usage struct {
	single   bool         // the authorization took a single leg
	requests atomic.Int32 // begun
	answered atomic.Int64 // when the first was answered, in Unix nanoseconds
	prompt   atomic.Bool  // the second one began soon after
}

// begun notes that a request begins, on a connection that belongs to m.
func (u *usage) begun(h *habit) {
	switch u.requests.Add(1) {
	case 2:
		u.prompt.Store(time.Since(time.Unix(0, u.answered.Load())) < promptly)
	case 3:
		h.bound.Store(true)
	}
}

// askedAgain takes a challenge to a request on an authenticated connection.
func (u *usage) askedAgain(h *habit) {
	if u.single && u.requests.Load() == 2 && u.prompt.Load() && !h.bound.Load() {
		h.perRequest.Store(true)
	}
}
