// Package channelbinding computes the channel binding of a TLS connection to a
// proxy in the form in which NTLM and Kerberos carry it: the hash of a GSS-API
// channel bindings structure.
package channelbinding

import (
	"crypto"
	"crypto/md5"
	_ "crypto/sha256" // for crypto.SHA256.New
	_ "crypto/sha512" // for crypto.SHA384.New and crypto.SHA512.New
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
)

// prefix is the channel binding type's name and a colon (RFC 5056, Section 2.1).
const prefix = "tls-server-end-point:"

// ServerEndPoint returns the channel binding tls-server-end-point of a client's
// connection, its type's name in front (RFC 5929, Section 4). It returns nil if
// there is none: state is nil, the server sent no certificate, or the
// certificate's signature algorithm is unknown to package x509 or has no hash
// function of its own, as Ed25519, for which the RFC leaves the binding
// undefined. Chromium sends none then, either.
func ServerEndPoint(state *tls.ConnectionState) []byte {
	if state == nil || len(state.PeerCertificates) == 0 {
		return nil
	}
	leaf := state.PeerCertificates[0]
	hash := certificateHash(leaf.SignatureAlgorithm)
	if hash == 0 {
		return nil
	}
	h := hash.New()
	h.Write(leaf.Raw)
	return h.Sum([]byte(prefix))
}

// Hash returns the MD5 hash of a gss_channel_bindings_struct that holds the
// channel binding as its application data and no addresses: NTLM's
// MsvAvChannelBindings (MS-NLMP, Section 2.2.2.1) and Kerberos' Bnd (RFC 4121,
// Section 4.1.1.2). Without a binding it is all zero, which is how both say that
// there is none.
func Hash(binding []byte) [md5.Size]byte {
	if len(binding) == 0 {
		return [md5.Size]byte{}
	}
	// Type and length of the initiator's and of the acceptor's address.
	structure := make([]byte, 4*4, 4*4+4+len(binding))
	structure = binary.LittleEndian.AppendUint32(structure, uint32(len(binding)))
	return md5.Sum(append(structure, binding...))
}

// certificateHash returns the hash function of a certificate's signature, with
// MD5 and SHA-1 replaced by SHA-256 (RFC 5929, Section 4.1), or 0 if there is
// none.
func certificateHash(algorithm x509.SignatureAlgorithm) crypto.Hash {
	switch algorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1,
		x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.DSAWithSHA256, x509.ECDSAWithSHA256:
		return crypto.SHA256
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		return crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		return crypto.SHA512
	default:
		return 0
	}
}
