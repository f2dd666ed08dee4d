package interop

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Ports for servers come from below the range out of which systems serve
// outgoing connections and listeners on port 0: none of the many connections of
// a test takes one between the look and the server's bind.
const (
	firstPort = 10_000
	lastPort  = 32_000
	portTries = 100
)

var (
	portsMu    sync.Mutex
	portsGiven = make(map[int]bool)
)

// Addr returns a free address on the IPv4 loopback interface. It is not returned
// again during this test run.
func Addr(t testing.TB) string {
	t.Helper()
	portsMu.Lock()
	defer portsMu.Unlock()
	for range portTries {
		port := firstPort + rand.IntN(lastPort-firstPort)
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if !portsGiven[port] && isFree(addr) {
			portsGiven[port] = true
			return addr
		}
	}
	t.Fatalf("no free port among %d tried", portTries)
	return ""
}

func isFree(addr string) bool {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	ln.Close()
	return true
}
