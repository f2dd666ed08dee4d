package negotiate

import (
	"sync"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/lru"
)

const (
	// maxRemembered bounds the proxies and users that are remembered. All users of a program
	// may come at once, and each has to find its proxy remembered when it comes again.
	maxRemembered = 1 << 14

	// rememberFor is for how long a proxy is remembered.
	rememberFor = 10 * time.Minute
)

// A memory holds the proxies that have refused something without a word about
// what they would take instead, and which users' it was. They can't always be
// asked on the same connection: squid lets none come back after a failure. The
// zero value is empty.
type memory struct {
	mu    sync.Mutex
	until lru.Table[string, time.Time]
}

// memoryKey names proxy and user.
func memoryKey(ex proxyauth.Exchange) string {
	return ex.Proxy.Scheme + " " + ex.Proxy.Host + " " + ex.Credentials.Username
}

func (m *memory) add(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.until.Max = maxRemembered
	m.until.Put(key, time.Now().Add(rememberFor))
}

func (m *memory) has(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	until, _ := m.until.Get(key)
	return time.Now().Before(until)
}

func (m *memory) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.until.Clear()
}
