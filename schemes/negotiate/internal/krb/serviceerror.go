package krb

import (
	"errors"
	"fmt"
)

// serviceError adds to the error of a TGS exchange what it was for, and how to
// make the service known.
func serviceError(err error, s service) error {
	if errors.Is(err, ErrServiceUnknown) {
		return fmt.Errorf("%w: %s: register it, on Active Directory with setspn -S %s ACCOUNT, or set SPN if the proxy uses another name", err, s, s)
	}
	return fmt.Errorf("%w: %s", err, s)
}
