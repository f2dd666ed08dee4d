package kdc

import (
	"slices"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// tgs answers a TGS-REQ (RFC 4120, Section 3.3).
func (k *KDC) tgs(r *request) ([]byte, error) {
	ap, err := k.presented(r)
	client := k.principals[ap.Ticket.DecryptedEncPart.CName.PrincipalNameString()]
	k.count(client, func(c *Counts) { c.TGSRequests++ })
	if err != nil {
		return nil, err
	}
	if client == nil && ap.Ticket.DecryptedEncPart.CRealm != k.cfg.Realm {
		client = &principal{} // of another realm
	}
	if err := k.clientAllowed(client, r); err != nil {
		return nil, err
	}
	server, err := k.service(r)
	if err != nil {
		return nil, err
	}
	g, err := k.grantTGS(ap.Ticket.DecryptedEncPart, server, r)
	if err != nil {
		return nil, err
	}
	k.count(client, func(c *Counts) { c.ServiceTickets++ })
	return g.reply(tgsReply(ap.Ticket.DecryptedEncPart.Key, ap.Authenticator.SubKey), k.forgery, r)
}

func (k *KDC) clientAllowed(client *principal, r *request) error {
	if client == nil {
		return fail(errClientUnknown)
	}
	client.offered = slices.Clone(r.body.EType)
	if r.option(flagForwarded) {
		k.count(client, func(c *Counts) { c.Forwards++ })
	}
	if r.option(flagForwarded) || r.option(flagEncTktInKey) {
		return fail(errBadOption)
	}
	switch {
	case client.Refuse != 0:
		return fail(client.Refuse)
	case client.Locked:
		return fail(errClientRevoked)
	}
	return nil
}

// presented returns the AP-REQ that comes with a request, verified. Together
// with an error, as much of it as could be read.
func (k *KDC) presented(r *request) (ap messages.APReq, err error) {
	value, ok := r.pa(paTGSReq)
	if !ok {
		return ap, fail(errPATypeUnsupported)
	}
	if err := ap.Unmarshal(value); err != nil {
		return ap, fail(errMessageType)
	}
	if err := k.openTicket(&ap.Ticket); err != nil {
		return ap, err
	}
	session := ap.Ticket.DecryptedEncPart.Key
	plain, err := decrypt(ap.EncryptedAuthenticator.Cipher, session, usageTGSReqAuth)
	if err != nil || ap.Authenticator.Unmarshal(plain) != nil {
		return ap, fail(errBadIntegrity)
	}
	return ap, k.checkAuthenticator(&ap, r)
}

// openTicket decrypts a ticket for the ticket-granting service.
func (k *KDC) openTicket(ticket *messages.Ticket) error {
	server := k.principals[ticket.SName.PrincipalNameString()]
	if server == nil || server.Name != k.tgsName() {
		return fail(errNotUs)
	}
	key, err := server.key(ticket.EncPart.EType)
	if err != nil {
		return err
	}
	plain, err := decrypt(ticket.EncPart.Cipher, key, usageTicket)
	if err != nil || ticket.DecryptedEncPart.Unmarshal(plain) != nil {
		return fail(errBadIntegrity)
	}
	if k.now().After(ticket.DecryptedEncPart.EndTime) {
		return fail(errTicketExpired)
	}
	return nil
}

func (k *KDC) checkAuthenticator(ap *messages.APReq, r *request) error {
	ticket, auth := ap.Ticket.DecryptedEncPart, ap.Authenticator
	if auth.CRealm != ticket.CRealm || !auth.CName.Equal(ticket.CName) {
		return fail(errBadMatch)
	}
	if k.skewed(auth.CTime) {
		return fail(errSkew)
	}
	return checkBody(ticket.Key, auth.Cksum, r.rawBody)
}

// checkBody verifies the checksum of the request's body (RFC 4120, Section
// 5.4.1).
func checkBody(session types.EncryptionKey, sum types.Checksum, body []byte) error {
	e, err := crypto.GetChksumEtype(sum.CksumType)
	if err != nil || e.GetETypeID() != session.KeyType {
		return fail(errBadChecksum)
	}
	if !e.VerifyChecksum(session.KeyValue, body, sum.Checksum, usageTGSReqChecksum) {
		return fail(errModified)
	}
	return nil
}

// grantTGS decides on the ticket for a TGS-REQ with the given TGT.
func (k *KDC) grantTGS(tgt messages.EncTicketPart, server *principal, r *request) (*grant, error) {
	now := k.now()
	g := &grant{
		client: tgt.CName, realm: tgt.CRealm, server: server, sname: r.body.SName,
		flags: types.NewKrbFlags(), authTime: tgt.AuthTime, start: now,
		end: earlier(k.limit(server, r.body.Till, now), tgt.EndTime),
	}
	if isSet(tgt.Flags, flagPreauthent) {
		types.SetFlag(&g.flags, flagPreauthent)
	}
	if isSet(tgt.Flags, flagForwardable) {
		g.copyOptions(r, flagForwardable)
	} else {
		g.copyOptions(r)
	}
	if r.option(flagRenew) {
		return g, k.renew(g, tgt, r)
	}
	if isSet(tgt.Flags, flagRenewable) {
		k.makeRenewable(g, r, tgt.RenewTill)
	}
	return g, g.chooseSession(r)
}

// renew makes g the TGT with a new life.
func (k *KDC) renew(g *grant, tgt messages.EncTicketPart, r *request) error {
	switch {
	case !isSet(tgt.Flags, flagRenewable) || g.server.Name != k.tgsName():
		return fail(errBadOption)
	case k.now().After(tgt.RenewTill):
		return fail(errTicketExpired)
	}
	client := k.principals[tgt.CName.PrincipalNameString()]
	k.count(client, func(c *Counts) { c.Renewals++ })
	g.flags, g.session, g.renewTill = tgt.Flags, tgt.Key, tgt.RenewTill
	g.end = earlier(g.start.Add(tgt.EndTime.Sub(tgt.StartTime)), tgt.RenewTill)
	return nil
}
