package krb

import (
	"time"

	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

const (
	// endMargin is how long before its end a ticket is not used any more, or a
	// twentieth of its life if that is shorter: it has a way to go, and clocks differ.
	endMargin = 10 * time.Second

	// renewMargin is how long before its end a ticket is renewed, or a tenth
	// of its life if that is shorter.
	renewMargin = 5 * time.Minute

	// newFor is for how long a ticket counts as new.
	newFor = time.Minute
)

// A credential is a ticket and what its owner knows of it. It is not changed once
// it is made.
type credential struct {
	client     principal
	ticket     messages.Ticket
	key        types.EncryptionKey
	start, end time.Time
	obtained   time.Time // zero if it comes from a file
}

// valid reports whether the ticket can be used at t.
func (c *credential) valid(t time.Time) bool {
	return c != nil && t.Add(min(endMargin, c.end.Sub(c.start)/20)).Before(c.end)
}

// isNew reports whether a KDC has issued the ticket a moment ago.
func (c *credential) isNew() bool { return time.Since(c.obtained) < newFor }

// fresh reports whether there is no need to renew the ticket at t.
func (c *credential) fresh(t time.Time) bool {
	if !c.valid(t) {
		return false
	}
	return t.Add(min(renewMargin, c.end.Sub(c.start)/10)).Before(c.end)
}
