package hint_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/hint"
	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
)

// Whatever is known, a hint is one or two sentences.
func TestHintIsOneOrTwoSentences(t *testing.T) {
	t.Parallel()
	sentence := regexp.MustCompile(`[.?](\s+[A-Z]|$)`)
	for _, cause := range hint.Causes() {
		for reason := hint.Unknown; reason <= hint.HandshakeFailed; reason++ {
			for _, f := range []hint.Facts{
				{},
				{Tried: true, Looked: "netrc: no entry", Rules: []string{"a rule"}},
				{Connect: true, Proxy: "http://proxy.example.com:3128", Source: "HTTPS_PROXY", Target: "example.com:443", Status: 401, Looked: "a; b"},
				{Connect: true, Proxy: "https://proxy.example.com:3129", Status: 403, Offered: []string{"Basic"}, Enabled: []string{"Digest"}},
				{Connect: true, Itself: true, Proxy: "http://proxy.example.com:3128", Status: 400},
				{Connect: true, Proxy: "http://proxy.example.com:3128", Status: 400},
				{Proxy: "https://proxy.example.com:3129", Status: 407, ChannelBound: true},
			} {
				f.Cause, f.Reason = cause, reason
				text := f.Text()
				require.True(t, hint.IsKnown(cause))
				require.Greater(t, len(text), 40)
				require.LessOrEqual(t, len(sentence.FindAllString(text, -1)), 2, text)
				require.True(t, strings.HasSuffix(text, "."), text)
				for _, not := range []string{"%!", "  ", "()", ", ,", "proxyauth: "} {
					require.NotContains(t, text, not)
				}
			}
		}
	}
	require.Empty(t, (&hint.Facts{Cause: "of tomorrow"}).Text())
	require.False(t, hint.IsKnown("of tomorrow"))
}

func TestHintFollowsTheReason(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cause  string
		reason hint.Reason
		want   string
	}{
		{"no_credentials", hint.InCallback, "callback of the Transport"},
		{"no_credentials", hint.ProviderFailed, "failed"},
		{"credentials_rejected", hint.Preauthorized, "ProxyConnectHeader"},
		{"credentials_rejected", hint.In401, "tinyproxy"},
		{"credentials_rejected", hint.EmptyPassword, "empty password"},
		{"credentials_rejected", hint.LogonRefused, "logged in"},
		{"credentials_rejected", hint.DomainMissing, "is missing"},
		{"credentials_rejected", hint.DomainOther, "is another"},
		{"credentials_rejected", hint.DomainUnwanted, "is not wanted"},
		{"proxy_unreachable", hint.NoTLS, "Use http://"},
		{"proxy_unreachable", hint.WantsTLS, "Use https://"},
		{"proxy_unreachable", hint.Untrusted, "not trusted"},
		{"proxy_unreachable", hint.NameUnknown, "DNS does not know"},
		{"proxy_unreachable", hint.NameUnresolved, "DNS fails"},
		{"proxy_unreachable", hint.TimedOut, "does not answer"},
		{"proxy_unreachable", hint.NotConnected, "can't be connected to"},
		{"proxy_unreachable", hint.HandshakeFailed, "TLS handshake"},
	} {
		f := hint.Facts{Cause: tt.cause, Reason: tt.reason, Proxy: "https://proxy.example.com:3128"}
		require.Contains(t, f.Text(), tt.want)
	}
}

func TestOfDial(t *testing.T) {
	t.Parallel()
	op := func(name string, err error) error { return &net.OpError{Op: name, Net: "tcp", Err: err} }
	for _, tt := range []struct {
		err  error
		want hint.Reason
	}{
		{fmt.Errorf("%w: %w", proxyconn.ErrNoTLS, tls.RecordHeaderError{}), hint.NoTLS},
		{proxyconn.ErrTLSAnswer, hint.WantsTLS},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, hint.Untrusted},
		{op("dial", &net.DNSError{IsNotFound: true}), hint.NameUnknown},
		{op("dial", &net.DNSError{IsTimeout: true}), hint.NameUnresolved},
		{op("dial", os.ErrDeadlineExceeded), hint.TimedOut},
		{op("dial", syscall.ECONNREFUSED), hint.NotConnected},
		{op("read", syscall.ECONNRESET), hint.HandshakeFailed},
		{io.EOF, hint.HandshakeFailed},
		{nil, hint.HandshakeFailed},
	} {
		require.Equal(t, tt.want, hint.OfDial(tt.err), "%v", tt.err)
	}
}

func TestErrorWrapsWhatIsUnderneath(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("basic: %w", &hint.Error{Reason: hint.EmptyPassword, Text: "empty", Err: io.EOF})
	require.ErrorIs(t, err, io.EOF)
	why, ok := errors.AsType[*hint.Error](err)
	require.True(t, ok)
	require.Equal(t, hint.EmptyPassword, why.Reason)
	require.EqualError(t, err, "basic: empty")
}
