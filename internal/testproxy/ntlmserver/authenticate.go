package ntlmserver

import (
	"cmp"
	"fmt"
)

// An authenticate is a parsed AUTHENTICATE_MESSAGE (MS-NLMP, Section 2.2.1.3).
type authenticate struct {
	wire                      []byte
	lm, nt                    []byte
	domain, user, workstation string
	sessionKey                []byte
	flags                     uint32
	mic                       []byte // nil if the payload leaves no room for it
}

const (
	authenticateLen        = 64
	authenticateVersionLen = 8
	micAt                  = authenticateLen + authenticateVersionLen
	micLen                 = 16
)

func parseAuthenticate(msg []byte) (*authenticate, error) {
	if len(msg) < authenticateLen {
		return nil, fmt.Errorf("%w: AUTHENTICATE of %d bytes", ErrMessage, len(msg))
	}
	a := &authenticate{wire: msg, flags: le.Uint32(msg[60:])}
	if err := a.checkUnicode(); err != nil {
		return nil, err
	}
	p := &payload{msg: msg, start: authenticateLen}
	if a.flags&FlagVersion != 0 {
		p.start += authenticateVersionLen
	}
	a.lm, a.nt = p.field(12), p.field(20)
	a.domain, a.user, a.workstation = p.text(28), p.text(36), p.text(44)
	a.sessionKey = p.field(52)
	begin, err := p.begin()
	if err := cmp.Or(p.err, err); err != nil {
		return nil, err
	}
	// The MIC has one place, but clients that know nothing of it begin their
	// payload there, or before.
	if begin >= micAt+micLen {
		a.mic = msg[micAt : micAt+micLen]
	}
	return a, nil
}

func (a *authenticate) checkUnicode() error {
	if a.flags&FlagUnicode == 0 || a.flags&FlagOEM != 0 {
		return fmt.Errorf("%w: AUTHENTICATE must be Unicode, as the challenge is", ErrFlags)
	}
	return nil
}
