// Package spnego is the initiator's side of the negotiation of RFC 4178: which
// mechanism is used, and the tokens around its tokens.
package spnego

import (
	"bytes"
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// ErrMalformed is wrapped by the error for a token that is none.
var ErrMalformed = errors.New("proxyauth: negotiate: malformed SPNEGO token")

// oid is SPNEGO as a GSS-API mechanism, in DER without tag and length.
var oid = []byte{0x2b, 0x06, 0x01, 0x05, 0x05, 0x02}

// A state is a negState (RFC 4178, Section 4.2.2).
type state int

const (
	acceptCompleted state = iota
	acceptIncomplete
	reject
	requestMIC

	// noState is of a token that has none, which most acceptors' are. What it
	// means depends on what came before.
	noState state = -1
)

var (
	application0 = asn1.Tag(0x60)
	context0     = asn1.Tag(0).ContextSpecific().Constructed()
	context1     = asn1.Tag(1).ContextSpecific().Constructed()
	context2     = asn1.Tag(2).ContextSpecific().Constructed()
	context3     = asn1.Tag(3).ContextSpecific().Constructed()
)

// A response is a NegTokenResp.
type response struct {
	state state
	mech  []byte // supportedMech, nil if absent
	token []byte // responseToken, nil if absent
	mic   []byte // mechListMIC, nil if absent
}

// parseResponse parses a NegTokenResp. Each of its fields may be missing.
func parseResponse(data []byte) (*response, error) {
	s := cryptobyte.String(data)
	var outer, fields cryptobyte.String
	if !s.ReadASN1(&outer, context1) || !outer.ReadASN1(&fields, asn1.SEQUENCE) || !outer.Empty() {
		return nil, ErrMalformed
	}
	r := &response{state: noState}
	var ok [4]bool
	r.state, ok[0] = readState(&fields)
	r.mech, ok[1] = readField(&fields, context1, asn1.OBJECT_IDENTIFIER)
	r.token, ok[2] = readField(&fields, context2, asn1.OCTET_STRING)
	r.mic, ok[3] = readField(&fields, context3, asn1.OCTET_STRING)
	if slices.Contains(ok[:], false) || !fields.Empty() {
		return nil, ErrMalformed
	}
	if bytes.Equal(r.mic, r.token) {
		r.mic = nil // Windows 2000 repeats the token where the code should be
	}
	if len(r.token) == 0 {
		r.token = nil // there, but empty
	}
	return r, nil
}

// readState reads the negState, if there is one.
func readState(s *cryptobyte.String) (state, bool) {
	value, ok := readField(s, context0, asn1.ENUM)
	if !ok || value == nil {
		return noState, ok
	}
	if len(value) != 1 || value[0] > byte(requestMIC) {
		return noState, false
	}
	return state(value[0]), true
}

// readField reads an explicit field, and returns nil if there is none.
func readField(s *cryptobyte.String, field, kind asn1.Tag) ([]byte, bool) {
	if !s.PeekASN1Tag(field) {
		return nil, true
	}
	var outer, value cryptobyte.String
	ok := s.ReadASN1(&outer, field) && outer.ReadASN1(&value, kind) && outer.Empty()
	return append([]byte{}, value...), ok
}

// mechList returns the DER of a MechTypeList, over which mechListMIC is made.
func mechList(oids [][]byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, id := range oids {
			addBytes(b, asn1.OBJECT_IDENTIFIER, id)
		}
	})
	return b.Bytes()
}

// initial returns the token that opens the negotiation: a NegTokenInit in the
// frame of RFC 2743, Section 3.1.
func initial(list, token []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(application0, func(b *cryptobyte.Builder) {
		addBytes(b, asn1.OBJECT_IDENTIFIER, oid)
		b.AddASN1(context0, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addBytes(b, context0, list)
				addOctets(b, context2, token)
			})
		})
	})
	return b.Bytes()
}

// reply returns a NegTokenResp of the initiator. It has no negState, which only
// the acceptor has to tell.
func reply(token, mic []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(context1, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addOctets(b, context2, token)
			addOctets(b, context3, mic)
		})
	})
	return b.Bytes()
}

// completed returns a NegTokenResp that says that there is nothing left to do.
func completed() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(context1, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addBytes(b, context0, []byte{byte(asn1.ENUM), 1, byte(acceptCompleted)})
		})
	})
	return b.Bytes()
}

func addBytes(b *cryptobyte.Builder, tag asn1.Tag, value []byte) {
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(value) })
}

// addOctets adds an explicit octet string, unless value is nil.
func addOctets(b *cryptobyte.Builder, field asn1.Tag, value []byte) {
	if value != nil {
		b.AddASN1(field, func(b *cryptobyte.Builder) { b.AddASN1OctetString(value) })
	}
}
