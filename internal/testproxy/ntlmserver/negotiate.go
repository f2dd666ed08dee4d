package ntlmserver

import (
	"cmp"
	"fmt"
)

// A negotiate is a parsed NEGOTIATE_MESSAGE (MS-NLMP, Section 2.2.1.1).
type negotiate struct {
	flags               uint32
	domain, workstation string // of the machine, in its OEM character set
}

const (
	negotiateLen        = 32
	negotiateVersionLen = 8
)

func parseNegotiate(msg []byte) (*negotiate, error) {
	if len(msg) < negotiateLen {
		return nil, fmt.Errorf("%w: NEGOTIATE of %d bytes", ErrMessage, len(msg))
	}
	n := &negotiate{flags: le.Uint32(msg[12:])}
	p := &payload{msg: msg, start: negotiateLen}
	if n.flags&FlagVersion != 0 {
		p.start += negotiateVersionLen
	}
	if p.start > len(msg) {
		return nil, fmt.Errorf("%w: NEGOTIATE without its version", ErrMessage)
	}
	if n.flags&FlagDomainSupplied != 0 {
		n.domain = string(p.field(16))
	}
	if n.flags&FlagWorkstationSupplied != 0 {
		n.workstation = string(p.field(24))
	}
	_, err := p.begin()
	return n, cmp.Or(p.err, err)
}

// check says whether the server can go on with n.
func (n *negotiate) check() error {
	switch {
	case n.flags&FlagUnicode == 0:
		return fmt.Errorf("%w: NEGOTIATE without Unicode", ErrFlags)
	case n.flags&FlagNTLM == 0:
		return fmt.Errorf("%w: NEGOTIATE without NTLM", ErrFlags)
	}
	return nil
}
