package negotiate

import (
	"strconv"

	"github.com/go-proxyauth/proxyauth"
)

// ForgetProxies forgets what proxies have refused, and keeps the tickets.
func (s *Scheme) ForgetProxies() {
	s.proxies.clear()
	s.wants.clear()
}

// Remember fills a memory with n proxies and returns how many it holds.
func Remember(n int) int {
	var m memory
	for i := range n {
		m.add(strconv.Itoa(i))
	}
	return m.until.Len()
}

// WantsWrapped reports whether the proxy is known to want NTLM inside SPNEGO.
func (s *Scheme) WantsWrapped(ex proxyauth.Exchange) bool { return s.wants.has(memoryKey(ex)) }

// WithoutTicket and WithoutCache return what the hints say on a system.
var (
	WithoutTicket = withoutTicket
	WithoutCache  = withoutCache
)
