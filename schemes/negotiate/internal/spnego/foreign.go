package spnego

import (
	"bytes"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// The mechanisms, in DER without tag and length.
var (
	// Kerberos is Kerberos 5 as a GSS-API mechanism (RFC 4121, Section 1), and what
	// early Windows took for it: later ones still answer so.
	Kerberos = [][]byte{
		{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02},
		{0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02},
	}

	// NTLM is NTLM (MS-SPNG, Section 1.9).
	NTLM = [][]byte{{0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a}}
)

// NTLMSignature begins each message of NTLM.
const NTLMSignature = "NTLMSSP\x00"

// The first octets of messages of Kerberos without a frame around them.
const (
	tagAPRep    = 0x6f // [APPLICATION 15]
	tagKRBError = 0x7e // [APPLICATION 30]
)

// A Kind is a mechanism, as far as a token tells.
type Kind int

// The kinds.
const (
	Unknown Kind = iota
	KindKerberos
	KindNTLM
)

// KindOf returns the mechanism of a token that a client is about to send, and whether the
// token is one of SPNEGO. It is for the tokens of others: those of Windows are of SPNEGO,
// and those of Wine are not.
func KindOf(token []byte) (kind Kind, wrapped bool) {
	if kind := kindOfBare(token); kind != Unknown {
		return kind, false
	}
	if r, err := parseResponse(token); err == nil {
		return kindOfBare(r.token), true
	}
	mechs, inner, ok := parseInitial(token)
	if !ok {
		return Unknown, false
	}
	if kind := kindOfBare(inner); kind != Unknown || inner != nil || len(mechs) == 0 {
		return kind, true
	}
	return kindOfOID(mechs[0]), true
}

// kindOfBare returns the mechanism of a token without SPNEGO around it.
func kindOfBare(token []byte) Kind {
	switch oid, _, ok := unframe(token); {
	case ok:
		return kindOfOID(oid)
	case bytes.HasPrefix(token, []byte(NTLMSignature)):
		return KindNTLM
	case len(token) > 0 && (token[0] == tagAPRep || token[0] == tagKRBError):
		return KindKerberos
	}
	return Unknown
}

func kindOfOID(oid []byte) Kind {
	is := func(o []byte) bool { return bytes.Equal(o, oid) }
	switch {
	case slices.ContainsFunc(Kerberos, is):
		return KindKerberos
	case slices.ContainsFunc(NTLM, is):
		return KindNTLM
	}
	return Unknown
}

// unframe takes the frame of RFC 2743, Section 3.1 off.
func unframe(token []byte) (oid, rest []byte, ok bool) {
	s := cryptobyte.String(token)
	var inner, id cryptobyte.String
	if !s.ReadASN1(&inner, application0) || !s.Empty() || !inner.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) {
		return nil, nil, false
	}
	return id, inner, true
}

// parseInitial returns what a NegTokenInit offers, and the token for the first mechanism,
// nil if there is none.
func parseInitial(token []byte) (mechs [][]byte, inner []byte, ok bool) {
	id, rest, ok := unframe(token)
	s := cryptobyte.String(rest)
	var outer, fields, field, list cryptobyte.String
	if !ok || !bytes.Equal(id, oid) || !s.ReadASN1(&outer, context0) || !outer.ReadASN1(&fields, asn1.SEQUENCE) ||
		!fields.ReadASN1(&field, context0) || !field.ReadASN1(&list, asn1.SEQUENCE) {
		return nil, nil, false
	}
	for !list.Empty() {
		var id cryptobyte.String
		if !list.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) {
			return nil, nil, false
		}
		mechs = append(mechs, id)
	}
	if !fields.SkipOptionalASN1(context1) { // reqFlags
		return nil, nil, false
	}
	inner, ok = readField(&fields, context2, asn1.OCTET_STRING)
	return mechs, inner, ok
}

// Adapt returns a token of an acceptor in the form in which a client takes it that has sent
// one of SPNEGO, or one of the mechanism alone. It is nil if the acceptor has sent no token
// of the mechanism. The error wraps [ErrRejected] if the acceptor rejects what it was sent,
// and [ErrMalformed].
func Adapt(token []byte, wrapped bool) ([]byte, error) {
	kind := kindOfBare(token)
	switch {
	case ReportsError(token):
		return nil, ErrRejected
	case kind != Unknown && wrapped:
		return wrapAnswer(kind, token)
	case kind != Unknown:
		return token, nil
	}
	r, err := parseResponse(token)
	switch {
	case err != nil:
		return nil, err
	case r.state == reject:
		return nil, ErrRejected
	case wrapped:
		return token, nil
	}
	return r.token, nil
}

// ReportsError reports whether a token of an acceptor is an error message of Kerberos.
func ReportsError(token []byte) bool {
	if len(token) > 0 && token[0] == tagKRBError {
		return true
	}
	id, rest, ok := unframe(token)
	return ok && kindOfOID(id) == KindKerberos && bytes.HasPrefix(rest, []byte{3, 0}) // TOK_ID
}

// wrapAnswer returns the NegTokenResp with which an acceptor answers the first token.
func wrapAnswer(kind Kind, token []byte) ([]byte, error) {
	mech, s := Kerberos[0], acceptCompleted
	if kind == KindNTLM {
		mech, s = NTLM[0], acceptIncomplete
	}
	var b cryptobyte.Builder
	b.AddASN1(context1, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addBytes(b, context0, []byte{byte(asn1.ENUM), 1, byte(s)})
			b.AddASN1(context1, func(b *cryptobyte.Builder) { addBytes(b, asn1.OBJECT_IDENTIFIER, mech) })
			addOctets(b, context2, token)
		})
	})
	return b.Bytes()
}
