package krb

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

// maxComponents bounds the components of a principal's name in a file.
const maxComponents = 32

// A reader takes the fields of a ticket cache or a keytab off the front of its
// octets. After the first one that is missing, all are zero and short is set.
type reader struct {
	data  []byte
	order binary.ByteOrder
	short bool
}

func (r *reader) octets(n uint64) []byte {
	if r.short || n > uint64(len(r.data)) {
		r.short = true
		return nil
	}
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}

func (r *reader) uint8() uint8 {
	if b := r.octets(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.octets(2); b != nil {
		return r.order.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.octets(4); b != nil {
		return r.order.Uint32(b)
	}
	return 0
}

func (r *reader) time() time.Time { return time.Unix(int64(r.uint32()), 0) }

// data16 and data32 return octets behind their length.
func (r *reader) data16() []byte { return r.octets(uint64(r.uint16())) }
func (r *reader) data32() []byte { return r.octets(uint64(r.uint32())) }

// count32 returns a number of things of which each takes at least size octets.
func (r *reader) count32(size int) int {
	n := r.uint32()
	if uint64(n)*uint64(size) > uint64(len(r.data)) || n > math.MaxInt32 {
		r.short = true
		return 0
	}
	return int(n)
}

// components reads n components of a name by read.
func (r *reader) components(n int, read func() []byte) types.PrincipalName {
	var name types.PrincipalName
	if n < 0 || n > maxComponents {
		r.short = true
		return name
	}
	for range n {
		name.NameString = append(name.NameString, string(read()))
	}
	return name
}
