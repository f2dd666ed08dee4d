// Package weakmap has a map that does not keep its keys alive.
package weakmap

import (
	"runtime"
	"sync"
	"sync/atomic"
	"weak"
)

// A Map maps pointers to values. An entry goes away with what its key points to, so that the
// value must not refer to that. The zero Map is empty. It may be used by several goroutines at
// once.
type Map[K, V any] struct {
	entries sync.Map // weak.Pointer[K] -> V
	n       atomic.Int64
}

// Load returns the value for key, and whether there is one.
func (m *Map[K, V]) Load(key *K) (value V, ok bool) {
	v, ok := m.entries.Load(weak.Make(key))
	if ok {
		value = v.(V)
	}
	return value, ok
}

// Store sets the value for key.
func (m *Map[K, V]) Store(key *K, value V) {
	k := weak.Make(key)
	if _, found := m.entries.Swap(k, value); !found {
		m.n.Add(1)
		runtime.AddCleanup(key, m.delete, k)
	}
}

// Delete takes the entry for key away, if there is one. It costs nothing for an empty Map.
func (m *Map[K, V]) Delete(key *K) {
	if m.Len() > 0 {
		m.delete(weak.Make(key))
	}
}

func (m *Map[K, V]) delete(k weak.Pointer[K]) {
	if _, found := m.entries.LoadAndDelete(k); found {
		m.n.Add(-1)
	}
}

// Len returns the number of entries.
func (m *Map[K, V]) Len() int { return int(m.n.Load()) }
