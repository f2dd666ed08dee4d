package digest

import "github.com/go-proxyauth/proxyauth"

// NewSessionWithCnonce is NewSession with the cnonces of the caller's choice.
func (s Scheme) NewSessionWithCnonce(ex proxyauth.Exchange, cnonce func() string) (proxyauth.Session, error) {
	return s.newSession(ex, cnonce)
}
