package krb

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/gssapi"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/spnego"
)

var _ spnego.Protector = (*Context)(nil)

// A Ticket is good for contexts with one service.
type Ticket struct {
	cred   *credential
	auths  *authenticators
	forget func()
}

// Forget drops the ticket, which the proxy has refused, so that the next one is
// fetched anew: its key may have changed.
func (t *Ticket) Forget() { t.forget() }

// New reports whether the ticket was fetched a moment ago, so that another one
// would be no better.
func (t *Ticket) New() bool { return t.cred.isNew() }

// A Context is the initiator's side of a GSS-API context over Kerberos (RFC
// 4121). It asks for mutual authentication and never delegates.
type Context struct {
	ticket   *Ticket
	bindings [16]byte

	auth     types.Authenticator // sent
	acceptor types.EncryptionKey // the acceptor's subkey, if it has sent one
	verified bool
}

// NewContext returns a context. bindings is the hash of the channel bindings,
// zero for none.
func NewContext(ticket *Ticket, bindings [16]byte) *Context {
	return &Context{ticket: ticket, bindings: bindings}
}

// Verified reports whether the peer has proved who it is.
func (c *Context) Verified() bool { return c.verified }

var (
	errOutOfTurn = errors.New("proxyauth: negotiate: Kerberos token out of turn")
	errNoToken   = errors.New("proxyauth: negotiate: no Kerberos token can be made of the ticket")
)

// Init returns the token that opens the context, for a nil token, and verifies
// the one that comes back, which it answers with none.
func (c *Context) Init(_ context.Context, token []byte) (out []byte, done bool, err error) {
	switch {
	case c.auth.AVNO == 0 && token == nil:
		out, err = recovered(c.open)
		if err != nil && err != ErrTicketExpired {
			err = errNoToken // gokrb5's own may name the user
		}
		return out, true, err
	case c.auth.AVNO == 0 || token == nil || c.verified:
		return nil, false, errOutOfTurn
	}
	_, err = recovered(func() (struct{}, error) { return struct{}{}, c.accept(token) })
	return nil, true, err
}

// open makes the AP-REQ.
func (c *Context) open() ([]byte, error) {
	cred := c.ticket.cred
	if !cred.valid(time.Now()) {
		return nil, ErrTicketExpired
	}
	auth, err := c.ticket.auths.new(cred.client)
	if err != nil {
		return nil, err
	}
	// As long as the session key: gokrb5 is wrong about the size of one type.
	auth.SubKey = types.EncryptionKey{KeyType: cred.key.KeyType, KeyValue: make([]byte, len(cred.key.KeyValue))}
	rand.Read(auth.SubKey.KeyValue)
	auth.Cksum = types.Checksum{CksumType: checksumType, Checksum: checksum(c.bindings)}
	req, err := messages.NewAPReq(cred.ticket, cred.key, auth)
	if err != nil {
		return nil, err
	}
	types.SetFlag(&req.APOptions, flags.APOptionMutualRequired)
	message, err := req.Marshal()
	if err != nil {
		return nil, err
	}
	c.auth = auth
	return frame(tokenAPReq, message)
}

// accept verifies what came back: an AP-REP, or an error.
func (c *Context) accept(token []byte) error {
	id, message, ok := unframe(token)
	switch {
	case ok && id == tokenAPRep:
		return c.verify(message)
	case ok && id == tokenError:
		if e := parseError(message); e != nil {
			return proxyError(e)
		}
	}
	return fmt.Errorf("%w: no Kerberos token", ErrNotVerified)
}

// verify checks that the AP-REP was made by who can decrypt the AP-REQ (RFC 4120,
// Section 3.2.5).
func (c *Context) verify(message []byte) error {
	var rep messages.APRep
	if rep.Unmarshal(message) != nil {
		return fmt.Errorf("%w: malformed", ErrNotVerified)
	}
	plain, err := crypto.DecryptEncPart(rep.EncPart, c.ticket.cred.key, keyusage.AP_REP_ENCPART)
	if err != nil {
		return fmt.Errorf("%w: can't be decrypted", ErrNotVerified)
	}
	var part messages.EncAPRepPart
	if part.Unmarshal(plain) != nil {
		return fmt.Errorf("%w: malformed", ErrNotVerified)
	}
	sent, got := timeOctets(c.auth.CTime, c.auth.Cusec), timeOctets(part.CTime, part.Cusec)
	if subtle.ConstantTimeCompare(sent, got) != 1 {
		return fmt.Errorf("%w: for another request", ErrNotVerified)
	}
	if part.Subkey.KeyType != 0 || len(part.Subkey.KeyValue) > 0 {
		if !supportedKey(part.Subkey) {
			return fmt.Errorf("%w: subkey of an unknown type", ErrNotVerified)
		}
		c.acceptor = part.Subkey
	}
	c.verified = true
	return nil
}

func timeOctets(t time.Time, usec int) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(t.Unix()))
	return binary.BigEndian.AppendUint64(b, uint64(usec))
}

// micFlagAcceptorSubkey says that a token was made with the acceptor's subkey
// (RFC 4121, Section 4.2.2).
const micFlagAcceptorSubkey = 4

// errNoMIC is for the keys of RC4 and 3DES, whose integrity codes are of an older
// form. Windows wants none where Kerberos is the first choice.
var errNoMIC = fmt.Errorf("%w with Kerberos keys of this type", spnego.ErrUnprotected)

// micKey returns the key of per-message tokens, and the flag that says which one
// it is.
func (c *Context) micKey() (types.EncryptionKey, byte, error) {
	key, flag := c.auth.SubKey, byte(0)
	if c.acceptor.KeyValue != nil {
		key, flag = c.acceptor, micFlagAcceptorSubkey
	}
	if key.KeyType == etypeID.RC4_HMAC || key.KeyType == etypeID.DES3_CBC_SHA1_KD || c.auth.AVNO == 0 {
		return key, 0, errNoMIC
	}
	return key, flag, nil
}

// MIC returns the integrity code of the first message to the peer (RFC 4121,
// Section 4.2.6.1).
func (c *Context) MIC(message []byte) ([]byte, error) {
	key, flag, err := c.micKey()
	if err != nil {
		return nil, err
	}
	return recovered(func() ([]byte, error) {
		mic := gssapi.MICToken{Flags: flag, SndSeqNum: uint64(c.auth.SeqNumber), Payload: message}
		if err := mic.SetChecksum(key, keyusage.GSSAPI_INITIATOR_SIGN); err != nil {
			return nil, err
		}
		return mic.Marshal()
	})
}

// VerifyMIC verifies the integrity code of a message from the peer.
func (c *Context) VerifyMIC(message, mic []byte) error {
	key, flag, err := c.micKey()
	if err != nil {
		return err
	}
	ok, err := recovered(func() (bool, error) {
		var token gssapi.MICToken
		if err := token.Unmarshal(mic, true); err != nil || token.Flags&micFlagAcceptorSubkey != flag {
			return false, ErrNotVerified
		}
		token.Payload = message
		return token.Verify(key, keyusage.GSSAPI_ACCEPTOR_SIGN)
	})
	if err != nil || !ok {
		return fmt.Errorf("%w: integrity code", ErrNotVerified)
	}
	return nil
}
