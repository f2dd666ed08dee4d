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
	errChallenged = errors.New("proxyauth: NTLM: a challenge message in answer to the authenticate message")
	errNoMessage  = errors.New("proxyauth: NTLM: no challenge message in answer to the negotiate message")
	errTwo        = errors.New("proxyauth: NTLM: two challenge messages at once")
	errOutOfTurn  = errors.New("proxyauth: NTLM session used out of turn")
	errTooLong    = errors.New("proxyauth: NTLM challenge message too long")
	errBase64     = errors.New("proxyauth: NTLM challenge message is not base64")
)

// A session is one exchange: the authentication of one connection.
type session struct {
	client *ntlmssp.Client
	bound  bool // to the TLS connection
	stage  stage
	answer []byte // AUTHENTICATE_MESSAGE
}

var _ proxyauth.Continuer = (*session)(nil)

// Format writes "NTLM session", whatever the verb: what a session is about to
// send can be cracked.
func (s *session) Format(f fmt.State, verb rune) { io.WriteString(f, "NTLM session") }

// Authorization returns the NEGOTIATE_MESSAGE and then, after Continue, the
// AUTHENTICATE_MESSAGE.
func (s *session) Authorization(context.Context, proxyauth.Leg) (proxyauth.Authorization, error) {
	switch s.stage {
	case opening:
		s.stage = negotiated
		return proxyauth.Authorization{Value: field(s.client.Negotiate()), More: true, ChannelBound: s.bound}, nil
	case challenged:
		s.stage = authenticated
		return proxyauth.Authorization{Value: field(s.answer), ChannelBound: s.bound}, nil
	default:
		return proxyauth.Authorization{}, errOutOfTurn
	}
}

// field returns the value of the field that carries a message.
func field(message []byte) string {
	return name + " " + base64.StdEncoding.EncodeToString(message)
}

// Continue examines the answer to a leg. The first one must bring a
// CHALLENGE_MESSAGE. A 407 to the second one is a refusal, unless it has a
// CHALLENGE_MESSAGE too: then the proxy did not look at the credentials.
func (s *session) Continue(_ context.Context, challenges []proxyauth.Challenge) (proxyauth.Next, error) {
	token, err := challengeToken(challenges)
	switch {
	case err != nil:
		return proxyauth.Broken, err
	case s.stage == authenticated && token == "":
		return proxyauth.Refused, nil
	case s.stage == authenticated:
		return proxyauth.Broken, errChallenged
	case s.stage != negotiated:
		return proxyauth.GoOn, errOutOfTurn
	case token == "":
		return proxyauth.Broken, errNoMessage
	}
	return proxyauth.GoOn, s.authenticate(token)
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
			return "", errTwo
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
