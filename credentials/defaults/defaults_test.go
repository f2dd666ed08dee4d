package defaults_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	store "github.com/zalando/go-keyring"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials/defaults"
	"github.com/go-proxyauth/proxyauth/internal/leaktest"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
)

func TestMain(m *testing.M) {
	os.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent") // go-keyring's store for tests needs none
	os.Exit(leaktest.Run(m))
}

const (
	host    = "proxy.example.com:3128"
	service = "http://" + host // in the keyring
	netrc   = "machine proxy.example.com login bob password from-netrc\n"
)

func request(scheme string, userInfo *proxyauth.Credentials, rejected ...proxyauth.Credentials) *proxyauth.CredentialsRequest {
	return &proxyauth.CredentialsRequest{Proxy: &url.URL{Scheme: "http", Host: host}, UserInfo: userInfo, Scheme: scheme, Rejected: rejected}
}

func pair(user, password string) *proxyauth.Credentials {
	return &proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}
}

// prepare gives the test an environment, a home directory with a netrc file if text is not
// empty, and a keyring of its own.
func prepare(t *testing.T, environment map[string]string, text string, mode os.FileMode) {
	t.Helper()
	home := t.TempDir()
	for _, name := range []string{"PROXY_USER", "PROXY_PASSWORD", "NETRC"} {
		t.Setenv(name, "")
		require.NoError(t, os.Unsetenv(name))
	}
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	for name, value := range environment {
		t.Setenv(name, value)
	}
	if text != "" {
		require.NoError(t, os.WriteFile(filepath.Join(home, ".netrc"), []byte(text), mode))
	}
	store.MockInit()
}

// nowhere returns a provider without a terminal.
func nowhere(t *testing.T) proxyauth.CredentialsObserver {
	return defaults.ProviderAt(filepath.Join(t.TempDir(), "tty"))
}

func TestFirstThatHasAPasswordAnswers(t *testing.T) {
	for _, tt := range []struct {
		desc        string
		environment map[string]string
		netrc       string
		keyring     string // password of bob
		userInfo    *proxyauth.Credentials
		want        *proxyauth.Credentials // nil for none
	}{
		{"URL", map[string]string{"PROXY_PASSWORD": "from-environment"}, netrc, "from-keyring", pair("bob", "from-url"), pair("bob", "from-url")},
		{"environment, user of the URL", map[string]string{"PROXY_PASSWORD": "from-environment"}, netrc, "", pair("bob", ""), pair("bob", "from-environment")},
		{"environment", map[string]string{"PROXY_USER": "ann", "PROXY_PASSWORD": "from-environment"}, netrc, "", nil, pair("ann", "from-environment")},
		{"environment, an empty password", map[string]string{"PROXY_USER": "ann", "PROXY_PASSWORD": ""}, netrc, "", nil, pair("ann", "")},
		{"environment of somebody else", map[string]string{"PROXY_USER": "ann", "PROXY_PASSWORD": "from-environment"}, netrc, "", pair("bob", ""), pair("bob", "from-netrc")},
		{"netrc", nil, netrc, "from-keyring", nil, pair("bob", "from-netrc")},
		{"netrc, user of the URL", nil, netrc, "", pair("bob", ""), pair("bob", "from-netrc")},
		{"netrc, user of the environment", map[string]string{"PROXY_USER": "bob"}, netrc, "", nil, pair("bob", "from-netrc")},
		{"netrc of somebody else", nil, netrc, "", pair("ann", ""), nil},
		{"keyring", nil, "", "from-keyring", pair("bob", ""), pair("bob", "from-keyring")},
		{"keyring, user of the environment", map[string]string{"PROXY_USER": "bob"}, "", "from-keyring", nil, pair("bob", "from-keyring")},
		{"user alone", nil, "", "", pair("bob", ""), nil},
		{"nothing", nil, "", "", nil, nil},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			prepare(t, tt.environment, tt.netrc, 0o600)
			if tt.keyring != "" {
				require.NoError(t, store.Set(service, "bob", tt.keyring))
			}
			for _, scheme := range []string{"Basic", "Negotiate"} {
				c, err := nowhere(t).Credentials(t.Context(), request(scheme, tt.userInfo))
				switch {
				case tt.want != nil:
					require.NoError(t, err)
					require.Equal(t, tt.want.Username, c.Username)
					require.Equal(t, tt.want.Password.Reveal(), c.Password.Reveal())
				case scheme == "Negotiate" && tt.userInfo != nil:
					require.NoError(t, err, "whose tickets are meant")
					require.Equal(t, tt.userInfo.Username, c.Username)
					require.Empty(t, c.Password.Reveal())
				default:
					require.ErrorIs(t, err, proxyauth.ErrNoCredentials)
				}
			}
		})
	}
}

// The error lists where was looked, in order, and what can't be read.
func TestErrorListsWhereWasLooked(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no mode that forbids to read them")
	}
	prepare(t, nil, netrc, 0o644)
	store.MockInitWithError(errors.New("no session bus"))
	_, err := nowhere(t).Credentials(t.Context(), request("Basic", pair("bob", "")))
	require.ErrorIs(t, err, proxyauth.ErrNoCredentials)
	require.Regexp(t, `^proxyauth: no credentials: user info of the proxy's URL: no password; `+
		`environment: PROXY_PASSWORD is not set; netrc: .*; keyring: no session bus; prompt: there is no terminal to ask on$`, err.Error())
	require.NotContains(t, err.Error(), "bob")
}

// What can't be read does not keep the next one from being asked.
func TestUnreadableStoreIsPassedOver(t *testing.T) {
	prepare(t, nil, "machine proxy.example.com login bob password a password b\n", 0o600)
	require.NoError(t, store.Set(service, "bob", "from-keyring"))
	c, err := nowhere(t).Credentials(t.Context(), request("Basic", pair("bob", "")))
	require.NoError(t, err)
	require.Equal(t, "from-keyring", c.Password.Reveal())
}

// A user in the proxy's URL without a password is no credentials: nothing is sent.
func TestNoEmptyPasswordIsSent(t *testing.T) {
	prepare(t, nil, "", 0)
	network := testproxy.NewNetwork()
	users := &testproxy.Accounts{Passwords: map[string]string{"bob": "from-netrc"}}
	proxy := testproxy.Start(t, testproxy.Config{Network: network, Auth: []testproxy.Mechanism{&testproxy.Basic{Accounts: users, Realm: "lab"}}})
	origin := testproxy.StartOrigin(t, testproxy.OriginConfig{Network: network})
	u := proxy.URL()
	u.User = url.User("bob")
	rt := &proxyauth.Transport{
		Base:        &http.Transport{Proxy: http.ProxyURL(u), DialContext: network.DialContext},
		Schemes:     []proxyauth.Scheme{&basic.Scheme{}},
		Credentials: nowhere(t),
	}
	defer rt.CloseIdleConnections()
	get := func() *http.Response {
		resp, err := (&http.Client{Transport: rt}).Get(origin.URL())
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp
	}
	e, ok := proxyauth.ResponseError(get())
	require.True(t, ok)
	require.Equal(t, proxyauth.CauseNoCredentials, e.Cause)
	require.Contains(t, e.Hint(), "looked for in this order: user info of the proxy's URL: no password; environment")
	require.Len(t, proxy.Legs(), 1)

	require.NoError(t, os.WriteFile(filepath.Join(os.Getenv("HOME"), ".netrc"), []byte(netrc), 0o600))
	require.Equal(t, http.StatusOK, get().StatusCode)
}

func TestSources(t *testing.T) {
	prepare(t, map[string]string{"PROXY_USER": "bob"}, netrc, 0o600)
	var names []string
	for _, source := range defaults.Sources() {
		names = append(names, fmt.Sprint(source))
	}
	require.Equal(t, fmt.Sprint(defaults.Provider()), strings.Join(names, ", "))

	_, err := defaults.Sources()[1].Credentials(t.Context(), request("Basic", nil))
	require.ErrorIs(t, err, proxyauth.ErrNoCredentials)
	c, err := defaults.Sources()[2].Credentials(t.Context(), request("Basic", nil))
	require.NoError(t, err)
	require.Equal(t, "bob", c.Username)
	_, err = defaults.Sources()[2].Credentials(t.Context(), request("Basic", pair("ann", "")))
	require.ErrorIs(t, err, proxyauth.ErrNoCredentials)
}
