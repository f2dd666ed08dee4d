package defaults

import "github.com/go-proxyauth/proxyauth"

// ProviderAt is Provider with another terminal.
func ProviderAt(device string) proxyauth.CredentialsObserver { return newProvider(device) }
