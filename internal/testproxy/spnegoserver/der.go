package spnegoserver

import (
	"bytes"
	"slices"
)

// The tags of X.690 that SPNEGO needs.
const (
	derBitString   = 0x03
	derOctetString = 0x04
	derOID         = 0x06
	derEnumerated  = 0x0a
	derSequence    = 0x30
	derApplication = 0x60 // [APPLICATION 0], constructed
	derContext     = 0xa0 // [0], constructed
)

// encode returns an element of DER.
func encode(tag byte, content ...[]byte) []byte {
	body := slices.Concat(content...)
	out := []byte{tag}
	switch n := len(body); {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 1<<8:
		out = append(out, 0x81, byte(n))
	case n < 1<<16:
		out = append(out, 0x82, byte(n>>8), byte(n))
	default:
		out = append(out, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	return append(out, body...)
}

// element takes an element of DER, with a tag of one byte, from the front of in.
// Lengths must be in their shortest form.
func element(in []byte) (tag byte, content, rest []byte, err error) {
	if len(in) < 2 {
		return 0, nil, nil, malformed("element cut off")
	}
	tag, head, n := in[0], 2, int(in[1])
	if n >= 0x80 {
		extra := n & 0x7f
		if extra == 0 || extra > 3 || len(in) < 2+extra {
			return 0, nil, nil, malformed("length")
		}
		n = 0
		for _, b := range in[2 : 2+extra] {
			n = n<<8 | int(b)
		}
		if n < 0x80 || n < 1<<(8*(extra-1)) {
			return 0, nil, nil, malformed("length longer than needed")
		}
		head += extra
	}
	if n > len(in)-head {
		return 0, nil, nil, malformed("element cut off")
	}
	return tag, in[head : head+n], in[head+n:], nil
}

// only returns the content of in, which must be one element with this tag.
func only(tag byte, in []byte) ([]byte, error) {
	got, content, rest, err := element(in)
	switch {
	case err != nil:
		return nil, err
	case got != tag:
		return nil, malformed("tag %#x instead of %#x", got, tag)
	case len(rest) > 0:
		return nil, malformed("%d bytes behind the end", len(rest))
	}
	return content, nil
}

// fields returns the explicit context-specific fields of a SEQUENCE, by number.
func fields(in []byte, last byte) (map[byte][]byte, error) {
	body, err := only(derSequence, in)
	if err != nil {
		return nil, err
	}
	found := make(map[byte][]byte)
	next := byte(derContext)
	for len(body) > 0 { // at most last+1 turns, since tags must rise
		tag, content, rest, err := element(body)
		if err != nil {
			return nil, err
		}
		if tag < next || tag > derContext+last {
			return nil, malformed("field %#x", tag)
		}
		found[tag-derContext] = content
		next, body = tag+1, rest
	}
	return found, nil
}

// optional returns the content of an element that may be missing: nil then, and
// not nil if it is there but empty.
func optional(tag byte, in []byte) ([]byte, error) {
	if in == nil {
		return nil, nil
	}
	return only(tag, in)
}

// framed returns what a token of the mechanism holds (RFC 2743, Section 3.1).
func framed(oid, in []byte) ([]byte, error) {
	body, err := only(derApplication, in)
	if err != nil {
		return nil, err
	}
	tag, got, rest, err := element(body)
	if err != nil {
		return nil, err
	}
	if tag != derOID || !bytes.Equal(got, oid) {
		return nil, malformed("token of another mechanism")
	}
	return rest, nil
}

func frame(oid, body []byte) []byte {
	return encode(derApplication, encode(derOID, oid), body)
}
