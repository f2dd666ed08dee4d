package ntlmserver

import (
	"crypto/hmac"
	"fmt"
	"time"
)

// An attempt is an AUTHENTICATE under examination. Each rule adds what the ones
// after it need.
type attempt struct {
	srv       *Server
	negotiate []byte
	challenge *challenge
	binding   []byte
	msg       *authenticate
	seen      *Seen

	proof, blob []byte
	account     account
	ntowf       []byte
	exported    []byte // session key
	pairs       avPairs
}

const (
	proofLen     = 16
	v1Len        = 24 // length of an NTLMv1 or LM response
	blobFixedLen = 28 // NTLMv2_CLIENT_CHALLENGE up to its AV pairs
	blobTailLen  = 4  // zeros that Section 3.3.2 appends and Section 2.2.2.7 does not know
)

// verify applies the rules. The password comes before what its proof covers: of
// a response that does not fit the password nothing can be said but that.
func (a *attempt) verify() error {
	a.look()
	for _, rule := range []func() error{
		a.checkFlags, a.checkResponse, a.checkPassword, a.checkSessionKey, a.checkBlob, a.checkTargetInfo,
		a.checkMIC, a.checkLM, a.checkChannelBinding, a.checkTargetName,
	} {
		if err := rule(); err != nil {
			return err
		}
	}
	return nil
}

// look notes what is to be seen without any secret.
func (a *attempt) look() {
	m, seen := a.msg, a.seen
	seen.AuthenticateFlags = m.flags
	seen.Domain, seen.User, seen.Workstation = m.domain, m.user, m.workstation
	seen.LM, seen.KeyExchange = presence(m.lm), len(m.sessionKey) > 0
}

// lookPairs notes what is to be seen in the AV pairs.
func (a *attempt) lookPairs() {
	seen, pairs := a.seen, a.pairs
	seen.AVPairs, seen.AVFlags = pairs.ids(), pairs.flags()
	seen.MIC = seen.AVFlags&AVFlagMIC != 0 && a.msg.mic != nil
	binding, _ := pairs.get(AVChannelBindings)
	seen.ChannelBinding = presence(binding)
	name, _ := pairs.get(AVTargetName)
	seen.TargetName, _ = decodeUTF16(name)
}

func (a *attempt) checkFlags() error {
	flags := a.msg.flags &^ FlagAnonymous // has an error of its own
	if extra := flags &^ (a.challenge.flags | flagsFree); extra != 0 {
		return fmt.Errorf("%w: %#08x was not offered", ErrFlags, extra)
	}
	if missing := (FlagNTLM | FlagExtendedSessionSecurity) & a.challenge.flags &^ flags; missing != 0 {
		return fmt.Errorf("%w: %#08x was dropped", ErrFlags, missing)
	}
	return nil
}

func (a *attempt) checkResponse() error {
	m := a.msg
	switch {
	case m.user == "", m.flags&FlagAnonymous != 0:
		return ErrAnonymous
	case len(m.nt) == 0, len(m.nt) == v1Len:
		return fmt.Errorf("%w: NT response of %d bytes", ErrNTLMv1, len(m.nt))
	case len(m.nt) < proofLen+blobFixedLen:
		return fmt.Errorf("%w: NT response of %d bytes", ErrBlob, len(m.nt))
	}
	a.proof, a.blob = m.nt[:proofLen], m.nt[proofLen:]
	return nil
}

func (a *attempt) checkPassword() error {
	acc, ok := a.srv.lookup(a.msg.domain, a.msg.user)
	if !ok {
		return ErrUnknownUser
	}
	a.account = acc
	a.ntowf = ntowfv2(acc.password, a.msg.user, a.msg.domain)
	right := equal(ntProof(a.ntowf, a.challenge.nonce, a.blob), a.proof)
	if !right && a.srv.answersOther(a.ntowf, a.proof, a.blob) {
		return ErrOtherChallenge
	}
	return a.srv.judge(acc, right)
}

// checkSessionKey finds the exported session key (MS-NLMP, Section 3.2.5.1.2).
func (a *attempt) checkSessionKey() error {
	base := hmacMD5(a.ntowf, a.proof) // also the key exchange key, Section 3.4.5.1
	exchange, n := a.msg.flags&FlagKeyExchange != 0, len(a.msg.sessionKey)
	switch {
	case exchange && n == len(base):
		a.exported = rc4Apply(base, a.msg.sessionKey)
	case n != 0:
		return fmt.Errorf("%w: %d bytes, key exchange is %t", ErrSessionKey, n, exchange)
	case exchange && a.msg.flags&(FlagSign|FlagSeal) != 0:
		return fmt.Errorf("%w: none, in spite of key exchange", ErrSessionKey)
	default:
		a.exported = base
	}
	return nil
}

func (a *attempt) checkBlob() error {
	b := a.blob
	if b[0] != 1 || b[1] != 1 {
		return fmt.Errorf("%w: response type %d, highest %d", ErrBlob, b[0], b[1])
	}
	if !isZero(b[2:8]) || !isZero(b[24:blobFixedLen]) {
		return fmt.Errorf("%w: reserved bytes are not zero", ErrBlob)
	}
	pairs, tail, err := parseAVPairs(b[blobFixedLen:])
	if err != nil {
		return err
	}
	if !isZero(tail) || len(tail) != 0 && len(tail) != blobTailLen {
		return fmt.Errorf("%w: %d bytes after the AV pairs", ErrBlob, len(tail))
	}
	a.pairs = pairs
	a.lookPairs()
	return a.checkTime(le.Uint64(b[8:]))
}

func (a *attempt) checkTime(ticks uint64) error {
	sent, ok := a.challenge.pairs.get(AVTimestamp)
	a.seen.ServerTime = ok && le.Uint64(sent) == ticks
	if off := fromFileTime(ticks).Sub(a.srv.now()); off < -a.srv.skew() || off > a.srv.skew() {
		return fmt.Errorf("%w: off by %v", ErrTimestamp, off.Round(time.Second))
	}
	return nil
}

func equal(a, b []byte) bool { return hmac.Equal(a, b) }
