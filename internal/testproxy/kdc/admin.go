package kdc

import "slices"

// Counts says what the KDC was asked and what it answered.
type Counts struct {
	ASRequests      int // AS-REQ messages, each try
	PreauthRequired int // of which answered by KDC_ERR_PREAUTH_REQUIRED
	PreauthFailed   int // of which with a wrong key: what locks accounts
	TGTs            int // of which answered by a ticket, whichever it was for
	TGSRequests     int // TGS-REQ messages
	ServiceTickets  int // of which answered by a ticket
	Renewals        int // of which for the renewal of a ticket
	Forwards        int // of which for a ticket to delegate, all refused
}

// Total returns the counts of all requests, those by unknown clients included.
func (k *KDC) Total() Counts {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.total
}

// Counts returns the counts of the requests that the client made.
func (k *KDC) Counts(client string) Counts {
	var counts Counts
	k.change(client, func(p *principal) { counts = p.counts })
	return counts
}

// Offered returns the encryption types of the last request that the client
// made, in its order.
func (k *KDC) Offered(client string) []int32 {
	var offered []int32
	k.change(client, func(p *principal) { offered = slices.Clone(p.offered) })
	return offered
}

// count changes the total and, if p is not nil, the counts of p. The caller
// holds k.mu.
func (k *KDC) count(p *principal, change func(*Counts)) {
	change(&k.total)
	if p != nil {
		change(&p.counts)
	}
}

// SetPassword changes a password, and with it the version number of the keys.
func (k *KDC) SetPassword(name, password string) {
	k.change(name, func(p *principal) {
		p.Password = password
		p.KVNO++
		clear(p.keys)
	})
}

// Expire says whether the principal's password has expired.
func (k *KDC) Expire(name string, expired bool) {
	k.change(name, func(p *principal) { p.Expired = expired })
}

// Lock locks a principal, or unlocks it and forgets its failures.
func (k *KDC) Lock(name string, locked bool) {
	k.change(name, func(p *principal) { p.Locked, p.failures = locked, 0 })
}

// Locked reports whether a principal is locked.
func (k *KDC) Locked(name string) bool {
	var locked bool
	k.change(name, func(p *principal) { locked = p.Locked })
	return locked
}

// Refuse sets [Principal.Refuse]. Zero serves the principal again.
func (k *KDC) Refuse(name string, code int32) {
	k.change(name, func(p *principal) { p.Refuse = code })
}

// Remove makes the KDC forget a principal.
func (k *KDC) Remove(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.principals, name)
}

func (k *KDC) change(name string, change func(*principal)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p, ok := k.principals[name]; ok {
		change(p)
	}
}
