package spnegoserver_test

import (
	"encoding/base64"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

// A bench is a proxy on loopback with the mechanism, an origin, and a client
// that keeps one connection.
type bench struct {
	t      *testing.T
	lab    *lab
	proxy  *testproxy.Proxy
	origin *testproxy.Origin
	client *http.Client
}

func newBench(t *testing.T, m *spnegoserver.Mechanism) *bench {
	t.Helper()
	b := &bench{t: t, lab: newLab(t)}
	m.Server.Keytab, m.Server.Service = b.lab.kdc.Keytab(service), service
	b.proxy = testproxy.Start(t, testproxy.Config{Auth: []testproxy.Mechanism{m}})
	b.origin = testproxy.StartOrigin(t, testproxy.OriginConfig{})
	transport := &http.Transport{Proxy: http.ProxyURL(b.proxy.URL()), MaxConnsPerHost: 1}
	t.Cleanup(transport.CloseIdleConnections)
	b.client = &http.Client{Transport: transport}
	return b
}

// get sends a request with a token, unless it is nil, and returns the answer.
func (b *bench) get(token []byte) *http.Response {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.origin.URL(), nil)
	require.NoError(b.t, err)
	if token != nil {
		req.Header.Set("Proxy-Authorization", "Negotiate "+base64.StdEncoding.EncodeToString(token))
	}
	resp, err := b.client.Do(req)
	require.NoError(b.t, err)
	defer resp.Body.Close()
	buffer := make([]byte, 1<<16)
	for err == nil {
		_, err = resp.Body.Read(buffer)
	}
	return resp
}

func challengeOf(t *testing.T, resp *http.Response) []byte {
	t.Helper()
	text, ok := strings.CutPrefix(resp.Header.Get("Proxy-Authenticate"), "Negotiate ")
	require.True(t, ok)
	token, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	return token
}

func TestMechanismBindsTheConnection(t *testing.T) {
	b := newBench(t, &spnegoserver.Mechanism{Server: &spnegoserver.Server{}})
	resp := b.get(nil)
	require.Equal(t, 407, resp.StatusCode)
	require.Equal(t, "Negotiate", resp.Header.Get("Proxy-Authenticate"))
	i := b.lab.initiator(t)
	resp = b.get(i.token())
	require.Equal(t, 200, resp.StatusCode)
	_, problem := i.verifyAPRep(parse(t, challengeOf(t, resp)).Token)
	require.Empty(t, problem)
	require.Equal(t, 200, b.get(nil).StatusCode)
	require.Equal(t, "ann@EXAMPLE.COM", b.proxy.Legs()[2].User)
	require.Empty(t, b.proxy.Violations())
}

func TestMechanismPerRequest(t *testing.T) {
	b := newBench(t, &spnegoserver.Mechanism{Server: &spnegoserver.Server{}, PerRequest: true, Final: spnegoserver.FinalInfo})
	token := b.lab.initiator(t).token()
	resp := b.get(token)
	require.Equal(t, 200, resp.StatusCode)
	require.Contains(t, resp.Header.Get("Proxy-Authentication-Info"), "Negotiate ")
	require.Equal(t, 407, b.get(nil).StatusCode)
	resp = b.get(token)
	require.Equal(t, 407, resp.StatusCode)
	require.EqualValues(t, 34, krbErrorCode(t, parse(t, challengeOf(t, resp)).Token), "a replay")
	require.Equal(t, 200, b.get(b.lab.initiator(t).token()).StatusCode)
}

func TestMechanismLikeSquid(t *testing.T) {
	b := newBench(t, &spnegoserver.Mechanism{Server: &spnegoserver.Server{}, Final: spnegoserver.FinalNever, Poison: true})
	resp := b.get([]byte("bad"))
	require.Equal(t, 407, resp.StatusCode)
	require.Equal(t, 407, b.get(b.lab.initiator(t).token()).StatusCode)
	b.client.CloseIdleConnections()
	resp = b.get(b.lab.initiator(t).token())
	require.Equal(t, 200, resp.StatusCode)
	require.Empty(t, resp.Header.Get("Proxy-Authenticate"))
}

func TestMechanismGoesOn(t *testing.T) {
	b := newBench(t, &spnegoserver.Mechanism{Server: &spnegoserver.Server{
		Faults: spnegoserver.First(1, spnegoserver.Faults{ExtraLegs: 1}),
	}})
	resp := b.get(b.lab.initiator(t).token())
	require.Equal(t, 407, resp.StatusCode)
	require.EqualValues(t, 1, parse(t, challengeOf(t, resp)).State)
	require.Equal(t, 407, b.get(nil).StatusCode, "which breaks the handshake")
	require.Equal(t, 407, b.get(negTokenResp(t, nil, nil)).StatusCode)
	require.Equal(t, 200, b.get(b.lab.initiator(t).token()).StatusCode)
}

func TestMechanismReportsDelegation(t *testing.T) {
	b := newBench(t, &spnegoserver.Mechanism{Server: &spnegoserver.Server{}})
	i := b.lab.initiator(t)
	i.flags |= 1
	require.Equal(t, 200, b.get(i.token()).StatusCode)
	require.Equal(t, []string{"c1: GET: credentials delegated"}, b.proxy.Violations())
}

// TestCurl has MIT's GSS-API come over HTTP.
func TestCurl(t *testing.T) {
	for _, args := range [][]string{{}, {"--proxytunnel"}} {
		srv := &spnegoserver.Server{}
		b := newBench(t, &spnegoserver.Mechanism{Server: srv})
		host := b.proxy.URL().Host
		_, port, _ := strings.Cut(host, ":")
		args = append(args, "--silent", "--fail", "--proxy-negotiate", "--proxy-user", ":",
			"--resolve", "proxy.example.com:"+port+":127.0.0.1",
			"--proxy", "http://proxy.example.com:"+port, b.origin.URL(), b.origin.URL())
		cmd := exec.CommandContext(t.Context(), interop.Program(t, "curl"), args...)
		cmd.Env = kerberosEnv(t, b.lab.kdc)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Len(t, b.origin.Requests(), 2)
		// curl repeats its header on the connection, which the proxy holds
		// against it.
		require.Empty(t, srv.Violations())
		require.Equal(t, "ann@EXAMPLE.COM", srv.Contexts()[0].User())
		require.True(t, srv.Contexts()[0].Seen().MutualOption)
	}
}
