package krb

import (
	"errors"
	"fmt"
)

// serviceError adds to the error of a TGS exchange what it was for, which realm was
// asked, and how to make the service known.
func serviceError(err error, s service, realm string) error {
	about := About{Realm: realm, SPN: s.String()}
	if errors.Is(err, ErrServiceUnknown) {
		return detailed{fmt.Errorf("%w: %s in realm %s: register it, on Active Directory with setspn -S %s ACCOUNT, or set SPN if the proxy uses another name", err, s, realm, s), about}
	}
	return detailed{fmt.Errorf("%w: %s", err, s), about}
}
