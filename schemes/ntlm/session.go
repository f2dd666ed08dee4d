package ntlm

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/internal/ntlmssp"
)

// A stage is how far an exchange has come.
type stage int

const (
	opening       stage = iota // nothing sent
	negotiated                 // NEGOTIATE_MESSAGE sent
	challenged                 // CHALLENGE_MESSAGE received
	authenticated              // AUTHENTICATE_MESSAGE sent
)

var (
	errOutOfTurn = errors.New("proxyauth: NTLM session used out of turn")
	errTooLong   = errors.New("proxyauth: NTLM challenge message too long")
	errBase64    = errors.New("proxyauth: NTLM challenge message is not base64")
)

// A session is one exchange: the authentication of one connection.
type session struct {
	client *ntlmssp.Client
	stage  stage
	answer []byte // AUTHENTICATE_MESSAGE
}

var _ proxyauth.Handshaker = (*session)(nil)

// Format writes "NTLM session", whatever the verb: what a session is about to
// send can be cracked.
func (s *session) Format(f fmt.State, verb rune) { io.WriteString(f, "NTLM session") }

// Authorization returns the NEGOTIATE_MESSAGE and then, after Continue, the
// AUTHENTICATE_MESSAGE.
func (s *session) Authorization(context.Context, proxyauth.Leg) (string, error) {
	switch s.stage {
	case opening:
		s.stage = negotiated
		return authorization(s.client.Negotiate()), nil
	case challenged:
		s.stage = authenticated
		return authorization(s.answer), nil
	default:
		return "", errOutOfTurn
	}
}

func authorization(message []byte) string {
	return name + " " + base64.StdEncoding.EncodeToString(message)
}

// Final reports whether the AUTHENTICATE_MESSAGE has been sent.
func (s *session) Final() bool { return s.stage == authenticated }

// Continue takes the CHALLENGE_MESSAGE that answers the first leg. A 407 to the
// second leg is a refusal, unless it challenges again: then the credentials were
// not looked at.
func (s *session) Continue(_ context.Context, challenges []proxyauth.Challenge) error {
	token, err := challengeToken(challenges)
	switch {
	case err != nil:
		return err
	case s.stage == authenticated && token == "":
		return fmt.Errorf("%w by NTLM", proxyauth.ErrRejected)
	case s.stage != negotiated && token != "":
		return broken("a challenge message out of turn")
	case s.stage != negotiated:
		return errOutOfTurn
	case token == "":
		return broken("no challenge message in answer to the negotiate message")
	}
	return s.authenticate(token)
}

func (s *session) authenticate(token string) error {
	message, err := decode(token)
	if err != nil {
		return err
	}
	s.answer, err = s.client.Authenticate(message)
	if err != nil {
		return err
	}
	s.stage = challenged
	return nil
}

// challengeToken returns the one token among challenges, or "" if there is none.
func challengeToken(challenges []proxyauth.Challenge) (string, error) {
	token := ""
	for _, c := range challenges {
		switch {
		case c.Token68 == "":
		case token != "":
			return "", broken("two challenge messages at once")
		default:
			token = c.Token68
		}
	}
	return token, nil
}

func decode(token string) ([]byte, error) {
	if len(token) > base64.StdEncoding.EncodedLen(ntlmssp.MaxChallengeSize) {
		return nil, errTooLong
	}
	message, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		// The error of package base64 tells nothing more that is of use.
		return nil, errBase64
	}
	return message, nil
}

func broken(why string) error {
	return fmt.Errorf("%w: NTLM: %s", proxyauth.ErrHandshakeBroken, why)
}
