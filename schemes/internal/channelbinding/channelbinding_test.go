package channelbinding_test

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/schemes/internal/channelbinding"
)

func state(algorithm x509.SignatureAlgorithm) *tls.ConnectionState {
	leaf := &x509.Certificate{Raw: []byte("leaf"), SignatureAlgorithm: algorithm}
	issuer := &x509.Certificate{Raw: []byte("issuer"), SignatureAlgorithm: x509.SHA512WithRSA}
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf, issuer}}
}

func TestServerEndPointUsesTheCertificatesHash(t *testing.T) {
	sha256Sum := func(b []byte) []byte { h := sha256.Sum256(b); return h[:] }
	sha384Sum := func(b []byte) []byte { h := sha512.Sum384(b); return h[:] }
	sha512Sum := func(b []byte) []byte { h := sha512.Sum512(b); return h[:] }
	for _, tc := range []struct {
		algorithm x509.SignatureAlgorithm
		sum       func([]byte) []byte
	}{
		{x509.MD5WithRSA, sha256Sum},
		{x509.SHA1WithRSA, sha256Sum},
		{x509.DSAWithSHA1, sha256Sum},
		{x509.DSAWithSHA256, sha256Sum},
		{x509.ECDSAWithSHA1, sha256Sum},
		{x509.SHA256WithRSA, sha256Sum},
		{x509.SHA256WithRSAPSS, sha256Sum},
		{x509.ECDSAWithSHA256, sha256Sum},
		{x509.SHA384WithRSA, sha384Sum},
		{x509.SHA384WithRSAPSS, sha384Sum},
		{x509.ECDSAWithSHA384, sha384Sum},
		{x509.SHA512WithRSA, sha512Sum},
		{x509.SHA512WithRSAPSS, sha512Sum},
		{x509.ECDSAWithSHA512, sha512Sum},
	} {
		t.Run(tc.algorithm.String(), func(t *testing.T) {
			want := append([]byte("tls-server-end-point:"), tc.sum([]byte("leaf"))...)
			require.Equal(t, want, channelbinding.ServerEndPoint(state(tc.algorithm)))
		})
	}
}

func TestServerEndPointIsAbsent(t *testing.T) {
	for _, tc := range []struct {
		desc  string
		state *tls.ConnectionState
	}{
		{"no TLS", nil},
		{"no certificate", &tls.ConnectionState{}},
		{"a signature without a hash function", state(x509.PureEd25519)},
		{"an unknown signature algorithm", state(x509.UnknownSignatureAlgorithm)},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			require.Nil(t, channelbinding.ServerEndPoint(tc.state))
		})
	}
}

func TestHashOfNoBindingIsZero(t *testing.T) {
	require.Equal(t, [md5.Size]byte{}, channelbinding.Hash(nil))
}

// The structure is spelled out, so that a change of its layout is seen.
func TestHashCoversTheWholeStructure(t *testing.T) {
	structure, err := hex.DecodeString(
		"00000000" + "00000000" + // initiator's address
			"00000000" + "00000000" + // acceptor's address
			"18000000" + hex.EncodeToString([]byte("tls-server-end-point:abc")))
	require.NoError(t, err)
	require.Equal(t, md5.Sum(structure), channelbinding.Hash([]byte("tls-server-end-point:abc")))
}
