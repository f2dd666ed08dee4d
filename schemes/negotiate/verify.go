package negotiate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

// maxFields bounds the challenges of an answer that are looked at.
const maxFields = 64

// Verify examines the answer of a proxy that has let the request pass. A token of
// the mechanism, in Proxy-Authentication-Info or in Proxy-Authenticate, where
// Apache has it, must be right. If there is none, that is an error if
// [Scheme.RequireMutual] is set.
func (s *session) Verify(resp *http.Response) error {
	return explained(s.verify(resp), s.spn)
}

func (s *session) verify(resp *http.Response) error {
	text := finalToken(resp.Header)
	switch {
	case text != "" && s.wrapped != nil:
		if err := s.finish(text); err != nil {
			return err
		}
	case text != "" && s.kerberos == nil:
		return nil // NTLM says nothing in the end
	}
	if s.scheme.RequireMutual && (s.kerberos == nil || !s.kerberos.Verified()) {
		return notVerified{errNoMutual}
	}
	return nil
}

func (s *session) finish(text string) error {
	token, err := decode(text)
	if err == nil {
		err = s.wrapped.Finish(context.Background(), token)
	}
	if err != nil && !errors.Is(err, krb.ErrNotVerified) {
		return notVerified{fmt.Errorf("%w: %w", krb.ErrNotVerified, err)}
	}
	return err
}

// notVerified adds [proxyauth.ErrNotVerified] to an error.
type notVerified struct{ error }

func (e notVerified) Unwrap() []error { return []error{proxyauth.ErrNotVerified, e.error} }

// finalToken returns the token of an answer that is no 407, or "".
func finalToken(h http.Header) string {
	for _, field := range []string{"Proxy-Authentication-Info", "Proxy-Authenticate"} {
		for _, value := range h[field] {
			if token := tokenOf(value); token != "" {
				return token
			}
		}
	}
	return ""
}

// tokenOf returns the token behind "Negotiate" in a list of challenges. Commas in
// quoted strings of other schemes only add to the pieces that are none.
func tokenOf(value string) string {
	n := 0
	for piece := range strings.SplitSeq(value, ",") {
		if n++; n > maxFields {
			return ""
		}
		scheme, token, ok := strings.Cut(strings.TrimSpace(piece), " ")
		if ok && strings.EqualFold(scheme, name) {
			return strings.TrimSpace(token)
		}
	}
	return ""
}
