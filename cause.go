package proxyauth

// A Cause is one of the known reasons for which a request does not get through a
// proxy. The zero value is not a cause.
type Cause int

// The causes.
const (
	_ Cause = iota

	// NoCredentials: the provider has none for this proxy.
	NoCredentials

	// CredentialsRejected: the proxy refused a complete attempt, now or
	// earlier.
	CredentialsRejected

	// NoCommonScheme: the schemes that the proxy offers and the ones of the
	// Transport don't meet.
	NoCommonScheme

	// NoChallenge: a 407 without a Proxy-Authenticate field.
	NoChallenge

	// MalformedChallenge: a 407 whose Proxy-Authenticate can't be parsed.
	MalformedChallenge

	// PolicyForbids: a rule of the Transport forbids the answer.
	PolicyForbids

	// SchemeFailed: every scheme in common failed before anything secret was
	// sent to the proxy: no ticket, a KDC that does not answer, a user name that
	// can't be sent, a bad token.
	SchemeFailed

	// HandshakeBroken: the exchange was broken off midway, or goes in circles.
	HandshakeBroken

	// ProxyNotVerified: the proxy did not prove that it knows the secret.
	ProxyNotVerified

	// Denied: 403 to a CONNECT that carried credentials.
	Denied

	// ProxyUnreachable: name resolution, TCP or TLS to the proxy failed.
	ProxyUnreachable

	// ProxyFailed: the proxy answered a CONNECT with another status, or with
	// something that is not HTTP, or not at all.
	ProxyFailed

	// BodyNotReplayable: the proxy challenged a request whose body is gone.
	BodyNotReplayable
)

var causes = [...]string{
	NoCredentials:       "no credentials",
	CredentialsRejected: "credentials rejected",
	NoCommonScheme:      "no common authentication scheme",
	NoChallenge:         "407 without a challenge",
	MalformedChallenge:  "malformed challenge",
	PolicyForbids:       "forbidden by policy",
	SchemeFailed:        "authentication scheme failed",
	HandshakeBroken:     "handshake broken off",
	ProxyNotVerified:    "proxy not verified",
	Denied:              "denied by the proxy",
	ProxyUnreachable:    "proxy unreachable",
	ProxyFailed:         "proxy failed",
	BodyNotReplayable:   "request body can't be sent again",
}

// unknownForm is the hint of NoCommonScheme where there is one by name.
const unknownForm = "The proxy offers a scheme that this program has enabled, but in no form that it knows and allows, " +
	"such as an algorithm of Digest. The error of each is listed. Ask whoever runs the proxy for another."

// String returns the cause in words, such as "credentials rejected".
func (c Cause) String() string {
	if c <= 0 || int(c) >= len(causes) {
		return "unknown cause"
	}
	return causes[c]
}

// MarshalText returns the text of String.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// hints is indexed by cause; the one of NoCommonScheme takes both lists, the one
// of PolicyForbids the rules.
var hints = [...]string{
	NoCredentials: "No user name and password are known for this proxy. Set Transport.Credentials, " +
		"or put them into the proxy's URL (HTTPS_PROXY=http://user:password@host:port).",
	CredentialsRejected: "The proxy refused the user name or password: wrong or expired password, locked account, " +
		`or the domain is missing from the user name (DOMAIN\user). They are not sent again, to spare the account, ` +
		"until the provider returns others or Transport.Reset is called.",
	NoCommonScheme: "The proxy offers %s; this program has enabled %s. Enable one of the proxy's schemes in " +
		"Transport.Schemes, or one of the program's at the proxy.",
	NoChallenge: "The proxy wants authentication but does not say how. It is misconfigured, or something else answers " +
		"on this port; on a connection where the proxy has accepted the credentials, the 407 may be the origin server's. " +
		"Ask whoever runs the proxy.",
	MalformedChallenge: "The proxy's Proxy-Authenticate field breaks the syntax of RFC 9110, Section 11.6.1; " +
		"Error.Header has it. Ask whoever runs the proxy; a quote in a realm is a frequent reason.",
	PolicyForbids: "A rule of this program forbids to answer the proxy's challenge: %s. " +
		"The field that is named relaxes it.",
	SchemeFailed: "No scheme that the proxy offers could be carried out on this machine. The error of each is listed.",
	HandshakeBroken: "The proxy, or a firewall or load balancer before it, broke off the handshake. " +
		"NTLM and Negotiate need keep-alive connections that stay with one proxy from end to end, and Digest nonces that all machines behind one name know. " +
		"Some proxies break it off when the password is wrong; it is then not sent again for a while, to spare the account.",
	ProxyNotVerified: "The peer did not prove that it knows the secret. It may not be your proxy.",
	Denied: "The proxy knows the user and denies the target. The account lacks permission, " +
		"or the proxy does not allow CONNECT to this host and port.",
	ProxyUnreachable: "No connection to the proxy. Check host and port as configured " +
		"(HTTPS_PROXY, HTTP_PROXY, or the program's own setting), and that the proxy's certificate is trusted if it speaks TLS.",
	ProxyFailed:       "The proxy could not serve the request. The status is its own; ask whoever runs the proxy.",
	BodyNotReplayable: "The proxy asked for authentication when the request's body was already on its way. Set Request.GetBody.",
}
