package krb

import (
	"sync"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
)

// authenticators makes authenticators of which no two have the same time: who gets a second
// one of the same client, second and microsecond takes it for a replay (RFC 4120, Section
// 3.2.3). The zero value is ready to use.
type authenticators struct {
	mu   sync.Mutex
	last time.Time // of the last one
}

// new returns an authenticator for a client, without a checksum.
func (a *authenticators) new(client principal) (types.Authenticator, error) {
	auth, err := types.NewAuthenticator(client.realm, client.name)
	auth.CTime = a.next()
	auth.Cusec = auth.CTime.Nanosecond() / int(time.Microsecond)
	return auth, err
}

// next returns the time, or one a little later if that was taken. A clock that was set back is
// followed.
func (a *authenticators) next() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now().UTC().Truncate(time.Microsecond)
	if behind := a.last.Sub(now); 0 <= behind && behind < time.Second {
		now = a.last.Add(time.Microsecond)
	}
	a.last = now
	return now
}
