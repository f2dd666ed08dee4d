package spnegoserver

import (
	"bytes"
	"slices"
)

// The negStates of RFC 4178, Section 4.2.2.
const (
	acceptCompleted  = 0
	acceptIncomplete = 1
	reject           = 2
	requestMIC       = 3
)

// maxMechs is how many mechanisms a client may offer.
const maxMechs = 16

// A negTokenInit is the client's first token (RFC 4178, Section 4.2.1).
type negTokenInit struct {
	mechs    [][]byte
	mechList []byte // in DER, which the MIC is of
	token    []byte
	mic      []byte
}

func parseInit(in []byte) (*negTokenInit, error) {
	body, err := framed(oidSPNEGO, in)
	if err != nil {
		return nil, err
	}
	if body, err = only(derContext, body); err != nil {
		return nil, err
	}
	found, err := fields(body, 3)
	if err != nil {
		return nil, err
	}
	init := &negTokenInit{mechList: found[0]}
	if init.mechs, err = parseMechs(found[0]); err != nil {
		return nil, err
	}
	if _, err = optional(derBitString, found[1]); err != nil {
		return nil, err
	}
	if init.token, err = optional(derOctetString, found[2]); err != nil {
		return nil, err
	}
	init.mic, err = optional(derOctetString, found[3])
	return init, err
}

func parseMechs(in []byte) ([][]byte, error) {
	list, err := only(derSequence, in)
	if err != nil {
		return nil, err
	}
	var mechs [][]byte
	for len(list) > 0 {
		tag, oid, rest, err := element(list)
		if err != nil {
			return nil, err
		}
		if tag != derOID || len(mechs) == maxMechs {
			return nil, malformed("mechanism list")
		}
		mechs, list = append(mechs, oid), rest
	}
	if len(mechs) == 0 {
		return nil, malformed("no mechanisms")
	}
	return mechs, nil
}

// repeats reports whether a mechanism is offered twice.
func repeats(mechs [][]byte) bool {
	for i, mech := range mechs {
		if slices.ContainsFunc(mechs[:i], func(m []byte) bool { return bytes.Equal(m, mech) }) {
			return true
		}
	}
	return false
}

// A negTokenResp is every later token (RFC 4178, Section 4.2.2). What is nil is
// left out.
type negTokenResp struct {
	state *byte
	mech  []byte
	token []byte
	mic   []byte
}

// parseResp takes a token of the client, which has no business to say
// supportedMech.
func parseResp(in []byte) (*negTokenResp, error) {
	body, err := only(derContext+1, in)
	if err != nil {
		return nil, err
	}
	found, err := fields(body, 3)
	if err != nil {
		return nil, err
	}
	resp := &negTokenResp{}
	state, err := optional(derEnumerated, found[0])
	if err != nil || len(state) > 1 {
		return nil, malformed("negState")
	}
	if len(state) == 1 {
		resp.state = &state[0]
	}
	if resp.mech, err = optional(derOID, found[1]); err != nil {
		return nil, err
	}
	if resp.token, err = optional(derOctetString, found[2]); err != nil {
		return nil, err
	}
	resp.mic, err = optional(derOctetString, found[3])
	return resp, err
}

func (r *negTokenResp) marshal() []byte {
	var body []byte
	if r.state != nil {
		body = append(body, encode(derContext, encode(derEnumerated, []byte{*r.state}))...)
	}
	if r.mech != nil {
		body = append(body, encode(derContext+1, encode(derOID, r.mech))...)
	}
	if r.token != nil {
		body = append(body, encode(derContext+2, encode(derOctetString, r.token))...)
	}
	if r.mic != nil {
		body = append(body, encode(derContext+3, encode(derOctetString, r.mic))...)
	}
	return encode(derContext+1, encode(derSequence, body))
}

func newResp(state byte) *negTokenResp { return &negTokenResp{state: &state} }
