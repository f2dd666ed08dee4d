package krb

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/types"
)

// A principal is a name in a realm.
type principal struct {
	name  types.PrincipalName
	realm string
}

// newPrincipal returns the principal of a user or service name, whose
// components slashes separate.
func newPrincipal(nameType int32, name, realm string) principal {
	return principal{name: types.NewPrincipalName(nameType, name), realm: realm}
}

func ticketGranting(realm string) types.PrincipalName {
	return types.PrincipalName{NameType: nametype.KRB_NT_SRV_INST, NameString: []string{"krbtgt", realm}}
}

// isTicketGranting reports whether name is of a ticket-granting service, and of
// which realm.
func isTicketGranting(name types.PrincipalName) (realm string, ok bool) {
	if len(name.NameString) != 2 || name.NameString[0] != "krbtgt" {
		return "", false
	}
	return name.NameString[1], true
}

// equalFold compares as Active Directory does, which answers with its own
// spelling.
func (p principal) equalFold(q principal) bool {
	return strings.EqualFold(p.realm, q.realm) &&
		slices.EqualFunc(p.name.NameString, q.name.NameString, strings.EqualFold)
}

// principalOf returns the principal that a user name means: user@REALM,
// REALM\user, DOMAIN\user or user. own is the realm that was given in code, "" if
// none was.
func (c *conf) principalOf(user, own string) (principal, error) {
	if user == "" || strings.ContainsFunc(user, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return principal{}, fmt.Errorf("%w: the user name is empty or has control characters", ErrClientUnknown)
	}
	name, realm := user, ""
	if domain, rest, ok := strings.Cut(user, `\`); ok {
		name, realm = rest, domain
	} else if i := strings.LastIndexByte(user, '@'); i >= 0 {
		name, realm = user[:i], user[i+1:]
	}
	realm, err := c.resolveRealm(realm, own)
	if err == nil && name == "" {
		err = fmt.Errorf("%w: the user name is empty", ErrClientUnknown)
	}
	return newPrincipal(nametype.KRB_NT_PRINCIPAL, name, realm), err
}

// resolveRealm returns the realm that a user name's domain means. A domain
// without a dot is a NetBIOS name, of which Kerberos knows nothing: it means the
// realm given in code, or the default realm if the name is part of that. A
// password must not go to a realm that the user did not mean.
func (c *conf) resolveRealm(domain, own string) (string, error) {
	own = strings.TrimSpace(own)
	_, configured := c.realms[domain]
	switch {
	case domain == "":
		if own = cmp.Or(own, c.defaultRealm); own == "" {
			return "", ErrNoRealm
		}
		return own, nil
	case strings.EqualFold(domain, own):
		return own, nil
	case configured || strings.Contains(domain, "."):
		return c.spelled(domain), nil
	case own != "":
		return own, nil
	case hasLabel(c.defaultRealm, domain):
		return c.defaultRealm, nil
	}
	return "", fmt.Errorf("%w (the domain is not one)", ErrNoRealm)
}

func hasLabel(realm, label string) bool {
	for l := range strings.SplitSeq(realm, ".") {
		if strings.EqualFold(l, label) {
			return true
		}
	}
	return false
}

// meant reports whether p is the principal that a user name means. A name whose
// realm can't be told means the one of its name in any realm.
func (c *conf) meant(p principal, user, own string) bool {
	if user == "" {
		return true
	}
	want, err := c.principalOf(user, own)
	if err == nil {
		return want.equalFold(p)
	}
	return !strings.ContainsAny(user, `\@`) && strings.EqualFold(user, p.name.PrincipalNameString())
}
