package proxyauth

import (
	"net/http"
	"sync"
)

// freeHosts are the hosts for which a proxy asks nothing although it does for others:
// ones that it lets pass, or blocks, whoever asks. Requests to them take connections
// that are authenticated for nobody, apart from those that are. The zero value is
// empty.
type freeHosts struct {
	mu    sync.Mutex
	known map[string]bool // false after it has asked all the same
}

// maxFreeHosts bounds the memory of hosts; a full one is emptied.
const maxFreeHosts = 1 << 10

func (h *freeHosts) has(host string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known[host]
}

// any reports whether there is one.
func (h *freeHosts) any() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.known) > 0
}

// add notes that the proxy has asked nothing for host. It returns false if it has
// before, and asked all the same.
func (h *freeHosts) add(host string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if free, ok := h.known[host]; ok {
		return free
	}
	if h.known == nil || len(h.known) >= maxFreeHosts {
		h.known = make(map[string]bool)
	}
	h.known[host] = true
	return true
}

// remove notes that the proxy has asked for host after all.
func (h *freeHosts) remove(host string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known[host] {
		h.known[host] = false
	}
}

// isFree reports whether the request goes to a host for which the proxy asks nothing.
func (f *forwarding) isFree() bool { return f.p.free.has(hostOf(f.req)) }

// hostOf returns the host that a forwarded request goes to, as the proxy sees it.
func hostOf(req *http.Request) string {
	if req.Host != "" {
		return req.Host
	}
	return req.URL.Host
}
