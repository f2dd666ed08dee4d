package negotiate

import "github.com/go-proxyauth/proxyauth"

// ForgetProxies forgets what proxies have refused, and keeps the tickets.
func (s *Scheme) ForgetProxies() {
	s.proxies.clear()
	s.wants.clear()
}

// WantsWrapped reports whether the proxy is known to want NTLM inside SPNEGO.
func (s *Scheme) WantsWrapped(ex proxyauth.Exchange) bool { return s.wants.has(memoryKey(ex)) }
