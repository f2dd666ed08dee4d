package krb

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// keyrings are the caches of type KEYRING, in the kernel. A collection is a keyring within
// an anchor, one of the kernel's own keyrings. A cache is a keyring in that, in which the
// principal and each credential are keys.
type keyrings struct{}

// Descriptions of keys, as MIT's library chooses them.
const (
	keyPrimary   = "krb_ccache:primary"
	keyPrincipal = "__krb5_princ__"
	keyInternal  = "__krb5_" // begins those that are no credentials
)

func (keyrings) collection(ctx context.Context, name string) iter.Seq2[string, error] {
	n := parseKeyringName(name)
	if n.cache != "" {
		return only(n.String(), nil)
	}
	names, err := withKeys(ctx, func(k *keys) ([]string, error) { return k.caches(n) })
	return func(yield func(string, error) bool) {
		for _, cache := range names {
			n.cache = cache
			if !yield(n.String(), nil) {
				return
			}
		}
		if err != nil {
			yield("", n.explained(err))
		}
	}
}

func (r keyrings) read(ctx context.Context, name string) (contents, error) {
	n := parseKeyringName(name)
	data, err := withKeys(ctx, func(k *keys) ([]byte, error) { return k.read(n) })
	current := func(ctx context.Context) bool {
		now, err := r.read(ctx, name)
		return err == nil && bytes.Equal(now.data, data)
	}
	return contents{data, current}, n.explained(err)
}

// A keyringName is the name of a collection, or of a cache in it.
type keyringName struct{ anchor, collection, cache string }

// parseKeyringName splits a name, without its type. One without an anchor is of a
// collection in the session's keyring.
func parseKeyringName(name string) keyringName {
	anchor, rest, ok := strings.Cut(name, ":")
	if !ok {
		anchor, rest = "legacy", name
	}
	collection, cache, _ := strings.Cut(rest, ":")
	return keyringName{anchor, collection, cache}
}

func (n keyringName) String() string {
	name := "KEYRING:" + n.anchor + ":" + n.collection
	if n.cache != "" {
		name += ":" + n.cache
	}
	return name
}

// explained returns the error for one of the kernel.
func (n keyringName) explained(err error) error {
	switch {
	case errors.Is(err, unix.ENOKEY), errors.Is(err, unix.EKEYREVOKED):
		return fmt.Errorf("%w: %s", fs.ErrNotExist, n)
	case errors.Is(err, unix.EKEYEXPIRED):
		return because(ErrTicketExpired, "%s", n)
	case errors.Is(err, errNoKeyctl):
		return because(ErrCacheType, "%s: %v", n, err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return because(ErrCacheType, "%s: the kernel has no keyrings that persist", n)
	case errors.Is(err, fs.ErrPermission):
		return because(ErrNoTicket, "%s is another user's", n)
	}
	if _, ok := err.(unix.Errno); ok {
		return because(ErrNoTicket, "%s: %v", n, err)
	}
	return err
}

var errNoKeyctl = errors.New("the system call keyctl is not allowed here, as in many containers, or not part of the kernel")

// keys are the keys that the kernel lets one thread read. Those that the thread would not
// possess otherwise are linked to its own keyring meanwhile.
type keys struct {
	ctx    context.Context
	linked []int

	// left is how many octets may still be read.
	left int
}

// withKeys calls f on a thread of its own. Permissions of keys depend on the thread.
func withKeys[T any](ctx context.Context, f func(*keys) (T, error)) (T, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	k := &keys{ctx: ctx, left: maxCacheSize}
	defer k.unlink()
	if _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_USER_KEYRING, false); errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		var none T
		return none, fmt.Errorf("%w (%w)", errNoKeyctl, err)
	}
	return f(k)
}

// unlink leaves the thread's keyring as it was.
func (k *keys) unlink() {
	for _, id := range k.linked {
		// An error says that the key is gone.
		_, _ = unix.KeyctlInt(unix.KEYCTL_UNLINK, id, unix.KEY_SPEC_THREAD_KEYRING, 0, 0)
	}
}

// open returns the keyring of a collection.
func (k *keys) open(n keyringName) (int, error) {
	switch n.anchor {
	case "persistent":
		uid := os.Geteuid()
		if n.collection != "" {
			// To the kernel, which takes 32 bits, -1 is whoever asks.
			id, err := strconv.ParseUint(n.collection, 10, 32)
			if err != nil || id == math.MaxUint32 {
				return 0, malformed(n.String(), "no user id")
			}
			uid = int(id)
		}
		id, err := unix.KeyctlInt(unix.KEYCTL_GET_PERSISTENT, uid, unix.KEY_SPEC_THREAD_KEYRING, 0, 0)
		if err != nil {
			return 0, err
		}
		k.linked = append(k.linked, id)
		return unix.KeyctlSearch(id, "keyring", "_krb", 0)
	case "session", "legacy":
		return unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "keyring", "_krb_"+n.collection, 0)
	case "user":
		// A session need not have the keyring of its user. To link what is found there
		// is allowed while it is searched, not later.
		id, err := unix.KeyctlSearch(unix.KEY_SPEC_USER_KEYRING, "keyring", "_krb_"+n.collection, unix.KEY_SPEC_THREAD_KEYRING)
		if err == nil {
			k.linked = append(k.linked, id)
		}
		return id, err
	case "process", "thread":
		return 0, because(ErrCacheType, "%s: kinit can't fill the keyring of another %s: use KEYRING:session: or KEYRING:persistent:", n, n.anchor)
	}
	return 0, malformed(n.String(), "unknown kind of keyring")
}

// caches returns the names of the caches in a collection, the primary one first.
func (k *keys) caches(n keyringName) ([]string, error) {
	collection, err := k.open(n)
	if err != nil {
		return nil, err
	}
	primary, err := k.primary(n, collection)
	if err != nil {
		return nil, err
	}
	names := []string{primary}
	err = k.each(collection, func(_ int, kind, description string) error {
		if kind == "keyring" && description != primary {
			names = append(names, description)
		}
		return nil
	})
	return names, err
}

// primary returns the name of the primary cache.
func (k *keys) primary(n keyringName, collection int) (string, error) {
	id, err := unix.KeyctlSearch(collection, "user", keyPrimary, 0)
	if errors.Is(err, unix.ENOKEY) {
		if n.collection == "" {
			return "tkt", nil
		}
		return n.collection, nil
	}
	if err != nil {
		return "", err
	}
	data, err := k.payload(id)
	if err != nil {
		return "", err
	}
	return parsePrimary(data)
}

// read returns what is in a cache.
func (k *keys) read(n keyringName) ([]byte, error) {
	collection, err := k.open(n)
	if err != nil {
		return nil, err
	}
	id, err := unix.KeyctlSearch(collection, "keyring", n.cache, 0)
	if err != nil {
		return nil, err
	}
	var principal []byte
	var credentials [][]byte
	err = k.each(id, func(id int, kind, description string) error {
		if kind != "user" && kind != "big_key" {
			return nil
		}
		data, err := k.payload(id)
		switch {
		case isGone(err):
		case err != nil:
			return err
		case description == keyPrincipal:
			principal = data
		case !strings.HasPrefix(description, keyInternal):
			credentials = append(credentials, data)
		}
		return nil
	})
	if err == nil && principal == nil {
		err = unix.ENOKEY
	}
	return fileFormat(principal, credentials), err
}

// each calls f for the keys in a keyring.
func (k *keys) each(ring int, f func(id int, kind, description string) error) error {
	list, err := k.payload(ring)
	if err != nil {
		return err
	}
	for _, id := range parseSerials(list) {
		if k.ctx.Err() != nil {
			return context.Cause(k.ctx)
		}
		text, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, id)
		if isGone(err) {
			continue
		}
		if err != nil {
			return err
		}
		kind, description := parseDescription(text)
		if err := f(id, kind, description); err != nil {
			return err
		}
	}
	return nil
}

// isGone reports whether err says that a key that was there has expired, or was removed.
func isGone(err error) bool {
	return errors.Is(err, unix.ENOKEY) || errors.Is(err, unix.EKEYEXPIRED) || errors.Is(err, unix.EKEYREVOKED)
}

// payload returns what a key holds. It may grow while it is read.
func (k *keys) payload(id int) ([]byte, error) {
	for size := 4096; size <= k.left; {
		data := make([]byte, size)
		n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, id, data, 0)
		if err != nil {
			return nil, err
		}
		if n <= size {
			k.left -= n
			return data[:n], nil
		}
		size = n
	}
	return nil, malformed("KEYRING", "too long")
}

// parseSerials returns the serial numbers of the keys in a keyring.
func parseSerials(data []byte) []int {
	var ids []int
	for ; len(data) >= 4 && len(ids) < maxTickets; data = data[4:] {
		ids = append(ids, int(int32(binary.NativeEndian.Uint32(data))))
	}
	return ids
}

// parseDescription splits "type;uid;gid;permissions;description".
func parseDescription(text string) (kind, description string) {
	fields := strings.SplitN(text, ";", 5)
	if len(fields) < 5 {
		return "", ""
	}
	return fields[0], fields[4]
}

// parsePrimary returns the name in the key that names the primary cache: version 1, a
// length, and the name.
func parsePrimary(data []byte) (string, error) {
	r := &reader{data: data, order: binary.BigEndian}
	version, name := r.uint32(), r.data32()
	if r.short || version != 1 || len(name) == 0 || bytes.ContainsFunc(name, isControl) {
		return "", malformed("KEYRING", "no name of a primary cache")
	}
	return string(name), nil
}
