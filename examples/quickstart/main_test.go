package main

import (
	"bytes"
	"io"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

var (
	port = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	line = regexp.MustCompile(`(?m)^    leg.*`)
)

// legs returns the lines of what was printed that are about legs.
func legs(printed string) []string {
	return line.FindAllString(port.ReplaceAllString(printed, "HOST"), -1)
}

// requireLegs runs the program and requires it to print the legs of want. On a machine
// with much else to do, net/http may not use a connection again: it gives one up if it
// learns 50 ms after the answer that the request has been written. So there are three
// tries.
func requireLegs(t *testing.T, args []string, want ...string) {
	t.Helper()
	var got []string
	for range 3 {
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), args, &out, io.Discard))
		if got = legs(out.String()); slices.Equal(want, got) {
			return
		}
	}
	require.Equal(t, want, got)
}

func TestDemo(t *testing.T) {
	requireLegs(t, nil,
		// Basic, forwarded and tunnelled, cold and warm.
		"    leg 1  forward  no authorization new connection   -> 407 Proxy Authentication Required",
		"    leg 2  forward  Basic            same connection  -> 200 OK",
		"    leg 1  forward  Basic            same connection  -> 200 OK",
		"    leg 1  CONNECT  no authorization new connection   -> 407 Proxy Authentication Required",
		"    leg 2  CONNECT  Basic            same connection  -> 200 OK",
		// Digest.
		"    leg 1  forward  no authorization new connection   -> 407 Proxy Authentication Required",
		"    leg 2  forward  Digest           same connection  -> 200 OK",
		"    leg 1  forward  Digest           same connection  -> 200 OK",
		"    leg 1  CONNECT  no authorization new connection   -> 407 Proxy Authentication Required",
		"    leg 2  CONNECT  Digest           same connection  -> 200 OK",
		// NTLM.
		"    leg 1  forward  no authorization new connection   -> 407 Proxy Authentication Required",
		"    leg 2  forward  NTLM             same connection  -> 407 Proxy Authentication Required",
		"    leg 3  forward  NTLM             same connection  -> 200 OK",
		"    leg 1  forward  no authorization same connection  -> 200 OK",
		"    leg 1  CONNECT  no authorization new connection   -> 407 Proxy Authentication Required",
		"    leg 2  CONNECT  NTLM             same connection  -> 407 Proxy Authentication Required",
		"    leg 3  CONNECT  NTLM             same connection  -> 200 OK",
		// Negotiate, with Kerberos.
		"    leg 1  forward  no authorization new connection   -> 407 Proxy Authentication Required",
		"    leg 2  forward  Negotiate        same connection  -> 200 OK",
		"    leg 1  forward  no authorization same connection  -> 200 OK",
		"    leg 1  CONNECT  no authorization new connection   -> 407 Proxy Authentication Required",
		"    leg 2  CONNECT  Negotiate        same connection  -> 200 OK",
	)
}

func startProxy(t *testing.T) (proxy *testproxy.Proxy, origin *testproxy.Origin) {
	users := &testproxy.Accounts{Passwords: map[string]string{user: password}}
	return testproxy.Start(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Accounts: users, Realm: "test"}}}),
		testproxy.StartOrigin(t, testproxy.OriginConfig{})
}

func TestRealProxy(t *testing.T) {
	t.Setenv("PROXY_PASSWORD", password)
	proxy, origin := startProxy(t)
	requireLegs(t, []string{"-proxy", proxy.URL().String(), "-user", user, origin.URL() + "/"},
		"    leg 1  forward  no authorization new connection   -> 407 Proxy Authentication Required",
		"    leg 2  forward  Basic            same connection  -> 200 OK",
		"    leg 1  forward  Basic            same connection  -> 200 OK",
	)
}

func TestWrongPassword(t *testing.T) {
	t.Setenv("PROXY_PASSWORD", "wrong")
	proxy, origin := startProxy(t)
	err := run(t.Context(), []string{"-proxy", proxy.URL().String(), "-user", user, origin.URL()}, io.Discard, io.Discard)
	require.ErrorIs(t, err, proxyauth.ErrRejected)
	require.ErrorContains(t, err, "The proxy refused the user name or password")
	require.ErrorContains(t, err, "proxyauth doctor -proxy")
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"http://origin.example.com/"},
		{"-proxy", "http://proxy.example.com:3128"},
		{"-proxy", "proxy", "http://origin.example.com/"},
		{"-nonsense"},
	} {
		require.Error(t, run(t.Context(), args, io.Discard, io.Discard))
	}
}
