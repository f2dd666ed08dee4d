package ntlmssp

import "github.com/go-proxyauth/proxyauth"

var (
	Upcase    = upcase
	NTHash    = ntHash
	NewSigner = newSigner
)

// AuthenticateWith is Authenticate with a given client challenge.
func (c *Client) AuthenticateWith(challenge []byte, random [8]byte) ([]byte, error) {
	return c.authenticate(challenge, random)
}

// ResponseKey returns NTOWFv2.
func ResponseKey(username, password string) ([]byte, error) {
	id, err := parseIdentity(username, "")
	if err != nil {
		return nil, err
	}
	hash, err := secretHash(proxyauth.NewSecret(password), false)
	return responseKey(hash, id), err
}

// Responses returns the two responses and the session base key, with the target
// info as the server sent it and a time of zero.
func Responses(key []byte, server, client [8]byte, info []byte) (nt, lm, sessionKey []byte, err error) {
	parsed, err := parseTargetInfo(info)
	if err != nil {
		return nil, nil, nil, err
	}
	nt, sessionKey = ntResponse(key, server, clientInput{challenge: client, info: parsed})
	return nt, lmResponse(key, server, client), sessionKey, nil
}

// RewriteTargetInfo returns the target info of the response to one from the
// server.
func RewriteTargetInfo(info []byte, mic bool, bindings, targetName []byte) ([]byte, error) {
	parsed, err := parseTargetInfo(info)
	if err != nil {
		return nil, err
	}
	return parsed.answer(mic, bindings, targetName).marshal(), nil
}
