package spnegoserver

import (
	"errors"
	"fmt"
)

// The errors of [Context.Accept] wrap one of these.
var (
	ErrMalformed      = errors.New("spnegoserver: malformed token")
	ErrSequence       = errors.New("spnegoserver: token out of turn")
	ErrRawKerberos    = errors.New("spnegoserver: Kerberos without SPNEGO")
	ErrRawNTLM        = errors.New("spnegoserver: NTLM is not accepted")
	ErrNoCommonMech   = errors.New("spnegoserver: no common mechanism")
	ErrRejected       = errors.New("spnegoserver: rejected by a fault")
	ErrNTLM           = errors.New("spnegoserver: NTLM refused")
	ErrMICMissing     = errors.New("spnegoserver: no mechListMIC")
	ErrMIC            = errors.New("spnegoserver: wrong mechListMIC")
	ErrMICUnsupported = errors.New("spnegoserver: no MIC for this session key")
	ErrKeytab         = errors.New("spnegoserver: unusable keytab")
	ErrWrongService   = errors.New("spnegoserver: ticket for another service")
	ErrNoKey          = errors.New("spnegoserver: no key for the ticket")
	ErrTicket         = errors.New("spnegoserver: ticket can't be decrypted")
	ErrTicketExpired  = errors.New("spnegoserver: ticket expired")
	ErrTicketNotValid = errors.New("spnegoserver: ticket not yet valid")
	ErrAuthenticator  = errors.New("spnegoserver: wrong authenticator")
	ErrSkew           = errors.New("spnegoserver: clock skew too great")
	ErrReplay         = errors.New("spnegoserver: token used before")
	ErrChecksum       = errors.New("spnegoserver: wrong checksum in the authenticator")
	ErrChannelBinding = errors.New("spnegoserver: wrong channel binding")
	ErrNoBinding      = errors.New("spnegoserver: no channel binding")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// krbCodes are the codes of RFC 4120, Section 7.5.9 that an acceptor sends for
// its errors.
var krbCodes = []struct {
	err  error
	code int32
}{
	{ErrTicket, 31},
	{ErrTicketExpired, 32},
	{ErrTicketNotValid, 33},
	{ErrReplay, 34},
	{ErrWrongService, 35},
	{ErrAuthenticator, 36},
	{ErrSkew, 37},
	{ErrMalformed, 40},
	{ErrNoKey, 45},
	{ErrChecksum, 50},
}

// krbGeneric is the code for all else, channel bindings included, as from MIT's library.
const krbGeneric = 60

func krbCode(err error) int32 {
	for _, c := range krbCodes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return krbGeneric
}
