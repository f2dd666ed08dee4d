package kdc

import (
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/asn1tools"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// A grant is a ticket and what its owner is told of it.
type grant struct {
	client  types.PrincipalName
	realm   string
	server  *principal
	sname   types.PrincipalName // as it was asked for
	session types.EncryptionKey
	flags   asn1.BitString

	authTime, start, end, renewTill time.Time
}

// grantAS decides on the ticket for an AS-REQ.
func (k *KDC) grantAS(client, server *principal, r *request) (*grant, error) {
	now := k.now()
	g := &grant{
		client: r.body.CName, realm: k.cfg.Realm, server: server, sname: r.body.SName,
		flags: types.NewKrbFlags(), authTime: now, start: now,
	}
	types.SetFlag(&g.flags, flagInitial)
	if !client.NoPreauth {
		types.SetFlag(&g.flags, flagPreauthent)
	}
	g.copyOptions(r, flagForwardable, flagProxiable)
	g.end = k.limit(server, r.body.Till, now)
	k.makeRenewable(g, r, now.Add(k.cfg.RenewLife))
	return g, g.chooseSession(r)
}

// copyOptions sets the flags that the request asks for by options of the same
// number.
func (g *grant) copyOptions(r *request, options ...int) {
	for _, option := range options {
		if r.option(option) {
			types.SetFlag(&g.flags, option)
		}
	}
	if g.server.OKAsDelegate {
		types.SetFlag(&g.flags, flagOKDelegate)
	}
}

// limit returns the end of a ticket that is asked for until till. The epoch
// stands for as long as possible (RFC 4120, Section 5.4.1).
func (k *KDC) limit(server *principal, till, start time.Time) time.Time {
	end := start.Add(k.cfg.TicketLife)
	if server.MaxLife != 0 {
		end = earlier(end, start.Add(server.MaxLife))
	}
	if till.Unix() > 0 {
		end = earlier(end, till)
	}
	return end
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// makeRenewable makes the ticket renewable, if that was asked for and is
// allowed, until latest at most.
func (k *KDC) makeRenewable(g *grant, r *request, latest time.Time) {
	asked := r.option(flagRenewable) || r.option(flagRenewableOK) && r.body.Till.After(g.end)
	if k.cfg.RenewLife <= 0 || !asked {
		return
	}
	g.renewTill = latest
	if r.body.RTime.Unix() > 0 {
		g.renewTill = earlier(latest, r.body.RTime)
	}
	types.SetFlag(&g.flags, flagRenewable)
}

// chooseSession makes the session key, of the first type that the client offers
// and the service understands.
func (g *grant) chooseSession(r *request) error {
	etypes := common(r.body.EType, g.server.SessionEnctypes)
	if len(etypes) == 0 {
		return fail(errEtypeNotSupported)
	}
	g.session = randomKey(etypes[0])
	return nil
}

// ticket returns the ticket, encrypted for the service.
func (g *grant) ticket() (messages.Ticket, error) {
	plain, err := asn1.Marshal(messages.EncTicketPart{
		Flags: g.flags, Key: g.session, CRealm: g.realm, CName: g.client,
		AuthTime: g.authTime, StartTime: g.start, EndTime: g.end, RenewTill: g.renewTill,
	})
	if err != nil {
		return messages.Ticket{}, err
	}
	key, err := g.server.key(g.server.Enctypes[0])
	if err != nil {
		return messages.Ticket{}, err
	}
	plain = asn1tools.AddASNAppTag(plain, tagEncTicketPart)
	encrypted, err := crypto.GetEncryptedData(plain, key, usageTicket, g.server.KVNO)
	return messages.Ticket{TktVNO: pvno, Realm: g.server.realm, SName: g.sname, EncPart: encrypted}, err
}

// encPart returns what the client is told of the ticket (RFC 4120, Section
// 5.4.2).
func (g *grant) encPart(nonce, tag int) ([]byte, error) {
	plain, err := asn1.Marshal(messages.EncKDCRepPart{
		Key: g.session, Nonce: nonce, Flags: g.flags,
		LastReqs: []messages.LastReq{{LRType: 0, LRValue: g.authTime}},
		AuthTime: g.authTime, StartTime: g.start, EndTime: g.end, RenewTill: g.renewTill,
		SRealm: g.server.realm, SName: g.sname,
	})
	return asn1tools.AddASNAppTag(plain, tag), err
}
