package krb

import (
	"slices"
	"sync"

	"github.com/go-proxyauth/proxyauth/internal/lru"
)

// maxRealms bounds the realms whose last good KDC is remembered.
const maxRealms = 64

// A lastGood remembers which KDC of a realm is to be asked first: the last one that answered. The
// zero value is empty; nil remembers nothing.
type lastGood struct {
	mu   sync.Mutex
	kdcs lru.Table[string, string] // by realm
}

// first returns the list in the order in which to ask.
func (g *lastGood) first(realm string, kdcs []string) []string {
	if g == nil {
		return kdcs
	}
	g.mu.Lock()
	good, _ := g.kdcs.Get(realm)
	g.mu.Unlock()
	i := max(slices.Index(kdcs, good), 0)
	return slices.Concat(kdcs[i:], kdcs[:i])
}

// set notes that a KDC has answered.
func (g *lastGood) set(realm, kdc string) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.kdcs.Max = maxRealms
	g.kdcs.Put(realm, kdc)
}

// leave notes that a KDC of a list has answered, but to no avail: it is asked last.
func (g *lastGood) leave(realm string, kdcs []string, kdc string) {
	if i := slices.Index(kdcs, kdc); i >= 0 {
		g.set(realm, kdcs[(i+1)%len(kdcs)])
	}
}

func (g *lastGood) clear() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.kdcs.Clear()
}
