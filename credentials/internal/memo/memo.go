// Package memo remembers what belongs to credentials that were handed out,
// without keeping the credentials.
package memo

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"slices"
	"sync"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/lru"
)

// A Key stands for a list of texts. Nothing can be learned from it, as it is
// made with a secret of the process.
type Key [sha256.Size]byte

var processSecret = sync.OnceValue(func() []byte {
	secret := make([]byte, sha256.Size)
	rand.Read(secret)
	return secret
})

// KeyOf returns the key of texts.
func KeyOf(texts ...string) Key {
	mac := hmac.New(sha256.New, processSecret())
	for _, text := range texts {
		writeText(mac, text)
	}
	return Key(mac.Sum(nil))
}

// The length goes first, so that no two lists are written alike.
func writeText(mac hash.Hash, text string) {
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
	mac.Write([]byte(text))
}

// Answer returns the key of c as an answer to req.
func Answer(req *proxyauth.CredentialsRequest, c proxyauth.Credentials) Key {
	return KeyOf(req.Proxy.String(), c.Username, c.Password.Reveal())
}

// Question returns the key of req, the scheme and what was rejected left out.
func Question(req *proxyauth.CredentialsRequest) Key {
	return KeyOf(questionTexts(req)...)
}

// Attempt returns the key of req with what was rejected or doubted.
func Attempt(req *proxyauth.CredentialsRequest) Key {
	texts := questionTexts(req)
	if req.Doubted {
		texts = append(texts, "doubted")
	}
	for _, c := range req.Rejected {
		texts = append(texts, c.Username, c.Password.Reveal())
	}
	return KeyOf(texts...)
}

func questionTexts(req *proxyauth.CredentialsRequest) []string {
	texts := []string{req.Proxy.String(), req.Realm, "", ""}
	if req.UserInfo != nil {
		texts[2], texts[3] = req.UserInfo.Username, req.UserInfo.Password.Reveal()
	}
	return texts
}

// Same reports whether a and b are the same credentials.
func Same(a, b proxyauth.Credentials) bool {
	return a.Username == b.Username &&
		subtle.ConstantTimeCompare([]byte(a.Password.Reveal()), []byte(b.Password.Reveal())) == 1
}

// Contains reports whether c is one of list.
func Contains(list []proxyauth.Credentials, c proxyauth.Credentials) bool {
	return slices.ContainsFunc(list, func(other proxyauth.Credentials) bool { return Same(c, other) })
}

// maxEntries bounds a table: a program may go through thousands of proxies.
const maxEntries = 1024

// A Table maps keys to values. When it is full, the entry that has not been used for
// longest makes room. The zero value is an empty table. It is safe for concurrent use.
type Table[V any] struct {
	mu     sync.Mutex
	values lru.Table[Key, V]
}

// Put sets the value of key.
func (t *Table[V]) Put(key Key, value V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.values.Max = maxEntries
	t.values.Put(key, value)
}

// Get returns the value of key, and whether there is one.
func (t *Table[V]) Get(key Key) (V, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.values.Get(key)
}

// Delete removes key if its value satisfies the condition.
func (t *Table[V]) Delete(key Key, condition func(V) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if value, found := t.values.Get(key); found && condition(value) {
		t.values.Delete(key)
	}
}
