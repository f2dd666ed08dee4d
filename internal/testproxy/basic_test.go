package testproxy_test

import (
	"testing"
	"testing/synctest"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/stretchr/testify/require"
)

func TestBasic(t *testing.T) {
	for _, test := range []struct {
		desc        string
		credentials string // of base64
		want        int
		failures    int // of ann
	}{
		{desc: "right", credentials: "YW5uOnMzY3JldA==", want: 200},
		{desc: "UTF-8 (RFC 7617, Section 2.1)", credentials: "dGVzdDoxMjPCow==", want: 200},
		{desc: "wrong", credentials: "YW5uOngA", want: 407},
		{desc: "wrong password", credentials: "YW5uOng=", want: 407, failures: 1},
		{desc: "not base64", credentials: "ann", want: 407},
	} {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, testproxy.Config{})
				w.users.SetPassword("test", "123£")
				resp := w.dial().get("Proxy-Authorization: Basic " + test.credentials + "\r\n")
				require.Equal(t, test.want, resp.StatusCode)
				require.Equal(t, test.failures, w.users.Failures("ann"))
			})
		})
	}
}

func TestBasic_tinyproxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := &testproxy.Accounts{}
		w := newWorld(t, testproxy.Config{
			Auth: []testproxy.Mechanism{&testproxy.Basic{Accounts: users, Realm: `a"b`, Charset: true, Refuse401: true}},
		})
		require.Equal(t, `Basic realm="a\"b", charset="UTF-8"`, w.dial().get("").Header.Get("Proxy-Authenticate"))
		resp := w.dial().get(basic)
		require.Equal(t, 401, resp.StatusCode)
		require.Equal(t, `Basic realm="a\"b", charset="UTF-8"`, resp.Header.Get("Www-Authenticate"))
		require.Equal(t, 1, users.Failures("ann"))
	})
}

func TestAccounts_locking(t *testing.T) {
	a := &testproxy.Accounts{Passwords: map[string]string{"ann": "s3cret"}, LockAfter: 2}
	try := func(password string) bool {
		return a.Authenticate("ann", func(want string) bool { return want == password })
	}
	require.False(t, try("x"))
	require.True(t, try("s3cret"), "which ends the row")
	require.False(t, try("x"))
	require.False(t, a.Locked("ann"))
	require.False(t, try("x"))
	require.True(t, a.Locked("ann"))
	require.False(t, try("s3cret"))
	require.Equal(t, 4, a.Failures("ann"))
	a.SetPassword("ann", "new")
	require.True(t, try("new"))
	require.False(t, a.Authenticate("bob", func(string) bool { return true }))
	require.Equal(t, 1, a.Failures("bob"))
	require.Equal(t, []string{"ann"}, a.Users())
}
