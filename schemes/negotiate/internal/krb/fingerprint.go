package krb

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// A fingerprint stands for a secret and whose it is. It is keyed, so that it
// gives nothing away.
type fingerprint [sha256.Size]byte

// fingerprints makes fingerprints. The zero value has a key of its own.
type fingerprints struct {
	once sync.Once
	key  [sha256.Size]byte
}

func (f *fingerprints) of(parts ...string) fingerprint {
	f.once.Do(func() { rand.Read(f.key[:]) })
	h := hmac.New(sha256.New, f.key[:])
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	return fingerprint(h.Sum(nil))
}
