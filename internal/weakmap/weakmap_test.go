package weakmap_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/weakmap"
)

type key struct{ name string }

func TestMap(t *testing.T) {
	t.Parallel()
	var m weakmap.Map[key, string]
	a, b := &key{"a"}, &key{"b"}
	m.Delete(a)
	_, ok := m.Load(a)
	require.False(t, ok)
	m.Store(a, "1")
	m.Store(a, "2")
	m.Store(b, "3")
	require.Equal(t, 2, m.Len())
	v, ok := m.Load(a)
	require.True(t, ok)
	require.Equal(t, "2", v)
	m.Delete(a)
	m.Delete(a)
	_, ok = m.Load(a)
	require.False(t, ok)
	require.Equal(t, 1, m.Len())
	runtime.KeepAlive(b)
}

func TestEntriesGoAwayWithTheirKeys(t *testing.T) {
	t.Parallel()
	var m weakmap.Map[key, string]
	kept := &key{"kept"}
	m.Store(kept, "x")
	for range 100 {
		m.Store(&key{"gone"}, "x")
	}
	for range 1000 {
		runtime.GC()
		if m.Len() == 1 {
			break
		}
		runtime.Gosched()
	}
	require.Equal(t, 1, m.Len())
	_, ok := m.Load(kept)
	require.True(t, ok)
}
