package ntlmserver

import "strings"

// An account is a user of the server.
type account struct {
	key      string // in Server.Users
	password string
}

// A record is what the server knows of a user's attempts.
type record struct {
	failures    int // in all
	consecutive int // since the last right one
}

// lookup finds the account that a message names: by domain and user, by a user
// in the form user@realm without a domain, or by user alone, of the server's
// domain.
func (s *Server) lookup(domain, user string) (account, bool) {
	if domain == "" {
		domain = s.domain()
		if i := strings.LastIndexByte(user, '@'); i >= 0 {
			user, domain = user[:i], user[i+1:]
		}
	}
	for key, password := range s.Users {
		d, u, found := strings.Cut(key, `\`)
		if !found {
			d, u = s.domain(), key
		}
		if strings.EqualFold(u, user) && s.sameDomain(d, domain) {
			return account{key, password}, true
		}
	}
	return account{}, false
}

// sameDomain reports whether a client may call a user's domain name.
func (s *Server) sameDomain(domain, name string) bool {
	if strings.EqualFold(domain, name) {
		return true
	}
	return s.DNSDomain != "" && strings.EqualFold(domain, s.domain()) && strings.EqualFold(name, s.DNSDomain)
}

// Failures returns the number of wrong passwords that came for a user, in any
// of the forms that a client may use. Users that don't exist have none.
func (s *Server) Failures(user string) int {
	domain, name, found := strings.Cut(user, `\`)
	if !found {
		domain, name = "", user
	}
	acc, ok := s.lookup(domain, name)
	if !ok {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record(acc).failures
}

// record returns acc's record. s.mu is held.
func (s *Server) record(acc account) *record {
	if s.records == nil {
		s.records = map[string]*record{}
	}
	r := s.records[acc.key]
	if r == nil {
		r = &record{}
		s.records[acc.key] = r
	}
	return r
}

// judge counts an attempt and returns what becomes of it. A user who is locked
// out stays so, yet wrong passwords still count as failures.
func (s *Server) judge(acc account, right bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.record(acc)
	locked := s.LockoutAfter > 0 && r.consecutive >= s.LockoutAfter
	if !right {
		r.failures++
		r.consecutive++
	}
	switch {
	case locked:
		return ErrLockedOut
	case !right:
		return ErrWrongPassword
	}
	r.consecutive = 0
	return nil
}
