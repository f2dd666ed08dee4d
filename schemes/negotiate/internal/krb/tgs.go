package krb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana"
	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/iana/msgtype"
	"github.com/jcmturner/gokrb5/v8/iana/patype"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// maxReferrals bounds the realms on the way from the user's to the proxy's.
const maxReferrals = 6

// A service is what a ticket is asked for.
type service struct {
	name  types.PrincipalName
	realm string // "" if the KDC is to find it
}

// String returns the service principal as setspn and klist spell it.
func (s service) String() string { return s.name.PrincipalNameString() }

// domain returns the realm that has the name of the domain of the service's host, "" if there is
// none.
func (s service) domain() string {
	if len(s.name.NameString) < 2 {
		return ""
	}
	_, domain, _ := strings.Cut(s.name.NameString[1], ".")
	return strings.ToUpper(domain)
}

// A tgsExchange gets a ticket for a service for a ticket-granting ticket (RFC
// 4120, Section 3.3), along the referrals of the KDCs (RFC 6806, Section 8).
type tgsExchange struct {
	conf      *conf
	auths     *authenticators
	transport func(ctx context.Context, realm string) (*transport, error)
}

func (x *tgsExchange) run(ctx context.Context, tgt *credential, s service) (*credential, error) {
	for n := 1; ; n++ {
		realm, ok := isTicketGranting(tgt.ticket.SName)
		if !ok {
			return nil, ErrMalformedReply
		}
		cred, err := x.hop(ctx, tgt, realm, s)
		guess := service{s.name, s.domain()}
		if errors.Is(err, ErrServiceUnknown) && s.realm == "" && realm == tgt.client.realm && guess.realm != "" && guess.realm != realm {
			// As in MIT's library: an Active Directory refers nobody to a realm of another kind.
			if way, none := x.hop(ctx, tgt, realm, guess); none == nil {
				cred, err, s = way, nil, guess
			}
		}
		if err != nil {
			return nil, serviceError(err, s, realm)
		}
		if _, referred := isTicketGranting(cred.ticket.SName); !referred {
			return cred, nil
		}
		if n == maxReferrals {
			return nil, serviceError(because(ErrKDC, "it refers to realm %s, as the last of too many referrals", cred.ticket.SName.NameString[1]), s, realm)
		}
		tgt = cred
	}
}

// hop asks the KDC of one realm for the service or, if that is in another one, for the way there.
func (x *tgsExchange) hop(ctx context.Context, tgt *credential, realm string, s service) (cred *credential, err error) {
	if s.realm == "" || s.realm == realm {
		return x.step(ctx, tgt, realm, s.name)
	}
	for _, next := range x.conf.path(tgt.client.realm, realm, s.realm) {
		cred, err = x.step(ctx, tgt, realm, ticketGranting(next))
		if !errors.Is(err, ErrServiceUnknown) {
			break
		}
	}
	return cred, err
}

// step asks the KDC of one realm.
func (x *tgsExchange) step(ctx context.Context, tgt *credential, realm string, wanted types.PrincipalName) (*credential, error) {
	t, err := x.transport(ctx, realm)
	if err != nil {
		return nil, err
	}
	req, err := x.request(tgt, realm, wanted)
	if err != nil {
		return nil, err
	}
	data, err := recovered(req.Marshal)
	if err != nil {
		return nil, errNoToken
	}
	valid := func(reply []byte) bool {
		_, err := x.accept(reply, tgt, req)
		return !errors.Is(err, ErrMalformedReply)
	}
	reply, _, err := t.exchange(ctx, data, valid)
	if err != nil {
		return nil, err
	}
	return x.accept(reply, tgt, req)
}

func (x *tgsExchange) request(tgt *credential, realm string, wanted types.PrincipalName) (*messages.TGSReq, error) {
	req := &messages.TGSReq{KDCReqFields: messages.KDCReqFields{
		PVNO:    iana.PVNO,
		MsgType: msgtype.KRB_TGS_REQ,
		ReqBody: messages.KDCReqBody{
			KDCOptions: types.NewKrbFlags(),
			Realm:      realm,
			SName:      wanted,
			Till:       time.Now().UTC().Add(x.conf.lifetime),
			Nonce:      newNonce(),
			EType:      x.conf.serviceTypes,
		},
	}}
	// Active Directory refers to other realms only if this is set.
	types.SetFlag(&req.ReqBody.KDCOptions, flags.Canonicalize)
	pa, err := recovered(func() (types.PAData, error) { return x.ticketPAData(tgt, &req.ReqBody) })
	if err != nil {
		return nil, errNoToken // gokrb5's own may name the user
	}
	req.PAData = types.PADataSequence{pa}
	return req, nil
}

// ticketPAData returns PA-TGS-REQ: an AP-REQ over the body. (gokrb5's own takes
// the realm of the ticket for the client's, which it is not behind a referral.)
func (x *tgsExchange) ticketPAData(tgt *credential, body *messages.KDCReqBody) (types.PAData, error) {
	data, err := body.Marshal()
	if err != nil {
		return types.PAData{}, err
	}
	et, err := crypto.GetEtype(tgt.key.KeyType)
	if err != nil {
		return types.PAData{}, err
	}
	sum, err := et.GetChecksumHash(tgt.key.KeyValue, data, keyusage.TGS_REQ_PA_TGS_REQ_AP_REQ_AUTHENTICATOR_CHKSUM)
	if err != nil {
		return types.PAData{}, err
	}
	auth, err := x.auths.new(tgt.client)
	if err != nil {
		return types.PAData{}, err
	}
	auth.Cksum = types.Checksum{CksumType: et.GetHashID(), Checksum: sum}
	req, err := messages.NewAPReq(tgt.ticket, tgt.key, auth)
	if err != nil {
		return types.PAData{}, err
	}
	value, err := req.Marshal()
	return types.PAData{PADataType: patype.PA_TGS_REQ, PADataValue: value}, err
}

func (x *tgsExchange) accept(data []byte, tgt *credential, req *messages.TGSReq) (*credential, error) {
	if e := parseError(data); e != nil {
		return nil, ticketError(e, tgt)
	}
	rep, err := recovered(func() (messages.TGSRep, error) {
		var rep messages.TGSRep
		return rep, rep.Unmarshal(data)
	})
	if err != nil {
		return nil, ErrMalformedReply
	}
	part, err := decryptReply(rep.EncPart, tgt.key, keyusage.TGS_REP_ENCPART_SESSION_KEY)
	if err != nil {
		return nil, err
	}
	client := principal{name: rep.CName, realm: rep.CRealm}
	wanted := principal{name: req.ReqBody.SName, realm: req.ReqBody.Realm}
	if _, referred := isTicketGranting(part.SName); referred {
		wanted.name = part.SName
	}
	if part.Nonce != req.ReqBody.Nonce || !client.equalFold(tgt.client) || !sealed(rep.Ticket, part, wanted) {
		return nil, errOtherRequest
	}
	return newCredential(tgt.client, rep.Ticket, part)
}

// ticketError puts a KDC's refusal of a ticket for a ticket-granting ticket in words. The secret
// is no part of it: one that can't be decrypted is of an earlier key of the KDC. But one that
// another realm's KDC has issued, or a KDC just now, would be the same again: KDCs of a realm, or
// realms that trust each other, have different keys.
func ticketError(e *messages.KRBError, tgt *credential) error {
	realm, _ := isTicketGranting(tgt.ticket.SName)
	switch e.ErrorCode {
	case errorcode.KRB_AP_ERR_BAD_INTEGRITY, errorcode.KRB_AP_ERR_MODIFIED, errorcode.KRB_AP_ERR_TKT_EXPIRED,
		errorcode.KRB_AP_ERR_BADKEYVER, errorcode.KRB_AP_ERR_NOKEY, errorcode.KDC_ERR_TGT_REVOKED:
		switch {
		case !strings.EqualFold(tgt.ticket.Realm, realm):
			return because(ErrKDC, "KDC: error %d: it does not take the ticket that realm %s has issued", e.ErrorCode, tgt.ticket.Realm)
		case tgt.isNew():
			return because(ErrKDC, "KDC: error %d, for a ticket that a KDC has just issued", e.ErrorCode)
		}
		return fmt.Errorf("%w (KDC: error %d: the ticket is no longer good)", ErrTicketExpired, e.ErrorCode)
	}
	return kdcError(e)
}
