package spnegoserver

import (
	"bytes"
	"crypto/hmac"
	"fmt"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Numbers of RFC 4120: tags, options, flags and key usages.
const (
	tagAPReq          = 0x6e // [APPLICATION 14], constructed
	optionSessionKey  = 1
	optionMutual      = 2
	flagInvalid       = 7
	usageTicket       = 2
	usageAPReq        = 11
	krbVersion        = 5
	checksumOfGSSAPI  = 0x8003
	checksumMinLength = 24
)

// keySizes are the lengths of the keys in bytes. A subkey of another length is
// one that no other implementation takes.
var keySizes = map[int32]int{17: 16, 18: 32, 19: 16, 20: 32, 23: 16}

// verifyToken takes the client's token of Kerberos, with its framing.
func (c *Context) verifyToken(token []byte) (*krbSession, error) {
	body, err := framed(oidKrb5, token)
	if err != nil {
		return nil, err
	}
	message, ok := bytes.CutPrefix(body, tokAPReq)
	if !ok {
		return nil, malformed("not an AP-REQ")
	}
	if _, err := only(tagAPReq, message); err != nil {
		return nil, err
	}
	var ap messages.APReq
	if err := ap.Unmarshal(message); err != nil || ap.PVNO != krbVersion {
		return nil, malformed("AP-REQ")
	}
	return c.verifyAPReq(&ap)
}

// verifyAPReq follows RFC 4120, Section 3.2.3, and RFC 4121, Section 4.1.1.
func (c *Context) verifyAPReq(ap *messages.APReq) (*krbSession, error) {
	if err := c.openTicket(ap); err != nil {
		return nil, err
	}
	if err := c.openAuthenticator(ap); err != nil {
		return nil, err
	}
	if err := c.verifyChecksum(ap.Authenticator.Cksum); err != nil {
		return nil, err
	}
	c.seen.MutualOption = isSet(ap.APOptions, optionMutual)
	if c.seen.MutualOption != c.seen.Flags.Has(FlagMutual) {
		c.seen.violation("mutual flag and mutual-required option differ")
	}
	if isSet(ap.APOptions, optionSessionKey) {
		c.seen.violation("use-session-key option")
	}
	return c.newSession(ap), nil
}

// isSet is for flags of any length, unlike the one of gokrb5.
func isSet(flags asn1.BitString, flag int) bool { return flags.At(flag) == 1 }

func (c *Context) openTicket(ap *messages.APReq) error {
	ticket := &ap.Ticket
	c.seen.Service = ticket.SName.PrincipalNameString()
	c.seen.TicketEnctype = ticket.EncPart.EType
	if c.srv.Service != "" && c.seen.Service != c.srv.Service {
		return ErrWrongService
	}
	keys, err := c.srv.table()
	if err != nil {
		return err
	}
	key, _, err := keys.GetEncryptionKey(ticket.SName, ticket.Realm, ticket.EncPart.KVNO, ticket.EncPart.EType)
	if err != nil {
		return ErrNoKey
	}
	plain, err := decrypt(ticket.EncPart.Cipher, key, usageTicket)
	if err != nil || ticket.DecryptedEncPart.Unmarshal(plain) != nil {
		return ErrTicket
	}
	return c.checkTimes(ticket.DecryptedEncPart)
}

func (c *Context) checkTimes(ticket messages.EncTicketPart) error {
	now, skew := c.srv.now(), c.srv.skew()
	start := ticket.StartTime
	if start.IsZero() {
		start = ticket.AuthTime
	}
	switch {
	case now.Before(start.Add(-skew)), isSet(ticket.Flags, flagInvalid):
		return ErrTicketNotValid
	case now.After(ticket.EndTime.Add(skew)):
		return ErrTicketExpired
	}
	return nil
}

func (c *Context) openAuthenticator(ap *messages.APReq) error {
	ticket, auth := ap.Ticket.DecryptedEncPart, &ap.Authenticator
	c.seen.SessionEnctype = ticket.Key.KeyType
	plain, err := decrypt(ap.EncryptedAuthenticator.Cipher, ticket.Key, usageAPReq)
	if err != nil || auth.Unmarshal(plain) != nil {
		return fmt.Errorf("%w: it can't be decrypted", ErrAuthenticator)
	}
	if auth.CRealm != ticket.CRealm || !auth.CName.Equal(ticket.CName) {
		return fmt.Errorf("%w: the ticket is another client's", ErrAuthenticator)
	}
	c.seen.Client = auth.CName.PrincipalNameString() + "@" + auth.CRealm
	c.seen.SubkeyEnctype = auth.SubKey.KeyType
	if size := len(auth.SubKey.KeyValue); size != keySizes[auth.SubKey.KeyType] {
		return fmt.Errorf("%w: subkey of type %d with %d bytes", ErrAuthenticator, auth.SubKey.KeyType, size)
	}
	sent := auth.CTime.Add(time.Duration(auth.Cusec) * time.Microsecond)
	if c.srv.now().Sub(sent).Abs() > c.srv.skew() {
		return ErrSkew
	}
	return c.srv.fresh(c.seen.Client, sent, c.srv.now())
}

// decrypt is crypto.DecryptMessage without its panics on short ciphertexts.
func decrypt(ciphertext []byte, key types.EncryptionKey, usage uint32) (plain []byte, err error) {
	defer func() {
		if recover() != nil {
			err = ErrMalformed
		}
	}()
	return crypto.DecryptMessage(ciphertext, key, usage)
}

// verifyChecksum takes the checksum that carries the context flags and the
// channel binding (RFC 4121, Section 4.1.1).
func (c *Context) verifyChecksum(sum types.Checksum) error {
	b := sum.Checksum
	if sum.CksumType != checksumOfGSSAPI || len(b) < checksumMinLength {
		return fmt.Errorf("%w: type %d with %d bytes", ErrChecksum, sum.CksumType, len(b))
	}
	if little.Uint32(b) != bindingSize {
		return fmt.Errorf("%w: length of the binding", ErrChecksum)
	}
	c.seen.Flags = Flags(little.Uint32(b[4+bindingSize:]))
	if c.seen.Flags.Has(FlagDelegate) || len(b) > checksumMinLength {
		c.seen.violation("credentials delegated")
	}
	return c.verifyBinding(b[4 : 4+bindingSize])
}

// verifyBinding compares the channel binding. A server without one looks at
// none, as the ones by MIT do.
func (c *Context) verifyBinding(got []byte) error {
	c.seen.ChannelBinding = !bytes.Equal(got, make([]byte, bindingSize))
	switch {
	case c.seen.ChannelBinding && c.binding != nil:
		c.seen.BindingOK = hmac.Equal(got, bindingHash(c.binding))
		if !c.seen.BindingOK {
			return ErrChannelBinding
		}
	case c.srv.RequireCB:
		return ErrNoBinding
	}
	return nil
}
