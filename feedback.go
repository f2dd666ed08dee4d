package proxyauth

import (
	"context"
	"time"
)

// A CredentialsObserver is a [CredentialsProvider] that is told what became of
// its answers, so that it can keep the ones that work and give up the ones that
// don't.
//
// A Transport calls one of the methods once for each proof or refusal of
// credentials, not for each request, with the request that it had asked. A
// provider that stands before others hands the call on to the one that gave the
// credentials.
type CredentialsObserver interface {
	CredentialsProvider

	// Accepted is called when the proxy has accepted c for the first time.
	Accepted(ctx context.Context, req *CredentialsRequest, c Credentials)

	// Rejected is called when the proxy has refused c in a complete attempt,
	// before the provider is asked again.
	Rejected(ctx context.Context, req *CredentialsRequest, c Credentials)
}

// An ExpiringProvider is a [CredentialsProvider] that knows for how long an
// answer is good.
//
// A Transport calls CredentialsUntil in place of Credentials. When the time has
// passed it asks again, once for all requests, before anything more is sent of the
// answer; that is no refusal. Connections and tunnels that were authenticated in
// time go on serving as long as the user is the same.
type ExpiringProvider interface {
	CredentialsProvider

	// CredentialsUntil is Credentials with the time from which on the answer
	// must not be used any more. The zero time means that none is known; one
	// that has passed is an error to the Transport.
	CredentialsUntil(ctx context.Context, req *CredentialsRequest) (Credentials, time.Time, error)
}
