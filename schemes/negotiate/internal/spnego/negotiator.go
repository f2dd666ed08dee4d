package spnego

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

// A Context is the initiator's side of one security context of a mechanism. It
// knows standard types alone, so that the system's own GSS-API or SSPI can stand
// behind it.
type Context interface {
	// Init takes the peer's token, nil at first, and returns the one to send,
	// if any. done says that it is the last: the peer may answer with a token
	// that goes to Init once more, for verification.
	Init(ctx context.Context, token []byte) (out []byte, done bool, err error)
}

// A Protector is a [Context] that can protect messages once it is established.
// An error that wraps [ErrUnprotected] says that it can't.
type Protector interface {
	Context
	MIC(message []byte) ([]byte, error)
	VerifyMIC(message, mic []byte) error
}

// A Mechanism is one on offer.
type Mechanism struct {
	// OIDs are the names of the mechanism in DER without tag and length; the
	// first one is offered, the others are understood.
	OIDs [][]byte

	// Context is used if the mechanism is.
	Context Context
}

func (m Mechanism) is(oid []byte) bool {
	return slices.ContainsFunc(m.OIDs, func(o []byte) bool { return bytes.Equal(o, oid) })
}

// Errors of a [Negotiator].
var (
	// ErrRejected means that the acceptor has rejected the negotiation.
	ErrRejected = errors.New("proxyauth: negotiate: the proxy rejects the token")

	// ErrNothingLeft means that the acceptor wants to go on though there is
	// nothing left to send.
	ErrNothingLeft = errors.New("proxyauth: negotiate: the proxy asks for more than the mechanism has")

	// ErrNotOffered means that the acceptor has selected a mechanism that was
	// not on offer.
	ErrNotOffered = errors.New("proxyauth: negotiate: the proxy selects a mechanism that was not offered")

	// ErrNTLM is [ErrNotOffered] for NTLM.
	ErrNTLM = fmt.Errorf("%w: NTLM", ErrNotOffered)

	// ErrUnprotected means that there are no integrity codes: the peer has not
	// agreed to them, or the key is of a type that has none here.
	ErrUnprotected = errors.New("proxyauth: negotiate: no integrity codes")

	// ErrMIC means that the list of mechanisms was changed on the way.
	ErrMIC = errors.New("proxyauth: negotiate: wrong integrity code over the list of mechanisms")
)

// A Negotiator is the initiator's side of a negotiation. It is a [Context]
// itself. It is not safe for concurrent use.
type Negotiator struct {
	mechs []Mechanism
	list  []byte // DER of the offer
	mech  int    // in use

	answered bool // by the acceptor
	done     bool // the mechanism has sent its last token
	wantMIC  bool // the acceptor's choice or wish makes it necessary
	micSent  bool
}

// New returns a Negotiator that offers the mechanisms, the one preferred first:
// its opening token goes with the offer.
func New(mechs ...Mechanism) *Negotiator { return &Negotiator{mechs: mechs} }

// Selected returns the index of the mechanism in use.
func (n *Negotiator) Selected() int { return n.mech }

// Init returns the token that opens the negotiation, for a nil token, or the
// answer to the acceptor's.
func (n *Negotiator) Init(ctx context.Context, token []byte) (out []byte, done bool, err error) {
	if token == nil {
		out, err = n.open(ctx)
		return out, n.done, err
	}
	r, err := parse(token)
	if err != nil {
		return nil, false, err
	}
	out, err = n.answer(ctx, r)
	return out, n.done, err
}

func (n *Negotiator) open(ctx context.Context) ([]byte, error) {
	var oids [][]byte
	for _, m := range n.mechs {
		oids = append(oids, m.OIDs[0])
	}
	token, err := n.step(ctx, nil)
	if err != nil {
		return nil, err
	}
	if n.list, err = mechList(oids); err != nil {
		return nil, err
	}
	return initial(n.list, token)
}

func (n *Negotiator) step(ctx context.Context, token []byte) (out []byte, err error) {
	out, n.done, err = n.mechs[n.mech].Context.Init(ctx, token)
	return out, err
}

// parse takes a NegTokenResp, or a token of the mechanism without one around it,
// as some acceptors send it.
func parse(token []byte) (*response, error) {
	if len(token) == 0 {
		return nil, ErrMalformed
	}
	switch token[0] {
	case byte(application0), 0x6f, 0x7e: // the latter two: AP-REP, KRB-ERROR
		return &response{state: noState, token: token}, nil
	}
	return parseResponse(token)
}

func (n *Negotiator) answer(ctx context.Context, r *response) ([]byte, error) {
	first := !n.answered
	n.answered = true
	if r.state == reject {
		return nil, n.rejected(ctx, r)
	}
	if r.mech != nil && !n.mechs[n.mech].is(r.mech) {
		if !first {
			return nil, ErrNotOffered
		}
		return n.change(ctx, r.mech)
	}
	var out []byte
	if r.token != nil {
		var err error
		if out, err = n.step(ctx, r.token); err != nil {
			return nil, err
		}
	}
	if err := n.verifyMIC(r.mic); err != nil {
		return nil, err
	}
	// To go on after the mechanism is through can only be about the integrity
	// code, whichever state says so.
	wanted := r.state == requestMIC || r.state == acceptIncomplete && n.done && out == nil
	n.wantMIC = n.wantMIC || wanted
	mic := n.makeMIC()
	switch {
	case out != nil || mic != nil:
		return reply(out, mic)
	case wanted:
		return completed()
	}
	return nil, ErrNothingLeft
}

// rejected returns the error for a rejection, with what the mechanism makes of
// the token that may come with it.
func (n *Negotiator) rejected(ctx context.Context, r *response) error {
	if r.token == nil {
		return ErrRejected
	}
	if _, err := n.step(ctx, r.token); err != nil {
		return fmt.Errorf("%w: %w", ErrRejected, err)
	}
	return ErrRejected
}

// change goes on with the mechanism that the acceptor has selected. That it is
// not the preferred one must be confirmed by integrity codes in the end (RFC
// 4178, Section 5), or an attacker could choose.
func (n *Negotiator) change(ctx context.Context, oid []byte) ([]byte, error) {
	i := slices.IndexFunc(n.mechs, func(m Mechanism) bool { return m.is(oid) })
	switch {
	case i < 0 && kindOfOID(oid) == KindNTLM:
		return nil, ErrNTLM
	case i < 0:
		return nil, ErrNotOffered
	}
	n.mech, n.wantMIC = i, true
	token, err := n.step(ctx, nil)
	if err != nil {
		return nil, err
	}
	return reply(token, nil)
}

// makeMIC returns the integrity code over the offer when it is due, or nil. A
// mechanism that has none does without (RFC 4178, Section 5).
func (n *Negotiator) makeMIC() []byte {
	p, ok := n.mechs[n.mech].Context.(Protector)
	if !ok || !n.done || !n.wantMIC || n.micSent {
		return nil
	}
	mic, err := p.MIC(n.list)
	if err != nil {
		return nil
	}
	n.micSent = true
	return mic
}

// verifyMIC verifies the acceptor's integrity code over the offer, if there is
// one and the mechanism can tell.
func (n *Negotiator) verifyMIC(mic []byte) error {
	p, ok := n.mechs[n.mech].Context.(Protector)
	if mic == nil || !ok {
		return nil
	}
	err := p.VerifyMIC(n.list, mic)
	if err == nil || errors.Is(err, ErrUnprotected) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrMIC, err)
}

// Finish takes the token that came with the acceptor's consent.
func (n *Negotiator) Finish(ctx context.Context, token []byte) error {
	r, err := parse(token)
	if err != nil {
		return err
	}
	if r.state == reject {
		return n.rejected(ctx, r)
	}
	if r.mech != nil && !n.mechs[n.mech].is(r.mech) {
		return ErrNotOffered
	}
	if r.token != nil {
		out, err := n.step(ctx, r.token)
		if err != nil {
			return err
		}
		if out != nil {
			return ErrMalformed
		}
	}
	return n.verifyMIC(r.mic)
}
