package testproxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"sync/atomic"
	"time"
)

// The clock of a synctest bubble starts at the beginning of the year 2000.
var (
	notBefore = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	notAfter  = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// A CA issues certificates for proxies and origins.
type CA struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	serial      atomic.Int64
}

// NewCA returns a CA of its own key.
func NewCA() *CA {
	ca := &CA{key: newKey()}
	ca.certificate, _ = ca.sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "testproxy CA"},
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}, ca.key)
	return ca
}

// Pool returns a new pool with the CA's certificate.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.certificate)
	return pool
}

// ClientConfig returns a configuration that trusts the CA alone.
func (ca *CA) ClientConfig() *tls.Config { return &tls.Config{RootCAs: ca.Pool()} }

// PEM returns the CA's certificate as a file.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.certificate.Raw})
}

// ServerConfig returns a configuration with a certificate for hosts, which are
// DNS names and IP addresses. It panics if one of them can be neither.
func (ca *CA) ServerConfig(hosts ...string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{ca.Certificate(hosts...)}}
}

// Certificate returns a certificate for hosts, which are DNS names and IP
// addresses. It panics if one of them can be neither.
func (ca *CA) Certificate(hosts ...string) tls.Certificate {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "testproxy"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	key := newKey()
	leaf, der := ca.sign(template, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// sign issues template for key, the CA's own if there is no certificate yet.
func (ca *CA) sign(template *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, []byte) {
	template.SerialNumber = big.NewInt(ca.serial.Add(1))
	template.NotBefore, template.NotAfter = notBefore, notAfter
	parent := ca.certificate
	if parent == nil {
		parent = template
	}
	der := must(x509.CreateCertificate(rand.Reader, template, parent, key.Public(), ca.key))
	return must(x509.ParseCertificate(der)), der
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic("testproxy: " + err.Error())
	}
	return v
}
