package negotiate_test

import (
	"context"
	"errors"
	"net"
	"regexp"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// Each code has a hint of one or two sentences, whatever is known of the failure.
func TestEachCodeHasAHint(t *testing.T) {
	t.Parallel()
	end := regexp.MustCompile(`\.( |$)`)
	for _, code := range []negotiate.Code{
		negotiate.NoTicket, negotiate.TicketExpired, negotiate.CacheType, negotiate.MalformedFile, negotiate.ConfigFile, negotiate.NoRealm, negotiate.NoKDC,
		negotiate.KDCUnreachable, negotiate.NoVerdict, negotiate.KDCRefuses, negotiate.MalformedReply, negotiate.ClockSkew,
		negotiate.ClientUnknown, negotiate.ServiceUnknown, negotiate.EncType, negotiate.PasswordWrong, negotiate.PasswordExpired,
		negotiate.AccountRevoked, negotiate.KeytabStale, negotiate.ProxyKey, negotiate.TicketRefused, negotiate.IPAddress,
		negotiate.NotVerified, negotiate.NoMutual, negotiate.NoPassword,
	} {
		e := &negotiate.Error{Code: code, Err: errors.New("failed")}
		hint := e.Hint()
		require.Greater(t, len(hint), 30, "%s", string(code))
		require.NotRegexp(t, `[{}]|%!|  |\(\)|proxyauth:`, hint)
		sentences := len(end.FindAllString(hint, -1))
		require.True(t, sentences == 1 || sentences == 2, hint)
		require.Equal(t, code == negotiate.NoPassword, e.Cause() == proxyauth.CauseSchemeFailed)
		require.Zero(t, e.Retry())
	}
	require.Empty(t, (&negotiate.Error{Code: "of tomorrow", Err: errors.New("failed")}).Hint())
}

// A hint names what was asked for, and where.
func TestHintNamesWhatWasAskedFor(t *testing.T) {
	for _, tt := range []struct {
		desc  string
		upset func(*lab)
		want  []string
	}{
		{"service unknown", func(l *lab) { l.Remove(proxySPN) }, []string{"EXAMPLE.COM", "setspn -S " + proxySPN, "CanonicalizeHost"}},
		{"user unknown", func(l *lab) { l.Remove("ann") }, []string{"EXAMPLE.COM", "user@REALM"}},
		{"clock", func(l *lab) { l.SetClockOffset(time.Hour) }, []string{"EXAMPLE.COM", "from the KDC's", "NTP"}},
		{"no krb5.conf", func(l *lab) { l.scheme.ConfigFile = "/nonexistent/krb5.conf" }, []string{"/nonexistent/krb5.conf", "KRB5_CONFIG"}},
		{"no KDC", func(l *lab) { l.scheme.DialKDC = refuses }, []string{"EXAMPLE.COM", "127.0.0.1:", "port 88"}},
		{"password wrong", func(l *lab) { l.SetPassword("ann", "other") }, []string{"The KDC of realm EXAMPLE.COM, and not the proxy"}},
		{"locked", func(l *lab) { l.Lock("ann", true) }, []string{"EXAMPLE.COM", "locked"}},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			l := newLab(t)
			l.scheme.DisableNTLM = true
			l.scheme.DialKDC = l.Dial
			tt.upset(l)
			synctest.Test(t, func(t *testing.T) {
				_, err := l.connect(t.Context(), exchange("ann", "s3cret"))
				e, ok := errors.AsType[*negotiate.Error](err)
				require.True(t, ok, "%v", err)
				for _, want := range tt.want {
					require.Contains(t, e.Hint(), want)
				}
			})
		})
	}
}

func refuses(_ context.Context, network, _ string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
}

// On Windows people log on. Nobody is told of kinit first. On macOS kinit is to write a file.
func TestHintsOnEachSystem(t *testing.T) {
	t.Parallel()
	for _, hint := range []func(string) string{negotiate.WithoutTicket, negotiate.WithoutCache} {
		require.Contains(t, hint("linux"), "un kinit")
		require.Contains(t, hint("darwin"), "FILE:/")
		require.Regexp(t, "^Supply user and password.*negotiate.Scheme.Engine", hint("windows"))
	}
}
