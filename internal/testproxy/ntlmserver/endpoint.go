package ntlmserver

import (
	"crypto"
	_ "crypto/sha256" // for crypto.Hash.New
	_ "crypto/sha512"
	"crypto/x509"
)

// endPointHashes says which hash an algorithm's signature goes with. MD5 and
// SHA-1 are raised to SHA-256 (RFC 5929, Section 4.1).
var endPointHashes = map[x509.SignatureAlgorithm]crypto.Hash{
	x509.MD5WithRSA:       crypto.SHA256,
	x509.SHA1WithRSA:      crypto.SHA256,
	x509.ECDSAWithSHA1:    crypto.SHA256,
	x509.SHA256WithRSA:    crypto.SHA256,
	x509.SHA256WithRSAPSS: crypto.SHA256,
	x509.ECDSAWithSHA256:  crypto.SHA256,
	x509.SHA384WithRSA:    crypto.SHA384,
	x509.SHA384WithRSAPSS: crypto.SHA384,
	x509.ECDSAWithSHA384:  crypto.SHA384,
	x509.SHA512WithRSA:    crypto.SHA512,
	x509.SHA512WithRSAPSS: crypto.SHA512,
	x509.ECDSAWithSHA512:  crypto.SHA512,
}

// ServerEndPoint returns the channel binding, for [Server.NewContext], of TLS
// connections to a server with this certificate (RFC 5929, Section 4). It is nil
// for a signature without a hash of its own, such as Ed25519, for which there
// is none.
func ServerEndPoint(cert *x509.Certificate) []byte {
	hash, ok := endPointHashes[cert.SignatureAlgorithm]
	if !ok {
		return nil
	}
	h := hash.New()
	h.Write(cert.Raw)
	return h.Sum([]byte("tls-server-end-point:"))
}
