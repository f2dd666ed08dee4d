package hint

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
)

// OfDial returns why there is no connection to a proxy, from the error of its dial.
func OfDial(err error) Reason {
	dns, isDNS := errors.AsType[*net.DNSError](err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	timeout, isNet := errors.AsType[net.Error](err)
	op, isOp := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, proxyconn.ErrNoTLS):
		return NoTLS
	case errors.Is(err, proxyconn.ErrTLSAnswer):
		return WantsTLS
	case certificate:
		return Untrusted
	case isDNS && dns.IsNotFound:
		return NameUnknown
	case isDNS:
		return NameUnresolved
	case isNet && timeout.Timeout():
		return TimedOut
	case isOp && op.Op == "dial":
		return NotConnected
	}
	return HandshakeFailed
}

// unreachable says what keeps the program from talking to the proxy.
func (f *Facts) unreachable() string {
	at := fmt.Sprintf("%s, the proxy in %s,", f.proxyHost(), f.source())
	secure := strings.HasPrefix(f.Proxy, "https:")
	switch f.Reason {
	case NoTLS:
		return at + " does not speak TLS. Use http:// in place of https:// in the proxy's URL."
	case WantsTLS:
		return at + " speaks TLS. Use https:// in place of http:// in the proxy's URL."
	case Untrusted:
		return at + " has a certificate that is not trusted, or is for another name. Set Transport.ProxyTLSClientConfig (RootCAs or ServerName), or correct the proxy's name."
	case NameUnknown:
		return at + " has a name that DNS does not know. Check how it is spelled, and whether this machine is in the network that knows it."
	case NameUnresolved:
		return at + " has a name that can't be resolved, since DNS fails. Check the resolver of this machine."
	case TimedOut:
		if secure {
			return at + " does not answer. Check host and port; if it does not speak TLS, use http:// in place of https:// in the proxy's URL."
		}
		return at + " does not answer. Check host and port, and whether a firewall is in the way."
	case HandshakeFailed:
		if secure {
			return at + " breaks the TLS handshake off. If it does not speak TLS, use http:// in place of https:// in the proxy's URL."
		}
	}
	return at + " can't be connected to. Check host and port, and whether a proxy listens there."
}
