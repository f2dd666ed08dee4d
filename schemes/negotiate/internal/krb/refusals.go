package krb

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"github.com/go-proxyauth/proxyauth/internal/lru"
)

// maxRefusals bounds the memory of refused secrets.
const maxRefusals = 1 << 12

// A fingerprint stands for a secret and whose it is. It is keyed, so that it
// gives nothing away.
type fingerprint [sha256.Size]byte

// refusals is the memory of the secrets that KDCs have refused. The zero value
// is empty.
type refusals struct {
	mu    sync.Mutex
	key   [sha256.Size]byte
	keyed bool
	known lru.Table[fingerprint, error]
}

func (r *refusals) fingerprint(parts ...string) fingerprint {
	r.mu.Lock()
	if !r.keyed {
		rand.Read(r.key[:])
		r.keyed = true
	}
	key := r.key
	r.mu.Unlock()
	h := hmac.New(sha256.New, key[:])
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	return fingerprint(h.Sum(nil))
}

// of returns the error with which the secret was refused, or nil.
func (r *refusals) of(print fingerprint) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err, _ := r.known.Get(print)
	return err
}

func (r *refusals) add(print fingerprint, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known.Max = maxRefusals
	r.known.Put(print, err)
}

func (r *refusals) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known.Clear()
}
