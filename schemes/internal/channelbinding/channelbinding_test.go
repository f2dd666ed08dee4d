package channelbinding_test

import (
	"bytes"
	"crypto"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // for crypto.SHA1.New
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/schemes/internal/channelbinding"
)

var hexPrefix = hex.EncodeToString([]byte("tls-server-end-point:"))

// What OpenSSL computes of certificates that it has signed in many ways. Those of issuers don't
// matter.
func TestServerEndPointOfRealCertificates(t *testing.T) {
	rest, err := os.ReadFile("testdata/certificates.pem")
	require.NoError(t, err)
	kinds := map[x509.SignatureAlgorithm]bool{}
	for {
		before, _, found := strings.Cut(string(rest), "-----BEGIN")
		if !found {
			break
		}
		var block *pem.Block
		block, rest = pem.Decode(rest)
		words := strings.Fields(before)
		name, want := words[len(words)-2], words[len(words)-1]
		leaf, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err, name)
		kinds[leaf.SignatureAlgorithm] = true
		issuer := &x509.Certificate{Raw: []byte("issuer"), SignatureAlgorithm: x509.SHA512WithRSA}
		got := channelbinding.ServerEndPoint(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf, issuer}})
		if want == "none" {
			require.Nil(t, got, name)
		} else {
			require.Equal(t, hexPrefix+want, hex.EncodeToString(got), name)
		}
	}
	for algorithm := x509.MD5WithRSA; algorithm <= x509.PureEd25519; algorithm++ {
		require.True(t, kinds[algorithm], "none is signed with %v", algorithm)
	}
}

// A server may send a certificate that nobody trusts any more, to a client that verifies none.
func TestServerEndPointOfWeakCertificate(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for _, tc := range []struct {
		hash crypto.Hash
		oid  byte // the last octet of that of the signature (RFC 8017, Appendix A.2.4)
		want x509.SignatureAlgorithm
	}{
		{crypto.MD5, 4, x509.MD5WithRSA},
		{crypto.SHA1, 5, x509.SHA1WithRSA},
	} {
		der := signedWith(t, key, tc.hash, tc.oid)
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			conn := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
			conn.Handshake()
		}()
		conn := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
		require.NoError(t, conn.Handshake())
		state := conn.ConnectionState()
		client.Close()
		require.Equal(t, tc.want, state.PeerCertificates[0].SignatureAlgorithm)
		sum := sha256.Sum256(der)
		require.Equal(t, hexPrefix+hex.EncodeToString(sum[:]), hex.EncodeToString(channelbinding.ServerEndPoint(&state)))
	}
}

func TestServerEndPointIsAbsent(t *testing.T) {
	require.Nil(t, channelbinding.ServerEndPoint(nil), "no TLS")
	require.Nil(t, channelbinding.ServerEndPoint(&tls.ConnectionState{}), "no certificate")
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

// signedWith returns a certificate with a signature that package x509 does not make.
func signedWith(t *testing.T, key *rsa.PrivateKey, hash crypto.Hash, oid byte) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), SignatureAlgorithm: x509.SHA256WithRSA}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	var certificate struct{ TBS, Algorithm, Signature asn1.RawValue }
	_, err = asn1.Unmarshal(der, &certificate)
	require.NoError(t, err)
	rsaOID := []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01}
	replace := func(b []byte) []byte {
		return bytes.Replace(b, slices.Concat(rsaOID, []byte{11}), slices.Concat(rsaOID, []byte{oid}), 1)
	}
	tbs := replace(certificate.TBS.FullBytes)
	h := hash.New()
	h.Write(tbs)
	signature, err := rsa.SignPKCS1v15(nil, key, hash, h.Sum(nil))
	require.NoError(t, err)
	der, err = asn1.Marshal(struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, asn1.RawValue{FullBytes: replace(certificate.Algorithm.FullBytes)}, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
	require.NoError(t, err)
	return der
}
