package testproxy_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/stretchr/testify/require"
)

// A twoLegs mechanism binds the connection in two legs: "hello", answered with
// "nonce", and then the user's name.
type twoLegs struct{}

func (twoLegs) Scheme() string { return "Two" }

func (twoLegs) Challenge(c *testproxy.Conn) []string { return []string{"Two"} }

func (m twoLegs) Verify(r *testproxy.Request) testproxy.Verdict {
	greeted := r.Conn.State(m) != nil
	r.Conn.SetState(m, nil)
	switch {
	case r.Credentials == "hello":
		r.Conn.SetState(m, true)
		return testproxy.Continue("Two nonce")
	case r.Credentials == "drop":
		return testproxy.Verdict{Drop: true}
	case r.Credentials == "401":
		return testproxy.Verdict{Status: 401, Close: true, Violation: "asked for it"}
	case greeted:
		v := testproxy.AcceptConn(r.Credentials)
		v.Header = http.Header{"Proxy-Authenticate": {"Two final"}}
		return v
	}
	return testproxy.Reject()
}

func two(text string) string { return "Proxy-Authorization: two " + text + "\r\n" }

func newTwoLegs(t *testing.T, config testproxy.Config) *world {
	config.Auth = []testproxy.Mechanism{twoLegs{}, &testproxy.Basic{Realm: "lab", Accounts: &testproxy.Accounts{}}}
	return newWorld(t, config)
}

func TestMechanism_bindsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTwoLegs(t, testproxy.Config{})
		c := w.dial()
		require.Equal(t, []string{"Two", `Basic realm="lab"`}, c.get("").Header["Proxy-Authenticate"])
		require.Equal(t, []string{"Two nonce"}, c.get(two("hello")).Header["Proxy-Authenticate"])
		resp := c.get(two("ann"))
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, []string{"Two final"}, resp.Header["Proxy-Authenticate"])
		require.Equal(t, 200, c.get("").StatusCode)
		require.Equal(t, 407, w.dial().get("").StatusCode, "another connection is nobody's")

		require.Equal(t, []string{
			"c1 GET http://origin.example.com/ -> 407",
			"c1 GET http://origin.example.com/ two -> 407",
			"c1 GET http://origin.example.com/ two -> 200",
			"c1 GET http://origin.example.com/ -> 200",
			"c2 GET http://origin.example.com/ -> 407",
		}, w.proxy.Transcript())
		require.Equal(t, "ann", w.proxy.Legs()[3].User)
		require.Equal(t, "ann", w.proxy.Conns()[0].User)
		require.Empty(t, w.proxy.Violations())
	})
}

func TestMechanism_authorizationOnABoundConnection(t *testing.T) {
	for _, test := range []struct {
		desc   string
		rebind bool
		second string // what is proved after ann has been
		want   []string
		status int // of a request without a header afterwards
	}{
		{
			desc:   "is ignored by squid",
			second: "junk",
			want:   []string{"c1: GET: Proxy-Authorization on an authenticated connection"},
			status: 200,
		}, {
			desc:   "takes the authentication off in Apache",
			rebind: true,
			second: "junk",
			want:   []string{"c1: GET: Proxy-Authorization on an authenticated connection"},
			status: 407,
		},
	} {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTwoLegs(t, testproxy.Config{Rebind: test.rebind})
				c := w.dial()
				c.get(two("hello"))
				require.Equal(t, 200, c.get(two("ann")).StatusCode)
				c.get(two(test.second))
				require.Equal(t, test.want, w.proxy.Violations())
				require.Equal(t, test.status, c.get("").StatusCode)
			})
		})
	}
}

func TestMechanism_verdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTwoLegs(t, testproxy.Config{})
		require.Len(t, w.dial().get(two("junk")).Header["Proxy-Authenticate"], 2)
		require.Len(t, w.dial().get("Proxy-Authorization: Unknown x\r\n").Header["Proxy-Authenticate"], 2)

		c := w.dial()
		resp := c.get(two("401"))
		require.Equal(t, 401, resp.StatusCode)
		require.NotContains(t, resp.Header, "Proxy-Authenticate")
		c.requireClosed()
		require.Equal(t, []string{"c3: GET: asked for it"}, w.proxy.Violations())

		c = w.dial()
		c.send(strings.Replace(request, "\r\n\r\n", "\r\n"+two("drop")+"\r\n", 1))
		c.requireClosed()
		require.Equal(t, "c4 GET http://origin.example.com/ two -> dropped", w.proxy.Transcript()[3])
	})
}

func TestMechanism_headerOnConnect(t *testing.T) {
	for _, bare := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newTwoLegs(t, testproxy.Config{BareConnect: bare})
			c := w.dial()
			require.Equal(t, 407, c.connect(two("hello")).StatusCode)
			resp := c.connect(two("ann"))
			require.Equal(t, 200, resp.StatusCode)
			require.Equal(t, bare, resp.Header["Proxy-Authenticate"] == nil)
			require.Empty(t, w.proxy.Violations())
		})
	}
}

func TestMechanism_seesTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := testproxy.NewCA().ServerConfig("proxy.example.com")
		w := newWorld(t, testproxy.Config{TLS: config, Auth: []testproxy.Mechanism{seesTLS{t, config.Certificates[0].Leaf.Raw}}})
		transport := &http.Transport{DialContext: w.network.DialContext, Proxy: http.ProxyURL(w.proxy.URL())}
		transport.TLSClientConfig = config.Clone()
		transport.TLSClientConfig.InsecureSkipVerify = true
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get(target)
		require.NoError(t, err)
		require.Equal(t, "Sees", resp.Header.Get("Proxy-Authenticate"))
		text(t, resp)
	})
}

type seesTLS struct {
	t   *testing.T
	der []byte
}

func (seesTLS) Scheme() string { return "Sees" }

func (seesTLS) Verify(*testproxy.Request) testproxy.Verdict { return testproxy.Reject() }

func (m seesTLS) Challenge(c *testproxy.Conn) []string {
	if c.TLS() == nil || c.Certificate() == nil || string(c.Certificate().Raw) != string(m.der) || c.Number() != 1 {
		return nil
	}
	return []string{"Sees"}
}
