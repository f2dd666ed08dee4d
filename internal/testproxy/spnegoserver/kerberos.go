package spnegoserver

import (
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// The token identifiers of RFC 4121, Section 4.1.
var (
	tokAPReq = []byte{1, 0}
	tokAPRep = []byte{2, 0}
	tokError = []byte{3, 0}
)

// kerberos takes an AP-REQ and, where a MIC is wanted, another token with it.
func (c *Context) kerberos(token, mic []byte) ([]byte, bool, error) {
	if c.krb != nil {
		return c.finishKerberos(mic)
	}
	session, err := c.verifyToken(token)
	if err == nil && c.faults.KRBError != 0 {
		return c.refuse(c.krbError(c.faults.KRBError), ErrRejected)
	}
	if err != nil {
		return c.refuse(c.krbError(krbCode(err)), err)
	}
	c.krb, c.user = session, c.seen.Client
	return c.answerKerberos()
}

// answerKerberos answers a good AP-REQ, by an AP-REP if the client has asked for
// one.
func (c *Context) answerKerberos() ([]byte, bool, error) {
	r := newResp(acceptCompleted)
	if c.krb.mutual {
		var err error
		if r.token, err = c.apRep(); err != nil {
			return c.refuse(nil, err)
		}
	}
	if c.micWanted {
		return c.wantMIC(r)
	}
	switch c.faults.Reply {
	case ReplyBare:
		return r.token, true, nil
	case ReplyNone:
		return nil, true, nil
	}
	return c.finish(r)
}

// wantMIC asks for the client's MIC, and adds the server's where the server's
// token is the last one of the mechanism (RFC 4178, Section 5).
func (c *Context) wantMIC(r *negTokenResp) ([]byte, bool, error) {
	*r.state = acceptIncomplete
	if r.token != nil {
		var err error
		if r.mic, err = c.sign(c.krb); err != nil {
			return c.refuse(nil, err)
		}
	}
	return c.goOn(r)
}

func (c *Context) finishKerberos(mic []byte) ([]byte, bool, error) {
	if err := c.checkMIC(c.krb, mic); err != nil {
		return c.refuse(nil, err)
	}
	r := newResp(acceptCompleted)
	if !c.krb.mutual {
		var err error
		if r.mic, err = c.sign(c.krb); err != nil {
			return c.refuse(nil, err)
		}
	}
	return c.finish(r)
}

// krbError returns a KRB-ERROR as a token. It can't fail on what it is made of,
// and is left out if it does.
func (c *Context) krbError(code int32) []byte {
	service := types.NewPrincipalName(ntServiceInstance, c.seen.Service)
	e := messages.NewKRBError(service, c.realm(), code, "")
	e.STime, e.Susec = c.srv.now().UTC(), 0
	message, err := e.Marshal()
	if err != nil {
		return nil
	}
	return frame(oidKrb5, append(tokError[:2:2], message...))
}

const ntServiceInstance = 2

// realm returns the realm of the first key, which is the service's.
func (c *Context) realm() string {
	keys, err := c.srv.table()
	if err != nil || len(keys.Entries) == 0 {
		return ""
	}
	return keys.Entries[0].Principal.Realm
}
