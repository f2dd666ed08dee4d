package kdc

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/types"
)

// keySizes are the lengths of the keys in bytes. Those of gokrb5 won't do: it
// takes the 24 bytes of a derived key for the size of AES256SHA2's.
var keySizes = map[int32]int{AES128SHA1: 16, AES256SHA1: 32, AES128SHA2: 16, AES256SHA2: 32, RC4: 16}

var defaultEnctypes = []int32{AES256SHA1, AES128SHA1, AES256SHA2, AES128SHA2, RC4}

// A principal is a [Principal] with its keys and counts. The KDC's mu guards it.
type principal struct {
	Principal
	realm      string
	iterations int // see Config
	keys       map[int32]types.EncryptionKey
	counts     Counts
	failures   int // in a row
	offered    []int32
}

func newPrincipal(p Principal, cfg Config) (*principal, error) {
	p.Enctypes = slices.Clone(p.Enctypes)
	if p.Enctypes == nil {
		p.Enctypes = defaultEnctypes
	}
	p.SessionEnctypes = slices.Clone(p.SessionEnctypes)
	if p.SessionEnctypes == nil {
		p.SessionEnctypes = p.Enctypes
	}
	for _, etype := range slices.Concat(p.Enctypes, p.SessionEnctypes) {
		if keySizes[etype] == 0 {
			return nil, fmt.Errorf("kdc: unknown encryption type %d", etype)
		}
	}
	if len(p.Enctypes) == 0 || p.Name == "" {
		return nil, fmt.Errorf("kdc: principal %q without a name or encryption types", p.Name)
	}
	p.KVNO = cmp.Or(p.KVNO, defaultKVNO)
	p.Salt = cmp.Or(p.Salt, cfg.Realm+strings.ReplaceAll(p.Name, "/", ""))
	return &principal{Principal: p, realm: cfg.Realm, iterations: cfg.Iterations, keys: map[int32]types.EncryptionKey{}}, nil
}

// name returns the principal's name as the protocol has it.
func (p *principal) name() types.PrincipalName {
	nameType := ntPrincipal
	if strings.Contains(p.Name, "/") {
		nameType = ntServiceInstance
	}
	return types.NewPrincipalName(nameType, p.Name)
}

// The name types of RFC 4120, Section 6.2 that are used here.
const (
	ntPrincipal       int32 = 1
	ntServiceInstance int32 = 2
)

// key returns the principal's key of the given type. It is made when it is first
// needed: the ones from passwords are slow on purpose.
func (p *principal) key(etype int32) (types.EncryptionKey, error) {
	if !slices.Contains(p.Enctypes, etype) {
		return types.EncryptionKey{}, fail(errEtypeNotSupported)
	}
	if key, ok := p.keys[etype]; ok {
		return key, nil
	}
	key, err := p.newKey(etype)
	if err == nil {
		p.keys[etype] = key
	}
	return key, err
}

func (p *principal) newKey(etype int32) (types.EncryptionKey, error) {
	if p.Password == "" {
		return randomKey(etype), nil
	}
	value, err := stringToKey(etype, p.Password, p.Salt, p.params(etype))
	return types.EncryptionKey{KeyType: etype, KeyValue: value}, err
}

// params returns the string-to-key parameters of RFC 3962, Section 4, or none if
// they are the default of the encryption type.
func (p *principal) params(etype int32) []byte {
	if etype == RC4 || p.iterations < 0 {
		return nil
	}
	return binary.BigEndian.AppendUint32(nil, uint32(p.iterations))
}

func randomKey(etype int32) types.EncryptionKey {
	value := make([]byte, keySizes[etype])
	rand.Read(value) // never fails
	return types.EncryptionKey{KeyType: etype, KeyValue: value}
}

func stringToKey(etype int32, password, salt string, params []byte) ([]byte, error) {
	if etype == RC4 {
		return ntHash(password), nil
	}
	e, err := crypto.GetEtype(etype)
	if err != nil {
		return nil, err
	}
	input := keyInput{etype, password, salt, cmp.Or(hex.EncodeToString(params), e.GetDefaultStringToKeyParams())}
	if key, ok := keysMade.Load(input); ok {
		return slices.Clone(key.([]byte)), nil
	}
	key, err := e.StringToKey(password, salt, input.params)
	if err == nil {
		keysMade.Store(input, slices.Clone(key))
	}
	return key, err
}

// keyInput is what a key is made of.
type keyInput struct {
	etype                  int32
	password, salt, params string
}

// keysMade has the keys that the KDCs of a test binary have made from passwords, most of
// which are those of one user. It maps a keyInput to a []byte.
var keysMade sync.Map

// ntHash returns the MD4 hash of the password in UTF-16 (RFC 4757, Section 2).
// gokrb5 gets it wrong for characters beyond ASCII, but has an MD4 to offer.
func ntHash(password string) []byte {
	var text []byte
	for _, unit := range utf16.Encode([]rune(password)) {
		text = binary.LittleEndian.AppendUint16(text, unit)
	}
	return crypto.RC4HMAC{}.RandomToKey(text)
}

// usable reports why the principal may not be served.
func (p *principal) usable() error {
	switch {
	case p.Refuse != 0:
		return fail(p.Refuse)
	case p.Locked:
		return fail(errClientRevoked)
	case p.Expired:
		return fail(errKeyExpired)
	}
	return nil
}

// common returns the encryption types that are in both lists, in the order of
// the first, as MIT's KDC does.
func common(offered, known []int32) []int32 {
	var both []int32
	for _, etype := range offered {
		if slices.Contains(known, etype) && !slices.Contains(both, etype) {
			both = append(both, etype)
		}
	}
	return both
}
