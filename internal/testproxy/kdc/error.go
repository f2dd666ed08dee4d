package kdc

import (
	"errors"
	"fmt"

	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// The error codes of RFC 4120, Section 7.5.9 that the KDC sends by itself.
const (
	errClientUnknown     int32 = 6
	errServiceUnknown    int32 = 7
	errBadOption         int32 = 13
	errEtypeNotSupported int32 = 14
	errPATypeUnsupported int32 = 16
	errClientRevoked     int32 = 18
	errKeyExpired        int32 = 23
	errPreauthFailed     int32 = 24
	errPreauthRequired   int32 = 25
	errBadIntegrity      int32 = 31
	errTicketExpired     int32 = 32
	errNotUs             int32 = 35
	errBadMatch          int32 = 36
	errSkew              int32 = 37
	errMessageType       int32 = 40
	errModified          int32 = 41
	errBadChecksum       int32 = 50
	errResponseTooBig    int32 = 52
	errGeneric           int32 = 60
)

// A failure becomes a KRB-ERROR.
type failure struct {
	code int32
	data []byte // e-data
}

func (f *failure) Error() string { return fmt.Sprintf("kdc: error %d", f.code) }

func fail(code int32) *failure { return &failure{code: code} }

// errorMessage returns a KRB-ERROR (RFC 4120, Section 5.9.1). The request is nil
// if it could not be read. The caller holds k.mu.
func (k *KDC) errorMessage(r *request, err error) []byte {
	f, ok := errors.AsType[*failure](err)
	if !ok {
		f = fail(errGeneric)
	}
	sname := types.NewPrincipalName(ntServiceInstance, k.tgsName())
	e := messages.NewKRBError(sname, k.cfg.Realm, f.code, "")
	e.STime, e.Susec, e.EData = k.now(), 0, f.data
	if r != nil {
		e.CRealm, e.CName, e.SName = k.cfg.Realm, r.body.CName, r.body.SName
	}
	out, err := e.Marshal()
	if err != nil { // a name in the request that can't be sent back
		return k.errorMessage(nil, f)
	}
	return out
}
