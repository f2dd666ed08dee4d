package kdc

import (
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// A replyKind is what tells AS-REP and TGS-REP apart.
type replyKind struct {
	msgType int
	encTag  int
	key     types.EncryptionKey
	usage   uint32
	kvno    int
	padata  []types.PAData
}

func asReply(client *principal, key types.EncryptionKey) replyKind {
	return replyKind{
		msgType: tagASRep, encTag: tagEncASRepPart,
		key: key, usage: usageASRepPart, kvno: client.KVNO,
		padata: []types.PAData{etypeInfo2(client, key.KeyType)},
	}
}

// tgsReply encrypts with the subkey that the client may have sent (RFC 4120,
// Section 3.3.3).
func tgsReply(session, subkey types.EncryptionKey) replyKind {
	kind := replyKind{msgType: tagTGSRep, encTag: tagEncTGSRepPart, key: session, usage: usageTGSRepSessionKey}
	if len(subkey.KeyValue) > 0 {
		kind.key, kind.usage = subkey, usageTGSRepSubkey
	}
	return kind
}

// reply returns the KDC-REP that grants g, with what is to be wrong about it.
func (g *grant) reply(kind replyKind, f Forgery, r *request) ([]byte, error) {
	ticket, err := g.ticket()
	if err != nil {
		return nil, err
	}
	f.address(&ticket)
	plain, err := g.encPart(f.apply(g, r.body.Nonce), kind.encTag)
	if err != nil {
		return nil, err
	}
	encrypted, err := crypto.GetEncryptedData(plain, kind.key, kind.usage, kind.kvno)
	if err != nil {
		return nil, err
	}
	fields := messages.KDCRepFields{
		PVNO: pvno, MsgType: kind.msgType, PAData: kind.padata,
		CRealm: g.realm, CName: g.client, Ticket: ticket, EncPart: encrypted,
	}
	if kind.msgType == tagASRep {
		rep := messages.ASRep{KDCRepFields: fields}
		return rep.Marshal()
	}
	rep := messages.TGSRep{KDCRepFields: fields}
	return rep.Marshal()
}
