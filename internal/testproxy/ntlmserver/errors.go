package ntlmserver

import "errors"

// Errors of [Context.Accept], one for each rule that a client can break. They
// come wrapped, with what was wrong in particular in numbers: no text that the
// client has sent is quoted, [Context.Seen] has it.
var (
	// ErrTooLong means that a message is longer than any that is plausible.
	ErrTooLong = errors.New("ntlmserver: message too long")

	// ErrMessage means that a message can't be parsed: no signature, an unknown
	// type, too short, or text that is not UTF-16.
	ErrMessage = errors.New("ntlmserver: malformed message")

	// ErrField means that a payload field lies outside the message, in its
	// fixed header, or over another field.
	ErrField = errors.New("ntlmserver: payload field out of place")

	// ErrSequence means that a message came that the handshake does not
	// expect: a second NEGOTIATE, or anything after the end.
	ErrSequence = errors.New("ntlmserver: message out of sequence")

	// ErrNoChallenge means that an AUTHENTICATE came on a connection on which
	// no challenge is outstanding.
	ErrNoChallenge = errors.New("ntlmserver: no challenge outstanding on this connection")

	// ErrOtherChallenge means that an AUTHENTICATE is right for a challenge
	// that was given on another connection, or earlier.
	ErrOtherChallenge = errors.New("ntlmserver: answers a challenge of another connection")

	// ErrFlags means that NegotiateFlags lack what they must have, or claim
	// what the challenge did not offer (MS-NLMP, Section 2.2.2.5).
	ErrFlags = errors.New("ntlmserver: wrong negotiate flags")

	// ErrAnonymous means that the client did not name a user.
	ErrAnonymous = errors.New("ntlmserver: anonymous authentication")

	// ErrNTLMv1 means that the response is of NTLM version 1, or of LM.
	ErrNTLMv1 = errors.New("ntlmserver: not an NTLMv2 response")

	// ErrUnknownUser means that there is no such user in that domain.
	ErrUnknownUser = errors.New("ntlmserver: unknown user or domain")

	// ErrWrongPassword means that NTProofStr does not fit the user's password.
	ErrWrongPassword = errors.New("ntlmserver: wrong password")

	// ErrLockedOut means that the user has had too many wrong passwords,
	// whatever the one that came now.
	ErrLockedOut = errors.New("ntlmserver: user locked out")

	// ErrSessionKey means that EncryptedRandomSessionKey is there without
	// NTLMSSP_NEGOTIATE_KEY_EXCH, or missing with it.
	ErrSessionKey = errors.New("ntlmserver: wrong encrypted session key")

	// ErrBlob means that NTLMv2_CLIENT_CHALLENGE is not as MS-NLMP, Section
	// 2.2.2.7 has it.
	ErrBlob = errors.New("ntlmserver: malformed client challenge")

	// ErrTimestamp means that the client's clock is off.
	ErrTimestamp = errors.New("ntlmserver: timestamp out of range")

	// ErrTargetInfo means that the AV pairs in the response are malformed, or
	// are not the ones of the challenge with nothing but the permitted added.
	ErrTargetInfo = errors.New("ntlmserver: target info differs from the challenge's")

	// ErrMICMissing means that the message has to have a MIC and has none.
	ErrMICMissing = errors.New("ntlmserver: message integrity code missing")

	// ErrMIC means that the MIC is wrong.
	ErrMIC = errors.New("ntlmserver: wrong message integrity code")

	// ErrLMResponse means that LmChallengeResponse is neither empty nor zero
	// nor, where it may be, the right LMv2 response.
	ErrLMResponse = errors.New("ntlmserver: wrong LM response")

	// ErrChannelBindingMissing means that [Server.RequireEPA] is set and there
	// is no channel binding.
	ErrChannelBindingMissing = errors.New("ntlmserver: channel binding missing")

	// ErrChannelBinding means that the channel binding is that of another
	// channel.
	ErrChannelBinding = errors.New("ntlmserver: wrong channel binding")

	// ErrTargetName means that [Server.CheckTargetName] does not like the
	// client's target name.
	ErrTargetName = errors.New("ntlmserver: wrong target name")

	// ErrSignature means that a signature does not fit its message.
	ErrSignature = errors.New("ntlmserver: wrong signature")

	// ErrNoSessionSecurity means that the session can't sign: it is not
	// established, or without extended session security.
	ErrNoSessionSecurity = errors.New("ntlmserver: no extended session security")
)
