package sspi

import "sync/atomic"

// The statuses that tests have SSPI return.
const (
	StatusOK            = uint32(statusOK)
	StatusContinue      = uint32(statusContinue)
	StatusTargetUnknown = uint32(statusTargetUnknown)
	StatusInvalidToken  = uint32(statusInvalidToken)
	StatusLogonDenied   = uint32(statusLogonDenied)
	StatusNoCredentials = uint32(statusNoCredentials)
	StatusTimeSkew      = uint32(statusTimeSkew)
	StatusNoAuthority   = uint32(statusNoAuthority)
)

// A Fake stands for SSPI.
type Fake struct {
	// Acquire returns the status for a login. Nil means StatusOK. domain and user are
	// empty for the user who is logged in.
	Acquire func(domain, user, password string) uint32

	// Step is a step of a context, whose number counts from 1.
	Step func(n int, target string, bindings, in []byte) (out []byte, mutual bool, st uint32)

	// Packages are those that were asked for, and the others count handles.
	Packages              []string
	Acquired              atomic.Int64
	Credentials, Contexts atomic.Int64
}

// With has an Engine, and WithNTLM an NTLM, use f.
func (f *Fake) With(e *Engine) *Engine { e.system = f; return e }
func (f *Fake) WithNTLM(n *NTLM) *NTLM { n.system = f; return n }

func (f *Fake) acquire(pkg Package, id *identity) (credential, status) {
	if f.Acquired.Add(1) == 1 {
		f.Packages = append(f.Packages, string(pkg))
	}
	if f.Acquire != nil {
		user := identity{password: func() string { return "" }}
		if id != nil {
			user = *id
		}
		if st := f.Acquire(user.domain, user.user, user.password()); st != StatusOK {
			return nil, status(st)
		}
	}
	f.Credentials.Add(1)
	return fakeCredential{f}, statusOK
}

type fakeCredential struct{ f *Fake }

func (c fakeCredential) newContext() handle {
	c.f.Contexts.Add(1)
	return &fakeHandle{f: c.f}
}

func (c fakeCredential) release() { c.f.Credentials.Add(-1) }

type fakeHandle struct {
	f     *Fake
	steps int
}

func (h *fakeHandle) step(target string, bindings, in []byte) (out []byte, attributes uint32, st status) {
	h.steps++
	out, mutual, code := h.f.Step(h.steps, target, bindings, in)
	if mutual {
		attributes = attrMutual
	}
	return out, attributes, status(code)
}

func (h *fakeHandle) release() { h.f.Contexts.Add(-1) }
