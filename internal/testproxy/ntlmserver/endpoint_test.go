package ntlmserver_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"testing"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/stretchr/testify/require"
)

func TestServerEndPoint(t *testing.T) {
	raw := []byte("certificate")
	sum256, sum384, sum512 := sha256.Sum256(raw), sha512.Sum384(raw), sha512.Sum512(raw)
	for _, tt := range []struct {
		algorithm x509.SignatureAlgorithm
		want      []byte
	}{
		{x509.MD5WithRSA, sum256[:]},
		{x509.SHA1WithRSA, sum256[:]},
		{x509.ECDSAWithSHA1, sum256[:]},
		{x509.SHA256WithRSA, sum256[:]},
		{x509.ECDSAWithSHA256, sum256[:]},
		{x509.SHA256WithRSAPSS, sum256[:]},
		{x509.SHA384WithRSA, sum384[:]},
		{x509.ECDSAWithSHA384, sum384[:]},
		{x509.SHA512WithRSA, sum512[:]},
		{x509.SHA512WithRSAPSS, sum512[:]},
	} {
		t.Run(tt.algorithm.String(), func(t *testing.T) {
			got := ntlmserver.ServerEndPoint(&x509.Certificate{Raw: raw, SignatureAlgorithm: tt.algorithm})
			require.Equal(t, append([]byte("tls-server-end-point:"), tt.want...), got)
		})
	}
	require.Nil(t, ntlmserver.ServerEndPoint(&x509.Certificate{Raw: raw, SignatureAlgorithm: x509.PureEd25519}))
}
