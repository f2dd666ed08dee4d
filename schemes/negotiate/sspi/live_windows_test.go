package sspi_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/schemes"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/enginetest"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/sspi"
)

// The tests of package interop run this binary under Wine, with a proxy that runs, and
// what is to be done in the environment.
var live = struct {
	proxy, dial, schemes, user, password, want, many string
	targets                                          []string
}{
	proxy:    os.Getenv("PROXYAUTH_SSPI_PROXY"),   // URL
	dial:     os.Getenv("PROXYAUTH_SSPI_DIAL"),    // its address
	schemes:  os.Getenv("PROXYAUTH_SSPI_SCHEMES"), // see liveSchemes
	user:     os.Getenv("PROXYAUTH_SSPI_USER"),
	password: os.Getenv("PROXYAUTH_SSPI_PASSWORD"),
	want:     os.Getenv("PROXYAUTH_SSPI_WANT"), // what matches the error, empty for none
	many:     os.Getenv("PROXYAUTH_SSPI_MANY"), // as many requests at once
	targets:  strings.Fields(os.Getenv("PROXYAUTH_SSPI_TARGETS")),
}

var liveSchemes = map[string]func() []proxyauth.Scheme{
	"default": schemes.Default,
	"kerberos": func() []proxyauth.Scheme {
		return []proxyauth.Scheme{&negotiate.Scheme{Engine: &sspi.Engine{UseCredentials: true}, Sources: []negotiate.Source{}, DisableNTLM: true}}
	},
	"mutual": func() []proxyauth.Scheme {
		return []proxyauth.Scheme{&negotiate.Scheme{Engine: &sspi.Engine{}, RequireMutual: true}}
	},
	"negotiate": func() []proxyauth.Scheme {
		return []proxyauth.Scheme{&negotiate.Scheme{Engine: &sspi.Engine{Package: sspi.Negotiate}, InsecureLogonNTLM: true}}
	},
	"negotiate, no NTLM": func() []proxyauth.Scheme {
		return []proxyauth.Scheme{&negotiate.Scheme{Engine: &sspi.Engine{Package: sspi.Negotiate}, Sources: []negotiate.Source{}}}
	},
	"ntlm": func() []proxyauth.Scheme { return []proxyauth.Scheme{&sspi.NTLM{UseCredentials: true}} },
}

func (l liveCase) client() *http.Client {
	via, err := url.Parse(live.proxy)
	require.NoError(l, err)
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.Proxy = http.ProxyURL(via)
	base.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // who the origin is does not matter here
	base.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, live.dial)
	}
	rt := &proxyauth.Transport{
		Base: base, Schemes: l.schemes, ErrorOn407: true,
		ProxyTLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	if live.user != "" {
		rt.Credentials = credentials.Static(live.user, live.password)
	}
	l.Cleanup(func() {
		rt.CloseIdleConnections()
		rt.Reset()
	})
	return &http.Client{Transport: rt}
}

type liveCase struct {
	*testing.T
	schemes []proxyauth.Scheme
}

func fetch(client *http.Client, target string) error {
	resp, err := client.Get(target)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}

func newLive(t *testing.T) liveCase {
	t.Helper()
	if live.proxy == "" {
		t.Skip("no proxy: see package interop")
	}
	// Wine has them from before, and the built-in Kerberos is not to find them.
	for _, name := range []string{"KRB5CCNAME", "KRB5_CONFIG"} {
		require.NoError(t, os.Unsetenv(name))
	}
	t.Cleanup(func() {
		// A tunnel that net/http began for a request which then took another connection is
		// finished all the same.
		require.Eventually(t, func() bool {
			credentials, contexts := sspi.OpenHandles()
			return credentials == 0 && contexts == 0
		}, 30*time.Second, time.Millisecond, "handles")
	})
	make := liveSchemes[live.schemes]
	require.NotNil(t, make, live.schemes)
	return liveCase{t, make()}
}

// TestLive makes requests one after another, and then many at once.
func TestLive(t *testing.T) {
	l := newLive(t)
	client := l.client()
	for _, target := range live.targets {
		for range 2 {
			err := fetch(client, target)
			if live.want == "" {
				require.NoError(t, err)
				continue
			}
			e, ok := errors.AsType[*proxyauth.Error](err)
			require.True(t, ok, "%v", err)
			t.Log(e, "\n", e.Hint())
			require.Regexp(t, live.want, fmt.Sprint(e.Cause, " ", codeOf(e), " ", e, " ", e.Hint()))
			require.NotContains(t, e.Hint(), "kinit")
		}
	}
	many, _ := strconv.Atoi(live.many)
	client.CloseIdleConnections()
	var wg sync.WaitGroup
	errs := make([]error, many)
	for i := range errs {
		wg.Go(func() { errs[i] = fetch(client, live.targets[i%len(live.targets)]) })
	}
	wg.Wait()
	for _, err := range errs {
		require.Equal(t, live.want == "", err == nil, "%v", err)
	}
}

func codeOf(err error) negotiate.Code {
	e, _ := errors.AsType[*negotiate.Error](err)
	if e == nil {
		return ""
	}
	return e.Code
}

// TestLiveEngine runs what any engine has to do with the tickets of the user who is
// logged in.
func TestLiveEngine(t *testing.T) {
	newLive(t)
	require.Regexp(t, `^logged in as .+; SSPI offers Kerberos, Negotiate, NTLM$`, new(sspi.Engine).Describe())
	via, err := url.Parse(live.proxy)
	require.NoError(t, err)
	enginetest.Test(t, enginetest.Config{
		Engine: new(sspi.Engine),
		Target: negotiate.Target{Host: via.Hostname(), SPN: "HTTP/" + via.Hostname()},
		Handles: func() int {
			credentials, contexts := sspi.OpenHandles()
			return int(credentials + contexts)
		},
	})
}
