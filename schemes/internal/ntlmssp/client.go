// Package ntlmssp is the client's side of NTLM (MS-NLMP): tokens in, tokens
// out. It speaks NTLMv2 alone, with the extended protection that current servers
// ask for: message integrity code, target name and channel bindings.
package ntlmssp

import (
	"crypto/fips140"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/internal/channelbinding"
)

// Errors of a [Client].
var (
	errFIPS  = errors.New("proxyauth: NTLM needs MD4 and MD5, which FIPS 140-only mode forbids")
	errTwice = errors.New("proxyauth: NTLM challenge message answered before")
)

// A Config says what a [Client] proves, and to whom.
type Config struct {
	// Credentials are the ones to prove. The user name is `DOMAIN\user`,
	// user@realm, or a plain name.
	Credentials proxyauth.Credentials

	// PasswordIsHash says that the password is the NT hash of the password,
	// as 32 hexadecimal digits.
	PasswordIsHash bool

	// Domain is the domain of a plain user name. It may be empty.
	Domain string

	// Workstation is the client's name as the server logs it. It may be empty.
	Workstation string

	// TargetName is the service principal name of the server, such as
	// HTTP/proxy.example.com. It may be empty.
	TargetName string

	// ChannelBinding is the channel binding of the connection with its type in
	// front, as in "tls-server-end-point:…". Nil says that there is none.
	ChannelBinding []byte

	// Sign asks for session security, for [Client.Signer].
	Sign bool
}

// A Client is the client's side of one exchange. It is not safe for concurrent
// use.
type Client struct {
	config      Config
	identity    identity
	responseKey []byte

	negotiate []byte
	offered   flags

	// Of the answer to the server's challenge.
	answered   bool
	agreed     flags
	sessionKey []byte
}

// New returns a client for one exchange. An error means that the credentials or
// the names can't be sent.
func New(config Config) (*Client, error) {
	if fips140.Enforced() {
		return nil, errFIPS
	}
	if err := checkNames(config.Workstation, config.TargetName); err != nil {
		return nil, err
	}
	id, err := parseIdentity(config.Credentials.Username, config.Domain)
	if err != nil {
		return nil, err
	}
	hash, err := secretHash(config.Credentials.Password, config.PasswordIsHash)
	if err != nil {
		return nil, err
	}
	message, offered, err := negotiateMessage(config.Sign)
	if err != nil {
		return nil, err
	}
	return &Client{
		config: config, identity: id, responseKey: responseKey(hash, id),
		negotiate: message, offered: offered,
	}, nil
}

// Format writes "NTLM client", whatever the verb: a Client holds keys.
func (c *Client) Format(f fmt.State, verb rune) { io.WriteString(f, "NTLM client") }

// Negotiate returns the NEGOTIATE_MESSAGE that opens the exchange.
func (c *Client) Negotiate() []byte { return slices.Clone(c.negotiate) }

// Authenticate returns the AUTHENTICATE_MESSAGE that answers the server's
// CHALLENGE_MESSAGE and completes the exchange. An error that wraps
// [proxyauth.ErrUnsupportedChallenge] means that the server does not do NTLMv2
// in Unicode; any other one, that the challenge is malformed or was not the
// first.
func (c *Client) Authenticate(challenge []byte) ([]byte, error) {
	var random [8]byte
	rand.Read(random[:])
	return c.authenticate(challenge, random)
}

// authenticate is Authenticate with a given client challenge.
func (c *Client) authenticate(challenge []byte, random [8]byte) ([]byte, error) {
	if c.answered {
		return nil, errTwice
	}
	cm, err := parseChallenge(challenge)
	if err != nil {
		return nil, err
	}
	info, err := parseTargetInfo(cm.targetInfo)
	if err != nil {
		return nil, err
	}
	c.answered = true
	// A server that turns on what was not offered, such as key exchange, does
	// not get it.
	c.agreed = cm.flags & c.offered
	message, mic := c.respond(cm.serverChallenge, random, info)
	if mic {
		copy(message[micAt:], hmacMD5(c.sessionKey, c.negotiate, challenge, message))
	}
	return message, nil
}

// respond returns the message, its MIC zero, and whether it is to get one. It
// sets the session key.
func (c *Client) respond(server, random [8]byte, info targetInfo) (message []byte, mic bool) {
	m := authenticateMessage{
		domain:      c.identity.domain,
		user:        c.identity.user,
		workstation: c.config.Workstation,
		flags:       c.agreed,
		lmResponse:  make([]byte, 24),
	}
	in := clientInput{challenge: random}
	// A server that sends its time can do without LMv2, and can check a MIC
	// (MS-NLMP, Section 3.1.5.1.2).
	timestamp, mic := info.value(avTimestamp)
	if mic {
		in.timestamp = [8]byte(timestamp)
	} else {
		in.timestamp = fileTime(time.Now())
		m.lmResponse = lmResponse(c.responseKey, server, random)
	}
	bindings := channelbinding.Hash(c.config.ChannelBinding)
	in.info = info.answer(mic, bindings[:], utf16LE(c.config.TargetName))
	m.ntResponse, c.sessionKey = ntResponse(c.responseKey, server, in)
	return m.marshal(), mic
}

// SessionKey returns the ExportedSessionKey of a completed exchange, nil before.
// Since keys are not exchanged, it is the session base key.
func (c *Client) SessionKey() []byte { return slices.Clone(c.sessionKey) }
