package spnegoserver

import "fmt"

// beginRawNTLM takes NTLM without SPNEGO, which is answered in kind.
func (c *Context) beginRawNTLM(in []byte) ([]byte, bool, error) {
	c.seen.Raw = true
	if c.srv.NTLM == nil {
		return nil, false, ErrRawNTLM
	}
	c.seen.Selected = NTLMSSP
	c.ntlm = c.srv.NTLM(c.binding)
	return c.rawNTLM(in)
}

func (c *Context) rawNTLM(in []byte) ([]byte, bool, error) {
	c.next = c.rawNTLM
	out, done, err := c.stepNTLM(in)
	return out, done, err
}

func (c *Context) stepNTLM(in []byte) ([]byte, bool, error) {
	out, done, err := c.ntlm.Accept(in)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrNTLM, err)
	}
	if done {
		c.user = c.ntlm.User()
	}
	return out, done, nil
}

// ntlmInside takes a message of NTLM inside SPNEGO.
func (c *Context) ntlmInside(token, mic []byte) ([]byte, bool, error) {
	if c.ntlm == nil {
		c.ntlm = c.srv.NTLM(c.binding)
	}
	out, done, err := c.stepNTLM(token)
	switch {
	case err != nil:
		return c.refuse(nil, err)
	case done:
		return c.finishNTLM(mic)
	case c.faults.RawNTLM:
		c.next = c.rawNTLM
		return out, false, nil
	}
	r := newResp(acceptIncomplete)
	r.token = out
	return c.goOn(r)
}

// finishNTLM exchanges MICs. The client's comes with its last message, and is
// answered if it does.
func (c *Context) finishNTLM(mic []byte) ([]byte, bool, error) {
	if err := c.checkMIC(c.ntlm, mic); err != nil {
		return c.refuse(nil, err)
	}
	r := newResp(acceptCompleted)
	if mic != nil {
		var err error
		if r.mic, err = c.sign(c.ntlm); err != nil {
			return c.refuse(nil, fmt.Errorf("%w: %w", ErrMICUnsupported, err))
		}
	}
	return c.finish(r)
}
