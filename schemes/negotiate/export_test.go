package negotiate

// ForgetProxies forgets what proxies have refused, and keeps the tickets.
func (s *Scheme) ForgetProxies() {
	s.proxies.clear()
	s.wants.clear()
}
