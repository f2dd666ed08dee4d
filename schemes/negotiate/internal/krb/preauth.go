package krb

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/iana/patype"
	"github.com/jcmturner/gokrb5/v8/types"
)

// minIterations and maxIterations bound the parameters of a key (RFC 3962, Section 4), which
// come from the KDC, or from somebody who pretends to be it: few iterations make a proof that
// is cheap to guess the password from, and many are work. The defaults are 4,096 and 32,768.
const (
	minIterations = 4096
	maxIterations = 1 << 20
)

// keySizes are the lengths of the keys by encryption type.
var keySizes = map[int32]int{16: 24, 17: 16, 18: 32, 19: 16, 20: 32, 23: 16}

// supportedKey reports whether the key is of a type that can be used, and as
// long as that type wants it: gokrb5 does not look.
func supportedKey(key types.EncryptionKey) bool {
	n, ok := keySizes[key.KeyType]
	return ok && n == len(key.KeyValue)
}

// keyInfo says how the KDC makes a key of a password.
type keyInfo struct {
	encType int32
	salt    string
	params  string // hexadecimal, "" for the default
}

// A longTermKey is what a client proves to have: a password or keys of a keytab.
type longTermKey interface {
	// types returns those encryption types of allowed that it has a key for.
	types(allowed []int32) []int32

	// key returns the key that info describes, and its version number, zero if
	// it has none.
	key(info keyInfo) (types.EncryptionKey, int, error)

	// wrong is the error for a KDC that refuses the key.
	wrong() error

	// refused returns err with what it means for a secret that it must not be
	// sent again.
	refused(err error) error

	// heldBack returns err with what it means for a secret that it is held back.
	heldBack(err error) error
}

// password is a [longTermKey].
type password string

func (password) types(allowed []int32) []int32 { return allowed }

func (p password) key(info keyInfo) (types.EncryptionKey, int, error) {
	key, err := recovered(func() (types.EncryptionKey, error) {
		et, err := crypto.GetEtype(info.encType)
		if err != nil {
			return types.EncryptionKey{}, ErrEncType
		}
		params := info.params
		if params == "" {
			params = et.GetDefaultStringToKeyParams()
		}
		value, err := et.StringToKey(string(p), info.salt, params)
		return types.EncryptionKey{KeyType: info.encType, KeyValue: value}, err
	})
	if err != nil || !supportedKey(key) {
		return key, 0, fmt.Errorf("%w: the KDC's parameters make no key", ErrMalformedReply)
	}
	return key, 0, nil
}

func (password) wrong() error { return ErrPasswordWrong }

func (password) refused(err error) error { return fmt.Errorf("%w%w", err, silent{errSecretRefused}) }

func (password) heldBack(err error) error { return fmt.Errorf("%w%w", err, silent{errSecretHeld}) }

// keytabKeys is a [longTermKey].
type keytabKeys map[int32]keytabEntry

func (k keytabKeys) types(allowed []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(allowed), func(id int32) bool { _, ok := k[id]; return !ok })
}

func (k keytabKeys) key(info keyInfo) (types.EncryptionKey, int, error) {
	e, ok := k[info.encType]
	if !ok {
		return types.EncryptionKey{}, 0, fmt.Errorf("%w: the keytab has no key of type %d", ErrEncType, info.encType)
	}
	return e.key, int(e.kvno), nil
}

func (keytabKeys) wrong() error { return ErrKeytabStale }

func (keytabKeys) refused(err error) error { return refused(err) }

func (keytabKeys) heldBack(err error) error { return paused(err) }

// keyInfoOf returns how to make the key, from the pre-authentication data of
// the KDC (RFC 4120, Section 5.2.7.5): the first of the types that the KDC names
// and we allow. Without data the defaults apply.
func keyInfoOf(data types.PADataSequence, client principal, allowed []int32) (keyInfo, error) {
	entries, found := etypeInfo(data)
	if !found {
		return keyInfo{encType: allowed[0], salt: client.name.GetSalt(client.realm)}, nil
	}
	for _, e := range entries {
		if !slices.Contains(allowed, e.EType) {
			continue
		}
		if len(e.S2KParams) == 4 {
			if n := binary.BigEndian.Uint32(e.S2KParams); n < minIterations || n > maxIterations {
				return keyInfo{}, fmt.Errorf("%w: a key of %d iterations (from %d to %d are allowed)", ErrMalformedReply, n, minIterations, maxIterations)
			}
		}
		info := keyInfo{encType: e.EType, salt: e.Salt, params: hex.EncodeToString(e.S2KParams)}
		if info.salt == "" {
			info.salt = client.name.GetSalt(client.realm)
		}
		return info, nil
	}
	return keyInfo{}, ErrEncType
}

// etypeInfo returns what PA-ETYPE-INFO2, or the older PA-ETYPE-INFO, says.
func etypeInfo(data types.PADataSequence) (entries types.ETypeInfo2, found bool) {
	for _, pa := range data {
		switch pa.PADataType {
		case patype.PA_ETYPE_INFO2:
			if list, err := recovered(pa.GetETypeInfo2); err == nil {
				return list, true
			}
		case patype.PA_ETYPE_INFO:
			list, err := recovered(pa.GetETypeInfo)
			if err != nil || found {
				continue
			}
			found = true
			for _, e := range list {
				entries = append(entries, types.ETypeInfo2Entry{EType: e.EType, Salt: string(e.Salt)})
			}
		}
	}
	return entries, found
}

// encryptedTimestamp returns PA-ENC-TIMESTAMP (RFC 4120, Section 5.2.7.2).
func encryptedTimestamp(key types.EncryptionKey, kvno int) (types.PAData, error) {
	return recovered(func() (types.PAData, error) {
		now, err := types.GetPAEncTSEncAsnMarshalled()
		if err != nil {
			return types.PAData{}, err
		}
		enc, err := crypto.GetEncryptedData(now, key, keyusage.AS_REQ_PA_ENC_TIMESTAMP, kvno)
		if err != nil {
			return types.PAData{}, err
		}
		value, err := enc.Marshal()
		return types.PAData{PADataType: patype.PA_ENC_TIMESTAMP, PADataValue: value}, err
	})
}
