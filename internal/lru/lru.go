// Package lru holds tables with a bound: what has not been used for longest goes
// first.
package lru

import "iter"

// defaultMax is the bound of a table that sets none.
const defaultMax = 1024

// A Table maps keys to values. An entry can be pinned while it is in use, and is then
// not evicted. The zero value is an empty table.
//
// A Table is not safe for concurrent use: it is part of a state that has a mutex. It
// must not be copied after first use. fmt prints neither keys nor values of a Table,
// which may be user names or secrets.
type Table[K comparable, V any] struct {
	// Max is how many entries are kept. Zero means 1024. While more than that are
	// pinned, there are more.
	Max int

	// hidden returns the entries, or is nil if there are none. It is a function since
	// fmt, for a verb that does not fit, prints what a pointer points to.
	hidden func() *entries[K, V]
}

type entries[K comparable, V any] struct {
	byKey map[K]*Entry[K, V]

	// ring links the entries that are not pinned, from the one used last to the one
	// not used for longest.
	ring Entry[K, V]
}

// An Entry is the entry of a key.
type Entry[K comparable, V any] struct {
	// Value is the value of the key.
	Value V

	key        K
	in         *entries[K, V] // nil if deleted
	pins       int
	prev, next *Entry[K, V] // nil if pinned or removed
}

// Get returns the value of key, and whether there is one. That is a use.
func (t *Table[K, V]) Get(key K) (V, bool) {
	e := t.find(key)
	if e == nil {
		var none V
		return none, false
	}
	t.touch(e)
	return e.Value, true
}

// Put sets the value of key, which is a use. It returns the values that were evicted
// for it, of which the caller may have to free something.
func (t *Table[K, V]) Put(key K, value V) (evicted []V) {
	e := t.add(key)
	e.Value = value
	t.touch(e)
	return t.evict(e)
}

// Pin returns the entry of key, which is not evicted until Unpin has been called as
// often as Pin. If there is none it adds one with the value that value returns. It
// returns the values that were evicted too.
func (t *Table[K, V]) Pin(key K, value func() V) (e *Entry[K, V], evicted []V) {
	if e = t.find(key); e == nil {
		v := value()
		e = t.add(key)
		e.Value = v
	}
	e.pins++
	e.unlink()
	return e, t.evict(nil)
}

// Unpin ends a use that Pin began, and returns the values that were evicted. The entry
// may have been deleted meanwhile.
func (t *Table[K, V]) Unpin(e *Entry[K, V]) (evicted []V) {
	e.pins--
	if e.pins > 0 || t.hidden == nil || t.hidden() != e.in {
		return nil
	}
	t.touch(e)
	return t.evict(nil)
}

// Delete removes key, pinned or not.
func (t *Table[K, V]) Delete(key K) {
	if e := t.find(key); e != nil {
		e.unlink()
		e.in = nil
		delete(t.hidden().byKey, key)
	}
}

// Clear removes all keys, pinned or not.
func (t *Table[K, V]) Clear() { t.hidden = nil }

// Len returns the number of entries.
func (t *Table[K, V]) Len() int {
	if t.hidden == nil {
		return 0
	}
	return len(t.hidden().byKey)
}

// Oldest returns the entry that would be evicted first, and whether there is one. That
// is no use.
func (t *Table[K, V]) Oldest() (key K, value V, ok bool) {
	if t.hidden == nil {
		return key, value, false
	}
	ring := &t.hidden().ring
	return ring.prev.key, ring.prev.Value, ring.prev != ring
}

// All returns all entries, in no order. That is no use.
func (t *Table[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if t.hidden == nil {
			return
		}
		for key, e := range t.hidden().byKey {
			if !yield(key, e.Value) {
				return
			}
		}
	}
}

func (t *Table[K, V]) find(key K) *Entry[K, V] {
	if t.hidden == nil {
		return nil
	}
	return t.hidden().byKey[key]
}

// add returns the entry of key, with the zero value if there was none.
func (t *Table[K, V]) add(key K) *Entry[K, V] {
	if e := t.find(key); e != nil {
		return e
	}
	if t.hidden == nil {
		all := &entries[K, V]{byKey: make(map[K]*Entry[K, V])}
		all.ring.prev, all.ring.next = &all.ring, &all.ring
		t.hidden = func() *entries[K, V] { return all }
	}
	e := &Entry[K, V]{key: key, in: t.hidden()}
	t.hidden().byKey[key] = e
	return e
}

// touch makes e the entry that is evicted last.
func (t *Table[K, V]) touch(e *Entry[K, V]) {
	if e.pins > 0 {
		return
	}
	e.unlink()
	ring := &t.hidden().ring
	e.prev, e.next = ring, ring.next
	e.prev.next, e.next.prev = e, e
}

func (e *Entry[K, V]) unlink() {
	if e.next == nil {
		return
	}
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil
}

// evict removes entries until there are not too many. It spares keep.
func (t *Table[K, V]) evict(keep *Entry[K, V]) (evicted []V) {
	most := t.Max
	if most <= 0 {
		most = defaultMax
	}
	all := t.hidden()
	for len(all.byKey) > most {
		e := all.ring.prev
		if e == &all.ring || e == keep {
			break
		}
		evicted = append(evicted, e.Value)
		t.Delete(e.key)
	}
	return evicted
}
