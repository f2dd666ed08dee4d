package lru_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/lru"
)

type table = lru.Table[string, int]

// keys returns the keys of t in alphabetical order.
func keys(t *table) string {
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(maps.Collect(t.All()))) {
		text.WriteString(key)
	}
	return text.String()
}

// filled returns a table of three with the values of a, b and c, which is the one that
// was used last.
func filled() *table {
	t := &table{Max: 3}
	for i, key := range []string{"a", "b", "c"} {
		t.Put(key, i)
	}
	return t
}

func one() int { return 1 }

func TestZeroTable(t *testing.T) {
	var tab table
	_, found := tab.Get("a")
	require.False(t, found)
	_, _, found = tab.Oldest()
	require.False(t, found)
	require.Zero(t, tab.Len())
	require.Empty(t, keys(&tab))
	tab.Delete("a")
	tab.Clear()
	require.Empty(t, tab.Put("a", 1))
	got, found := tab.Get("a")
	require.True(t, found)
	require.Equal(t, 1, got)
}

func TestZeroMaxIsABoundToo(t *testing.T) {
	var tab lru.Table[int, int]
	for i := range 3000 {
		tab.Put(i, i)
	}
	require.Equal(t, 1024, tab.Len())
	for i := range 3000 {
		_, found := tab.Get(i)
		require.Equal(t, i >= 3000-1024, found)
	}
}

func TestLeastRecentlyUsedGoesFirst(t *testing.T) {
	for _, tc := range []struct {
		desc string
		use  func(tab *table)
		want int // the value that is evicted
	}{
		{"in the order of Put", func(*table) {}, 0},
		{"Get is a use", func(tab *table) { tab.Get("a") }, 1},
		{"Put is a use", func(tab *table) { tab.Put("a", 7) }, 1},
		{"Unpin is a use", func(tab *table) {
			e, _ := tab.Pin("a", one)
			tab.Unpin(e)
		}, 1},
		{"Oldest is none", func(tab *table) { tab.Oldest() }, 0},
		{"All is none", func(tab *table) { keys(tab) }, 0},
		{"of what is not pinned", func(tab *table) {
			tab.Pin("a", one)
			tab.Pin("b", one)
			tab.Get("a")
		}, 2},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			tab := filled()
			tc.use(tab)
			_, oldest, ok := tab.Oldest()
			require.True(t, ok)
			require.Equal(t, tc.want, oldest)
			require.Equal(t, []int{tc.want}, tab.Put("d", 3))
			require.Equal(t, 3, tab.Len())
		})
	}
}

func TestPinAddsAnEntry(t *testing.T) {
	tab := filled()
	e, evicted := tab.Pin("d", one)
	require.Equal(t, []int{0}, evicted)
	require.Equal(t, 1, e.Value)
	again, evicted := tab.Pin("d", func() int { panic("made twice") })
	require.Empty(t, evicted)
	require.Same(t, e, again)
	e.Value = 5
	got, _ := tab.Get("d")
	require.Equal(t, 5, got)
	require.Equal(t, "bcd", keys(tab))
}

func TestPinnedEntriesStay(t *testing.T) {
	tab := &table{Max: 2}
	var pinned []*lru.Entry[string, int]
	for _, key := range []string{"a", "a", "b", "c"} {
		e, evicted := tab.Pin(key, one)
		require.Empty(t, evicted)
		pinned = append(pinned, e)
	}
	require.Equal(t, "abc", keys(tab), "there are more than Max")
	_, _, ok := tab.Oldest()
	require.False(t, ok)
	require.Empty(t, tab.Put("d", 4), "what has just been put stays as well")
	require.Equal(t, []int{4}, tab.Put("e", 5))

	require.Empty(t, tab.Unpin(pinned[0]), "a is pinned once more")
	require.Equal(t, []int{5, 1}, tab.Unpin(pinned[1]))
	require.Equal(t, "bc", keys(tab))
	require.Empty(t, tab.Unpin(pinned[2]))
	require.Equal(t, []int{1}, tab.Put("d", 4))
	require.Equal(t, "cd", keys(tab))
}

func TestEntryThatWasDeletedWhilePinned(t *testing.T) {
	for desc, remove := range map[string]func(*table){
		"Delete": func(tab *table) { tab.Delete("a") },
		"Clear":  (*table).Clear,
	} {
		t.Run(desc, func(t *testing.T) {
			tab := &table{Max: 2}
			old, _ := tab.Pin("a", one)
			remove(tab)
			require.Zero(t, tab.Len())
			tab.Pin("a", func() int { return 2 })
			require.Empty(t, tab.Unpin(old))
			tab.Put("b", 3)
			require.Equal(t, []int{3}, tab.Put("c", 4), "the new a is pinned")
			require.Equal(t, "ac", keys(tab))
		})
	}
}

func TestAllCanBeLeft(t *testing.T) {
	n := 0
	for range filled().All() {
		n++
		break
	}
	require.Equal(t, 1, n)
}

func TestTableIsNotPrinted(t *testing.T) {
	owner := struct{ names lru.Table[string, string] }{}
	owner.names.Put("ann", "s3cret")
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		for _, v := range []any{owner, &owner, owner.names, &owner.names} {
			text := fmt.Sprintf(format, v)
			require.NotContains(t, text, "ann")
			require.NotContains(t, text, "s3cret")
		}
	}
}

func TestUseAllocatesNothing(t *testing.T) {
	tab := filled()
	require.Zero(t, testing.AllocsPerRun(10, func() {
		tab.Get("a")
		tab.Put("b", 1)
		e, _ := tab.Pin("c", one)
		tab.Unpin(e)
	}))
}

// A model with a list does the same, whatever happens.
func TestTableBehavesAsItsModel(t *testing.T) {
	const most = 4
	random := rand.New(rand.NewPCG(1, 2))
	tab := lru.Table[int, int]{Max: most}
	var order []int // of use, last one last
	pinned := map[int]*lru.Entry[int, int]{}
	use := func(key int) {
		order = append(slices.DeleteFunc(order, func(k int) bool { return k == key }), key)
	}
	evict := func(keep int) (evicted []int) {
		for _, key := range slices.Clone(order) {
			if pinned[key] == nil && key != keep && len(order) > most {
				order = slices.DeleteFunc(order, func(k int) bool { return k == key })
				evicted = append(evicted, key)
			}
		}
		return evicted
	}
	for range 20_000 {
		key := random.IntN(10)
		switch random.IntN(5) {
		case 0:
			_, found := tab.Get(key)
			require.Equal(t, slices.Contains(order, key), found)
			if found {
				use(key)
			}
		case 1:
			got := tab.Put(key, key)
			use(key)
			require.Equal(t, evict(key), got)
		case 2:
			tab.Delete(key)
			order = slices.DeleteFunc(order, func(k int) bool { return k == key })
			delete(pinned, key)
		case 3:
			if pinned[key] == nil {
				e, got := tab.Pin(key, func() int { return key })
				pinned[key] = e
				use(key)
				require.Equal(t, evict(-1), got)
			}
		case 4:
			if e := pinned[key]; e != nil {
				got := tab.Unpin(e)
				delete(pinned, key)
				use(key)
				require.Equal(t, evict(-1), got)
			}
		}
		require.ElementsMatch(t, order, slices.Collect(maps.Keys(maps.Collect(tab.All()))))
	}
}
