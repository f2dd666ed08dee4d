package interop_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

// After a 101 the connection is the program's: what looks like HTTP on it arrives as it was
// sent, both ways.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	const like = "GET http://origin.example.com/ HTTP/1.1\r\nHost: origin.example.com\r\n\r\n" +
		"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"
	for _, tc := range []struct {
		desc   string
		auth   interop.SquidAuth
		scheme proxyauth.Scheme
	}{
		{"Basic", interop.SquidBasic(ann), &basic.Scheme{}},
		{"Digest", interop.SquidDigest(0, ann), &digest.Scheme{}},
		{"NTLM", interop.SquidNTLM{Account: ann}.Auth, &ntlm.Scheme{}},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			echo := httptest.NewServer(http.HandlerFunc(echoUpgraded))
			t.Cleanup(echo.Close)
			proxy := interop.Squid{
				Auth:  []interop.SquidAuth{tc.auth},
				Rules: []string{"http_upgrade_request_protocols OTHER allow all"},
			}.Start(t)
			client := newSchemesClient(t, newOrigin(t), proxy, tc.scheme)
			for range 2 { // on a new connection, and on an authenticated one
				requireEchoes(t, client, echo.URL, like)
			}
		})
	}
}

func requireEchoes(t *testing.T, client *http.Client, target, text string) {
	t.Helper()
	resp, _ := get(t, client, target)
	require.Equal(t, http.StatusUpgradeRequired, resp.StatusCode)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	require.NoError(t, err)
	req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"lab"}}
	resp, err = client.Do(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	conn, ok := resp.Body.(io.ReadWriteCloser)
	require.True(t, ok)
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	got := make([]byte, len(text))
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
	require.NoError(t, conn.Close())
}

// echoUpgraded sends back what comes after a request with an Upgrade.
func echoUpgraded(w http.ResponseWriter, req *http.Request) {
	if req.Header.Get("Upgrade") == "" {
		http.Error(w, "upgrade", http.StatusUpgradeRequired)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lab\r\n\r\n")
	io.Copy(conn, buffered)
}
