package kdc

import (
	"errors"
	"fmt"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// The application tags of RFC 4120, Section 5.10, which for requests are the
// message types too.
const (
	tagEncTicketPart = 3
	tagASReq         = 10
	tagASRep         = 11
	tagTGSReq        = 12
	tagTGSRep        = 13
	tagEncASRepPart  = 25
	tagEncTGSRepPart = 26
	pvno             = 5
)

// A request is a KDC-REQ (RFC 4120, Section 5.4.1).
type request struct {
	msgType int
	padata  types.PADataSequence
	body    messages.KDCReqBody

	// rawBody is the body as it was sent, which a TGS-REQ has a checksum of.
	rawBody []byte
}

var errMalformed = errors.New("kdc: malformed request")

func parseRequest(in []byte) (*request, error) {
	if len(in) == 0 {
		return nil, errMalformed
	}
	msgType := int(in[0] & 0x1f)
	if msgType != tagASReq && msgType != tagTGSReq {
		return nil, errMalformed
	}
	var message struct {
		PVNO    int                  `asn1:"explicit,tag:1"`
		MsgType int                  `asn1:"explicit,tag:2"`
		PAData  types.PADataSequence `asn1:"explicit,optional,tag:3"`
		Body    asn1.RawValue        `asn1:"explicit,tag:4"`
	}
	params := fmt.Sprintf("application,explicit,tag:%d", msgType)
	rest, err := asn1.UnmarshalWithParams(in, &message, params)
	if err != nil || len(rest) > 0 || message.PVNO != pvno || message.MsgType != msgType {
		return nil, errMalformed
	}
	r := &request{msgType: msgType, padata: message.PAData, rawBody: message.Body.Bytes}
	if err := r.body.Unmarshal(r.rawBody); err != nil {
		return nil, errMalformed
	}
	return r, nil
}

// pa returns the value of the request's first pre-authentication data of a type.
func (r *request) pa(paType int32) ([]byte, bool) {
	for _, pa := range r.padata {
		if pa.PADataType == paType {
			return pa.PADataValue, true
		}
	}
	return nil, false
}

// Proves reports whether a request is one that proves a password.
func Proves(request []byte) bool {
	r, err := parseRequest(request)
	if err != nil {
		return false
	}
	_, ok := r.pa(paEncTimestamp)
	return ok
}

// The options and flags of RFC 4120, Section 5.3 and 5.4.1 that are used here.
const (
	flagForwardable = 1
	flagForwarded   = 2
	flagProxiable   = 3
	flagRenewable   = 8
	flagInitial     = 9
	flagPreauthent  = 10
	flagOKDelegate  = 13
	flagRenewableOK = 27
	flagEncTktInKey = 28
	flagRenew       = 30
)

func (r *request) option(flag int) bool { return isSet(r.body.KDCOptions, flag) }

// isSet is for flags of any length, unlike the one of gokrb5.
func isSet(flags asn1.BitString, flag int) bool { return flags.At(flag) == 1 }

// Answer returns the answer to a request, as it is sent over TCP behind its
// length. The faults don't apply.
func (k *KDC) Answer(in []byte) (out []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer func() {
		if recover() != nil { // gokrb5 trusts lengths in ciphertexts
			out = k.errorMessage(nil, fail(errGeneric))
		}
	}()
	r, err := parseRequest(in)
	if err != nil {
		return k.errorMessage(nil, fail(errMessageType))
	}
	out, err = k.dispatch(r)
	if err != nil {
		return k.errorMessage(r, err)
	}
	return out
}

func (k *KDC) dispatch(r *request) ([]byte, error) {
	if r.msgType == tagASReq {
		return k.as(r)
	}
	return k.tgs(r)
}
