package connpool

// Counts returns what the pool counts: connections and dials for MaxConnsPerHost, available
// connections, waiters, and connections about to be closed.
func (p *Pool) Counts() (open, available, waiting, leaving int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open, len(p.available), len(p.waiting), p.leaving
}
