package krb

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana"
	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/iana/msgtype"
	"github.com/jcmturner/gokrb5/v8/iana/patype"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// An asExchange gets a ticket-granting ticket for a secret (RFC 4120, Section
// 3.1).
//
// The first request goes without pre-authentication. It proves nothing, so that
// no failure is counted, and the answer tells the salt, the type of the key, and
// which KDC is alive, or that the account is not to be used. The second one then
// goes to that KDC alone, and once: gokrb5's own exchange guesses first and sends
// a wrong password twice. A KDC that asks for no proof gets none; its reply is
// what a wrong password can't decrypt.
type asExchange struct {
	*transport
	conf   *conf
	client principal
	secret longTermKey
	proves func() // called before the proof is sent
	types  []int32

	request messages.ASReq
	kdc     string              // that has answered, "" if none has
	key     types.EncryptionKey // proved, or none
	proved  bool                // the proof was sent
	info    types.PADataSequence
}

func (x *asExchange) run(ctx context.Context) (*credential, error) {
	if x.types = x.secret.types(x.conf.ticketTypes); len(x.types) == 0 {
		return nil, fmt.Errorf("%w: the keytab has no key of a permitted type", ErrEncType)
	}
	x.request = messages.ASReq{KDCReqFields: messages.KDCReqFields{
		PVNO:    iana.PVNO,
		MsgType: msgtype.KRB_AS_REQ,
		ReqBody: messages.KDCReqBody{
			KDCOptions: types.NewKrbFlags(),
			Realm:      x.client.realm,
			CName:      x.client.name,
			SName:      ticketGranting(x.client.realm),
			Till:       time.Now().UTC().Add(x.conf.lifetime),
			Nonce:      newNonce(),
			EType:      x.types,
		},
	}}
	request, err := x.marshal()
	if err != nil {
		return nil, err
	}
	reply, kdc, err := x.exchange(ctx, request, isKerberos)
	if err != nil {
		return nil, err
	}
	x.kdc = kdc
	if e := parseError(reply); e != nil {
		if e.ErrorCode != errorcode.KDC_ERR_PREAUTH_REQUIRED {
			return nil, x.refusal(e)
		}
		if reply, err = x.preauthenticate(ctx, e); err != nil {
			return nil, err
		}
	}
	return x.accept(reply)
}

func (x *asExchange) marshal() ([]byte, error) {
	request, err := recovered(x.request.Marshal)
	if err != nil {
		return nil, fmt.Errorf("%w: the names can't be sent", ErrClientUnknown)
	}
	return request, nil
}

// preauthenticate answers the KDC's demand for pre-authentication. The proof goes to that KDC alone, on
// one connection.
func (x *asExchange) preauthenticate(ctx context.Context, demand *messages.KRBError) ([]byte, error) {
	x.info = parsePAData(demand.EData)
	if len(x.info) > 0 && !x.info.Contains(patype.PA_ENC_TIMESTAMP) {
		return nil, because(ErrKDC, "it wants a pre-authentication other than a password's")
	}
	info, err := keyInfoOf(x.info, x.client, x.types)
	if err != nil {
		return nil, err
	}
	var kvno int
	if x.key, kvno, err = x.secret.key(info); err != nil {
		return nil, err
	}
	stamp, err := encryptedTimestamp(x.key, kvno)
	if err != nil {
		return nil, errNoToken
	}
	x.request.PAData = types.PADataSequence{stamp}
	x.request.ReqBody.Nonce = newNonce()
	request, err := x.marshal()
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	// From here on the verdict is waited for, even if nobody needs the ticket
	// any more: who asks next would have to be told that it is unknown.
	timeout := verdictTimeout(ctx)
	waiting, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	var reply []byte
	for range 2 { // one connection may be lost, but not once the proof was sent
		reply, err = x.one(waiting, x.kdc, request, func() {
			x.proved = true
			x.proves()
		})
		if err == nil || x.proved {
			break
		}
	}
	if err != nil {
		if waiting.Err() != nil {
			err = fmt.Errorf("no answer within %v", timeout.Round(time.Second))
		}
		err = x.failure(ErrKDCUnreachable, []string{x.kdc}, map[string]error{x.kdc: err})
		if x.proved {
			err = x.secret.heldBack(noVerdict(err))
		}
		return nil, err
	}
	if e := parseError(reply); e != nil {
		return nil, x.refusal(e)
	}
	return reply, nil
}

// verdictTimeout is for how long the verdict on a proof is waited for: for as long as
// the call lasts, since a proof without a verdict can't be repeated.
func verdictTimeout(ctx context.Context) time.Duration {
	left := proofTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	return max(left, answerTimeout)
}

// noVerdict returns the error for a proof without an answer: the KDC may have
// counted a failure all the same.
func noVerdict(err error) error {
	return because(ErrNoVerdict, "%s", strings.TrimPrefix(err.Error(), ErrKDCUnreachable.Error()+": "))
}

// refusal puts a KDC's error in words. After a proof a failed decryption means
// that the secret is wrong, and any other error is reason for a pause: what a KDC does not
// explain may have been counted.
func (x *asExchange) refusal(e *messages.KRBError) error {
	err := x.explain(e)
	if x.proved && verdictless(err) {
		err = paused(err)
	}
	return err
}

func (x *asExchange) explain(e *messages.KRBError) error {
	switch e.ErrorCode {
	case errorcode.KDC_ERR_PREAUTH_FAILED, errorcode.KRB_AP_ERR_BAD_INTEGRITY:
		if x.proved {
			return x.secret.refused(fmt.Errorf("%w (KDC: error %d)", x.secret.wrong(), e.ErrorCode))
		}
	case errorcode.KRB_AP_ERR_SKEW:
		if d := time.Since(e.STime).Round(time.Second).Abs(); d > x.conf.skew {
			return because(ErrClockSkew, "by %v from the KDC's", d)
		}
	case errorcode.KDC_ERR_CLIENT_REVOKED, errorcode.KDC_ERR_KEY_EXPIRED, errorcode.KDC_ERR_NAME_EXP:
		if !x.proved {
			// The secret was not looked at, and the next hour may see the
			// account unlocked.
			return x.secret.heldBack(kdcError(e))
		}
		return x.secret.refused(kdcError(e))
	}
	return kdcError(e)
}

// accept takes an AS-REP. One that brings no ticket is reason for a pause.
func (x *asExchange) accept(data []byte) (*credential, error) {
	rep, err := recovered(func() (*messages.ASRep, error) {
		var rep messages.ASRep
		return &rep, rep.Unmarshal(data)
	})
	switch {
	case err != nil && x.proved:
		return nil, x.secret.heldBack(ErrMalformedReply)
	case err != nil:
		return nil, ErrMalformedReply
	}
	cred, err := x.open(rep)
	if err != nil && verdictless(err) {
		err = paused(err)
	}
	return cred, err
}

// open decrypts an AS-REP and verifies that it is the answer to the request.
func (x *asExchange) open(rep *messages.ASRep) (*credential, error) {
	key, err := x.replyKey(rep)
	if err != nil {
		return nil, err
	}
	part, err := decryptReply(rep.EncPart, key, keyusage.AS_REP_ENCPART)
	if err != nil {
		// Where the KDC has asked for no proof, this is how a wrong password shows. But
		// anybody on the way may have made the reply.
		if x.key.KeyValue == nil {
			err = fmt.Errorf("%w%w", ErrUndecipherable, silent{x.secret.wrong()})
		}
		return nil, x.secret.heldBack(err)
	}
	client := principal{name: rep.CName, realm: rep.CRealm}
	wanted := principal{name: x.request.ReqBody.SName, realm: x.client.realm}
	if part.Nonce != x.request.ReqBody.Nonce || !client.equalFold(x.client) || !sealed(rep.Ticket, part, wanted) {
		return nil, x.secret.heldBack(errOtherRequest)
	}
	if d := time.Since(part.AuthTime).Round(time.Second).Abs(); d > x.conf.skew {
		return nil, because(ErrClockSkew, "by %v from the KDC's", d)
	}
	cred, err := newCredential(client, rep.Ticket, part)
	if err == nil && !cred.valid(time.Now()) {
		return nil, because(ErrTicketExpired, "the KDC has issued it so")
	}
	return cred, err
}

// errOtherRequest is the error for a reply that is not the answer to the request.
var errOtherRequest = fmt.Errorf("%w: the KDC's reply is not for this request", ErrMalformedReply)

// sealed reports whether a ticket is for the service that the encrypted part of the reply
// names, and that it is wanted. What stands outside of the encrypted parts anybody on the way
// may have changed.
func sealed(ticket messages.Ticket, part messages.EncKDCRepPart, wanted principal) bool {
	outer, inner := principal{ticket.SName, ticket.Realm}, principal{part.SName, part.SRealm}
	return outer.equalFold(inner) && inner.equalFold(wanted)
}

// replyKey returns the key that an AS-REP is encrypted with.
func (x *asExchange) replyKey(rep *messages.ASRep) (types.EncryptionKey, error) {
	if x.key.KeyValue != nil && x.key.KeyType == rep.EncPart.EType {
		return x.key, nil
	}
	if !slices.Contains(x.types, rep.EncPart.EType) {
		return types.EncryptionKey{}, fmt.Errorf("%w: the KDC's reply has type %d", ErrEncType, rep.EncPart.EType)
	}
	data := types.PADataSequence(rep.PAData)
	if _, ok := etypeInfo(data); !ok {
		data = x.info
	}
	info, err := keyInfoOf(data, x.client, []int32{rep.EncPart.EType})
	if err != nil {
		return types.EncryptionKey{}, err
	}
	key, _, err := x.secret.key(info)
	return key, err
}

// silent keeps an error in the chain and out of the text.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

func parsePAData(data []byte) types.PADataSequence {
	list, err := recovered(func() (types.PADataSequence, error) {
		var list types.PADataSequence
		return list, list.Unmarshal(data)
	})
	if err != nil {
		return nil
	}
	return list
}

// newNonce returns a random number of 31 bits: some KDCs take it for a signed
// one.
func newNonce() int {
	var b [4]byte
	rand.Read(b[:])
	return int(binary.BigEndian.Uint32(b[:]) >> 1)
}

func decryptReply(enc types.EncryptedData, key types.EncryptionKey, usage uint32) (messages.EncKDCRepPart, error) {
	return recovered(func() (messages.EncKDCRepPart, error) {
		var part messages.EncKDCRepPart
		plain, err := crypto.DecryptEncPart(enc, key, usage)
		if err != nil {
			return part, fmt.Errorf("%w: can't be decrypted", ErrMalformedReply)
		}
		if part.Unmarshal(plain) != nil {
			return part, ErrMalformedReply
		}
		return part, nil
	})
}

// newCredential makes a credential of what a KDC's reply holds.
func newCredential(client principal, ticket messages.Ticket, part messages.EncKDCRepPart) (*credential, error) {
	if len(ticket.SName.NameString) == 0 || len(client.name.NameString) == 0 {
		return nil, ErrMalformedReply
	}
	if !supportedKey(part.Key) {
		return nil, fmt.Errorf("%w: session key of type %d", ErrEncType, part.Key.KeyType)
	}
	c := &credential{client: client, ticket: ticket, key: part.Key, start: part.StartTime, end: part.EndTime, obtained: time.Now()}
	if c.start.IsZero() {
		c.start = part.AuthTime
	}
	return c, nil
}
