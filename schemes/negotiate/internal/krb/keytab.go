package krb

import (
	"encoding/binary"
	"slices"

	"github.com/jcmturner/gokrb5/v8/types"
)

// maxKeytabSize bounds a keytab.
const maxKeytabSize = 4 << 20

// A keytab holds the long-term keys of principals.
type keytab []keytabEntry

type keytabEntry struct {
	owner principal
	kvno  uint32
	key   types.EncryptionKey
}

// parseKeytab reads a keytab in the file format of MIT, versions 1 and 2. As in MIT's library, a
// length of zero ends it, and so does an entry that is torn, unless it is the first one.
func parseKeytab(name string, data []byte) (keytab, error) {
	r := &reader{data: data, order: binary.BigEndian}
	magic, version := r.uint8(), r.uint8()
	if magic != 5 || (version != 1 && version != 2) {
		return nil, malformed(name, "no keytab")
	}
	if version == 1 {
		r.order = binary.NativeEndian
	}
	list := keytab{}
	for len(r.data) > 0 {
		size := int64(int32(r.uint32()))
		if size < 0 { // a hole, where an entry was deleted
			r.octets(uint64(-size))
			continue
		}
		entry := &reader{data: r.octets(uint64(size)), order: r.order}
		if size == 0 || r.short {
			break
		}
		e := entry.keytabEntry(version)
		if entry.short {
			return nil, malformed(name, "keytab with a malformed entry: export it anew")
		}
		list = append(list, e)
	}
	if r.short && len(list) == 0 {
		return nil, malformed(name, "truncated keytab: export it anew")
	}
	return list, nil
}

func (r *reader) keytabEntry(version uint8) keytabEntry {
	n := int(r.uint16())
	if version == 1 {
		n-- // counts the realm
	}
	e := keytabEntry{owner: principal{realm: string(r.data16())}}
	e.owner.name = r.components(n, r.data16)
	if version != 1 {
		e.owner.name.NameType = int32(r.uint32())
	}
	r.uint32() // timestamp
	e.kvno = uint32(r.uint8())
	e.key.KeyType = int32(int16(r.uint16()))
	e.key.KeyValue = slices.Clone(r.data16())
	// A newer field, for numbers above 255, may follow.
	if len(r.data) >= 4 {
		if kvno := r.uint32(); kvno != 0 {
			e.kvno = kvno
		}
	}
	return e
}

// owner returns the first principal in the keytab that is meant.
func (k keytab) owner(meant func(principal) bool) (principal, bool) {
	for _, e := range k {
		if len(e.owner.name.NameString) > 0 && supportedKey(e.key) && meant(e.owner) {
			return e.owner, true
		}
	}
	return principal{}, false
}

// keys returns the newest keys of a principal by their encryption type.
func (k keytab) keys(owner principal) map[int32]keytabEntry {
	keys := map[int32]keytabEntry{}
	for _, e := range k {
		have, ok := keys[e.key.KeyType]
		if supportedKey(e.key) && e.owner.equalFold(owner) && (!ok || e.kvno >= have.kvno) {
			keys[e.key.KeyType] = e
		}
	}
	return keys
}
