package testproxy_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/stretchr/testify/require"
)

func TestDigest_nonceCount(t *testing.T) {
	for _, test := range []struct {
		desc  string
		check testproxy.NonceCount
		nc    string
		want  []int
		stale string // of the last answer
	}{
		{"off", testproxy.NonceCountOff, "1 1 5 2", []int{200, 200, 200, 200}, ""},
		{"squid, in order", testproxy.NonceCountSquid, "1 2 3", []int{200, 200, 200}, ""},
		{"squid, replay", testproxy.NonceCountSquid, "1 1 2", []int{200, 200, 407}, "true"},
		{"squid, gap", testproxy.NonceCountSquid, "1 3 4", []int{200, 200, 407}, "true"},
		{"squid, lower", testproxy.NonceCountSquid, "1 2 1 3", []int{200, 200, 200, 407}, "true"},
		{"refuse", testproxy.NonceCountRefuse, "1 3", []int{200, 407}, "true"},
	} {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c := newDigest(t, &testproxy.Digest{Realm: "lab", NonceCount: test.check})
				c.challenged(c.get(""))
				var resp *http.Response
				for i, nc := range strings.Fields(test.nc) {
					resp = c.try("0000000" + nc)
					require.Equal(t, test.want[i], resp.StatusCode, "nc=%s", nc)
				}
				if test.stale != "" {
					require.Equal(t, test.stale, c.challenged(resp)["stale"])
				}
				require.Zero(t, w.users.Failures("ann"))
			})
		})
	}
}

func TestDigest_staleStyles(t *testing.T) {
	for _, test := range []struct {
		desc   string
		style  testproxy.Stale
		known  string // stale for a nonce that is out of date
		madeUp string // for one that never was, with a wrong password
		wrong  string // for a wrong password
	}{
		{"Apache", testproxy.StaleApache, "true", "", ""},
		{"squid", testproxy.StaleSquid, "true", "true", "false"},
		{"never", testproxy.StaleNever, "", "", ""},
	} {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &testproxy.Digest{Realm: "lab", Stale: test.style}
				_, c := newDigest(t, d)
				c.challenged(c.get(""))
				d.ForgetNonces()
				require.Equal(t, test.known, c.challenged(c.try("00000001"))["stale"])
				c.attempt.Password = "wrong"
				require.Equal(t, test.wrong, c.challenged(c.try("00000001"))["stale"])
				c.attempt.Nonce = "made-up"
				require.Equal(t, test.madeUp, c.challenged(c.try("00000001"))["stale"])
			})
		})
	}
}

func TestDigest_nonceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := newDigest(t, &testproxy.Digest{Realm: "lab", NonceUses: 3, NonceLife: time.Minute, NextNonce: 1})
		c.challenged(c.get(""))
		require.Empty(t, c.try("00000001").Header.Get("Proxy-Authentication-Info"))
		info, err := testproxy.ParseParams(c.try("00000002").Header.Get("Proxy-Authentication-Info"))
		require.NoError(t, err)
		require.Equal(t, 200, c.try("00000003").StatusCode)
		require.Equal(t, "true", c.challenged(c.try("00000004"))["stale"], "uses")

		c.attempt.Nonce = info["nextnonce"]
		require.Equal(t, 200, c.try("00000001").StatusCode)
		time.Sleep(59 * time.Second)
		require.Contains(t, c.try("00000002").Header.Get("Proxy-Authentication-Info"), "nextnonce=")
		time.Sleep(time.Second)
		require.Equal(t, "true", c.challenged(c.try("00000003"))["stale"], "life")
	})
}
