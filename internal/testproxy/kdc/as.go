package kdc

import (
	"slices"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/types"
)

// The pre-authentication data of RFC 4120, Section 5.2.7.
const (
	paTGSReq       int32 = 1
	paEncTimestamp int32 = 2
	paEtypeInfo2   int32 = 19
)

// The key usage numbers of RFC 4120, Section 7.5.1.
const (
	usageEncTimestamp     = 1
	usageTicket           = 2
	usageASRepPart        = 3
	usageTGSReqChecksum   = 6
	usageTGSReqAuth       = 7
	usageTGSRepSessionKey = 8
	usageTGSRepSubkey     = 9
)

// as answers an AS-REQ (RFC 4120, Section 3.1). The order of the checks is the
// one of MIT's KDC: an account that is locked or expired is not asked for its
// password.
func (k *KDC) as(r *request) ([]byte, error) {
	client := k.principals[r.body.CName.PrincipalNameString()]
	k.count(client, func(c *Counts) { c.ASRequests++ })
	if client == nil || r.body.Realm != k.cfg.Realm {
		return nil, fail(errClientUnknown)
	}
	client.offered = slices.Clone(r.body.EType)
	if err := client.usable(); err != nil {
		return nil, err
	}
	server, err := k.service(r)
	if err != nil {
		return nil, err
	}
	key, err := k.clientKey(client, r)
	if err != nil {
		return nil, err
	}
	g, err := k.grantAS(client, server, r)
	if err != nil {
		return nil, err
	}
	k.count(client, func(c *Counts) { c.TGTs++ })
	return g.reply(asReply(client, key), k.forgery, r)
}

// service returns the principal that the ticket is asked for.
func (k *KDC) service(r *request) (*principal, error) {
	server := k.principals[r.body.SName.PrincipalNameString()]
	if server == nil || r.body.Realm != k.cfg.Realm {
		return nil, fail(errServiceUnknown)
	}
	if server.Refuse != 0 {
		return nil, fail(server.Refuse)
	}
	return server, nil
}

// clientKey returns the key that the answer is encrypted with: the one that the
// client has proved to have.
func (k *KDC) clientKey(client *principal, r *request) (types.EncryptionKey, error) {
	etypes := common(r.body.EType, client.Enctypes)
	if len(etypes) == 0 {
		return types.EncryptionKey{}, fail(errEtypeNotSupported)
	}
	if client.NoPreauth {
		return client.key(etypes[0])
	}
	value, ok := r.pa(paEncTimestamp)
	if !ok {
		k.count(client, func(c *Counts) { c.PreauthRequired++ })
		return types.EncryptionKey{}, preauthFailure(errPreauthRequired, client, etypes)
	}
	return k.verifyTimestamp(client, value, etypes)
}

// verifyTimestamp checks an encrypted timestamp (RFC 4120, Section 5.2.7.2).
func (k *KDC) verifyTimestamp(client *principal, value []byte, etypes []int32) (types.EncryptionKey, error) {
	var encrypted types.EncryptedData
	if err := encrypted.Unmarshal(value); err != nil {
		return types.EncryptionKey{}, fail(errPATypeUnsupported)
	}
	key, err := client.key(encrypted.EType)
	if err != nil {
		return key, err
	}
	plain, err := decrypt(encrypted.Cipher, key, usageEncTimestamp)
	if err != nil {
		k.refusePassword(client)
		return key, preauthFailure(errPreauthFailed, client, etypes)
	}
	client.failures = 0
	var stamp types.PAEncTSEnc
	if err := stamp.Unmarshal(plain); err != nil || k.skewed(stamp.PATimestamp) {
		return key, fail(errSkew)
	}
	return key, nil
}

func (k *KDC) refusePassword(client *principal) {
	k.count(client, func(c *Counts) { c.PreauthFailed++ })
	client.failures++
	if k.cfg.MaxFailures > 0 && client.failures >= k.cfg.MaxFailures {
		client.Locked = true
	}
}

func (k *KDC) skewed(t time.Time) bool { return k.now().Sub(t).Abs() > k.cfg.MaxSkew }

// decrypt is crypto.DecryptMessage without its panics on short ciphertexts.
func decrypt(ciphertext []byte, key types.EncryptionKey, usage uint32) (plain []byte, err error) {
	defer func() {
		if recover() != nil {
			err = fail(errBadIntegrity)
		}
	}()
	return crypto.DecryptMessage(ciphertext, key, usage)
}

// preauthFailure is an error that says how to pre-authenticate.
func preauthFailure(code int32, client *principal, etypes []int32) error {
	data, err := asn1.Marshal(types.PADataSequence{
		etypeInfo2(client, etypes...),
		{PADataType: paEncTimestamp},
	})
	if err != nil {
		return err
	}
	return &failure{code: code, data: data}
}

// etypeInfo2 tells the salts and parameters (RFC 4120, Section 5.2.7.5). RC4 has
// none.
func etypeInfo2(client *principal, etypes ...int32) types.PAData {
	var info types.ETypeInfo2
	for _, etype := range etypes {
		entry := types.ETypeInfo2Entry{EType: etype, S2KParams: client.params(etype)}
		if etype != RC4 {
			entry.Salt = client.Salt
		}
		info = append(info, entry)
	}
	value, err := asn1.Marshal(info)
	if err != nil { // a salt that is no GeneralString
		return types.PAData{PADataType: paEtypeInfo2}
	}
	return types.PAData{PADataType: paEtypeInfo2, PADataValue: value}
}
