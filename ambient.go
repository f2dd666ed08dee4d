package proxyauth

// An AmbientScheme is a [Scheme] that may have credentials of its own, such as
// the tickets of the user who is logged in.
//
// If Ambient returns true and the [CredentialsProvider] has no credentials for
// the scheme, NewSession is called with the zero [Credentials] in the
// [Exchange]. It fails if there are none after all.
type AmbientScheme interface {
	Scheme
	Ambient() bool
}
