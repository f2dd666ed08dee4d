package proxyauth

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// maxRejections bounds the memory of refused credentials; the oldest go first.
const maxRejections = 1 << 14

// A fingerprint stands for credentials at a proxy. It is keyed, so that it gives
// nothing away.
type fingerprint [sha256.Size]byte

// rejections is the memory of the credentials that proxies have refused. It
// outlives the table's entry of a proxy: a directory that locks accounts does not
// forget either. The scheme is no part of it: what a proxy has refused as NTLM is
// not sent to it again in clear, as Basic. The zero value is empty.
type rejections struct {
	mu    sync.Mutex
	key   [sha256.Size]byte     // random
	known map[fingerprint]error // why
	order []fingerprint         // oldest first
}

// fingerprint returns the fingerprint of c at the proxy with the URL given.
func (r *rejections) fingerprint(proxy string, c Credentials) fingerprint {
	r.mu.Lock()
	if r.known == nil {
		rand.Read(r.key[:])
		r.known = make(map[fingerprint]error)
	}
	key := r.key
	r.mu.Unlock()

	h := hmac.New(sha256.New, key[:])
	write := func(s string) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	write(proxy)
	write(c.Username)
	write(c.Password.Reveal())
	return fingerprint(h.Sum(nil))
}

// add remembers fp, and reports whether it is new.
func (r *rejections) add(fp fingerprint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.known[fp]; ok {
		return false
	}
	if len(r.order) == maxRejections {
		delete(r.known, r.order[0])
		r.order = r.order[1:]
	}
	r.known[fp] = ErrRejected
	r.order = append(r.order, fp)
	return true
}

// explain adds what is known of why fp was refused, to be told later on as well.
func (r *rejections) explain(fp fingerprint, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.known[fp]; ok {
		r.known[fp] = why
	}
}

// why returns why fp was refused: an error that wraps [ErrRejected].
func (r *rejections) why(fp fingerprint) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return cmp.Or(r.known[fp], ErrRejected)
}

func (r *rejections) has(fp fingerprint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.known[fp]
	return ok
}

func (r *rejections) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.known)
	r.order = nil
}
