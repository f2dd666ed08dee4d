package spnegoserver

import (
	"bytes"
	"fmt"
)

// garbage begins like no token.
var garbage = []byte("no token at all")

// begin takes a NegTokenInit.
func (c *Context) begin(in []byte) ([]byte, bool, error) {
	init, err := parseInit(in)
	if err != nil {
		return nil, false, err
	}
	c.init = init
	c.noteInit()
	switch {
	case c.faults.Garbage:
		c.next = func([]byte) ([]byte, bool, error) { return nil, false, ErrSequence }
		return garbage, false, nil
	case c.faults.Reject:
		return newResp(reject).marshal(), false, ErrRejected
	}
	for i, mech := range init.mechs {
		if c.mechanism = c.supported(mech); c.mechanism != nil {
			return c.selectMech(i)
		}
	}
	return newResp(reject).marshal(), false, ErrNoCommonMech
}

func (c *Context) noteInit() {
	for _, mech := range c.init.mechs {
		c.seen.MechTypes = append(c.seen.MechTypes, dotted(mech))
	}
	c.seen.Optimistic = c.init.token != nil
	if repeats(c.init.mechs) {
		c.seen.violation("a mechanism offered twice")
	}
	if c.init.mic != nil {
		c.seen.violation("mechListMIC in the first token")
	}
}

// supported returns what takes the tokens of the mechanism, nil if it is not
// accepted.
func (c *Context) supported(mech []byte) func(token, mic []byte) ([]byte, bool, error) {
	switch {
	case bytes.Equal(mech, oidNTLM) && c.srv.NTLM != nil:
		return c.ntlmInside
	case bytes.Equal(mech, oidKrb5), bytes.Equal(mech, oidMSKrb5):
		if c.srv.Keytab != nil && !c.faults.SelectNTLM {
			return c.kerberos
		}
	}
	return nil
}

// selectMech settles the mechanism. The MIC may only be left out for the
// client's first choice (RFC 4178, Section 5).
func (c *Context) selectMech(i int) ([]byte, bool, error) {
	c.mech = c.init.mechs[i]
	c.seen.Selected = dotted(c.mech)
	c.micWanted = i > 0 || c.faults.RequestMIC
	if i == 0 && c.init.token != nil {
		return c.mechanism(c.init.token, nil)
	}
	return c.goOn(newResp(acceptIncomplete))
}

// resp takes a NegTokenResp.
func (c *Context) resp(in []byte) ([]byte, bool, error) {
	r, err := parseResp(in)
	if err != nil {
		return nil, false, err
	}
	if r.mech != nil {
		c.seen.violation("supportedMech from the client")
	}
	if r.state != nil && *r.state == reject {
		return nil, false, fmt.Errorf("%w: the client rejects", ErrSequence)
	}
	return c.mechanism(r.token, r.mic)
}

// goOn answers with r and expects another NegTokenResp.
func (c *Context) goOn(r *negTokenResp) ([]byte, bool, error) {
	c.next = c.resp
	if !c.replied && c.micWanted && !c.faults.PlainIncomplete {
		*r.state = requestMIC
	}
	c.nameMech(r)
	return r.marshal(), false, nil
}

// nameMech says the mechanism in the first answer.
func (c *Context) nameMech(r *negTokenResp) {
	if !c.replied {
		r.mech = c.mech
	}
	c.replied = true
}

// finish answers with r, the last token unless the faults want more.
func (c *Context) finish(r *negTokenResp) ([]byte, bool, error) {
	c.nameMech(r)
	if c.extraLegs < c.faults.ExtraLegs {
		c.extraLegs++
		*r.state = acceptIncomplete
		c.next = func([]byte) ([]byte, bool, error) { return c.finish(newResp(acceptCompleted)) }
		return r.marshal(), false, nil
	}
	if c.faults.OmitNegState {
		r.state = nil
	}
	if c.faults.OmitMech {
		r.mech = nil
	}
	return r.marshal(), true, nil
}

// A signer makes and checks MICs.
type signer interface {
	Sign(message []byte) ([]byte, error)
	Verify(message, signature []byte) error
}

// checkMIC verifies the client's mechListMIC, which may be missing if it is not
// wanted.
func (c *Context) checkMIC(s signer, mic []byte) error {
	switch {
	case mic == nil && c.micWanted:
		return ErrMICMissing
	case mic == nil:
		return nil
	}
	if err := s.Verify(c.init.mechList, mic); err != nil {
		return fmt.Errorf("%w: %w", ErrMIC, err)
	}
	c.seen.MIC = true
	return nil
}

// sign returns the server's mechListMIC.
func (c *Context) sign(s signer) ([]byte, error) {
	if c.faults.NoMIC {
		return nil, nil
	}
	mic, err := s.Sign(c.init.mechList)
	if err == nil && c.faults.WrongMIC {
		mic[len(mic)-1] ^= 1
	}
	return mic, err
}

// refuse rejects the client, for err, with a token of the mechanism if there is
// one.
func (c *Context) refuse(token []byte, err error) ([]byte, bool, error) {
	r := newResp(reject)
	r.token = token
	c.nameMech(r)
	return r.marshal(), false, err
}
