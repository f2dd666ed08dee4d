package kdc

import (
	"time"

	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// A Forgery says what is wrong in the replies of a KDC, which are well made
// otherwise. The zero value is nothing.
type Forgery struct {
	// OtherNonce answers with a nonce that is not the request's.
	OtherNonce bool

	// Client and Realm, if not empty, take the place of the client's name and
	// realm.
	Client, Realm string

	// Service, if not empty, takes the place of the service's name in what the client is
	// told under its key, and Outer of the name on the ticket, which anybody can change.
	Service, Outer string

	// AuthTime is added to the time of the authentication.
	AuthTime time.Duration
}

// SetForgery makes the KDC's replies wrong from now on.
func (k *KDC) SetForgery(f Forgery) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forgery = f
}

// address changes the name on a ticket.
func (f Forgery) address(ticket *messages.Ticket) {
	if f.Outer != "" {
		ticket.SName = types.NewPrincipalName(ntServiceInstance, f.Outer)
	}
}

// apply changes what g is about to tell, and returns the nonce to tell.
func (f Forgery) apply(g *grant, nonce int) int {
	if f.Client != "" {
		g.client = types.NewPrincipalName(ntPrincipal, f.Client)
	}
	if f.Realm != "" {
		g.realm = f.Realm
	}
	if f.Service != "" {
		g.sname = types.NewPrincipalName(ntServiceInstance, f.Service)
	}
	g.authTime = g.authTime.Add(f.AuthTime)
	if f.OtherNonce {
		nonce ^= 1
	}
	return nonce
}
