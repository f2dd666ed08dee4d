package spnegoserver

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/asn1tools"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// A krbSession is what the two ends share after a good AP-REQ.
type krbSession struct {
	mutual    bool
	session   types.EncryptionKey
	initiator types.EncryptionKey // its subkey, if any
	acceptor  types.EncryptionKey // ours, if any
	time      time.Time
	micros    int
	seq       uint32 // of the acceptor
}

func (c *Context) newSession(ap *messages.APReq) *krbSession {
	s := &krbSession{
		mutual:    c.seen.MutualOption,
		session:   ap.Ticket.DecryptedEncPart.Key,
		initiator: ap.Authenticator.SubKey,
		time:      ap.Authenticator.CTime,
		micros:    ap.Authenticator.Cusec,
		seq:       randomSeq(),
	}
	if s.mutual && !c.srv.NoSubkey {
		s.acceptor = randomKey(s.session.KeyType)
	}
	return s
}

// randomSeq returns a number of 30 bits, as some implementations take for signed
// what is more.
func randomSeq() uint32 {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint32(b[:]) >> 2
}

func randomKey(etype int32) types.EncryptionKey {
	value := make([]byte, keySizes[etype])
	rand.Read(value)
	return types.EncryptionKey{KeyType: etype, KeyValue: value}
}

// Numbers of RFC 4120 for the AP-REP.
const (
	msgAPRep       = 15
	tagEncAPRep    = 27
	usageAPRepPart = 12
)

// cutBytes is what [ReplyCut] cuts off.
const cutBytes = 7

// apRep returns the AP-REP as a token, by the faults. It is nil if there is to
// be none.
func (c *Context) apRep() ([]byte, error) {
	switch c.faults.Reply {
	case ReplyMissing, ReplyNone:
		return nil, nil
	case ReplyGarbage:
		return garbage, nil
	case ReplyError:
		return c.krbError(krbGeneric), nil
	}
	message, err := c.krb.apRep(c.faults.Reply)
	if err != nil {
		return nil, err
	}
	token := frame(oidKrb5, append(tokAPRep[:2:2], message...))
	if c.faults.Reply == ReplyCut {
		token = token[:len(token)-cutBytes]
	}
	return token, nil
}

// apRep returns an AP-REP (RFC 4120, Section 5.5.2). It is encrypted with the
// ticket's session key, whatever subkeys there are.
func (s *krbSession) apRep(reply Reply) ([]byte, error) {
	part := messages.EncAPRepPart{CTime: s.time, Cusec: s.micros, Subkey: s.acceptor, SequenceNumber: int64(s.seq)}
	key := s.session
	switch reply {
	case ReplyWrongKey:
		key = randomKey(key.KeyType)
	case ReplyWrongTime:
		part.CTime = part.CTime.Add(time.Second)
	case ReplyWrongMicros:
		part.Cusec = (part.Cusec + 1) % 1_000_000
	}
	plain, err := asn1.Marshal(part)
	if err != nil {
		return nil, err
	}
	plain = asn1tools.AddASNAppTag(plain, tagEncAPRep)
	encrypted, err := crypto.GetEncryptedData(plain, key, usageAPRepPart, 0)
	if err != nil {
		return nil, err
	}
	out, err := asn1.Marshal(messages.APRep{PVNO: krbVersion, MsgType: msgAPRep, EncPart: encrypted})
	return asn1tools.AddASNAppTag(out, msgAPRep), err
}
