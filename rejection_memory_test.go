package proxyauth_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
)

func TestRefusalIsOfProxyUserAndPassword(t *testing.T) {
	const proxy = "http://proxy.example.com:3128"
	var r proxyauth.Rejections
	ann := credentialsOf(user, password)
	require.False(t, r.Refused(proxy, ann))
	require.True(t, r.Refuse(proxy, ann))
	require.False(t, r.Refuse(proxy, credentialsOf(user, password)), "no news")
	require.True(t, r.Refused(proxy, credentialsOf(user, password)))
	for _, tt := range []struct {
		desc  string
		proxy string
		creds proxyauth.Credentials
	}{
		{"another password", proxy, credentialsOf(user, "other")},
		{"no password", proxy, credentialsOf(user, "")},
		{"another user", proxy, credentialsOf("bob", password)},
		{"another port", "http://proxy.example.com:8080", ann},
		{"another scheme", "https://proxy.example.com:3128", ann},
		{"another split", proxy, credentialsOf(user+password[:1], password[1:])},
		{"another split of the URL", proxy + user[:1], credentialsOf(user[1:], password)},
	} {
		require.False(t, r.Refused(tt.proxy, tt.creds), tt.desc)
	}
	r.Clear()
	require.False(t, r.Refused(proxy, ann))
	known, order := r.Len()
	require.Zero(t, known+order)
}

// The memory is bounded; what goes is the oldest.
func TestRefusalsAreBounded(t *testing.T) {
	var r proxyauth.Rejections
	const more = 100
	for i := range proxyauth.MaxRejections + more {
		require.True(t, r.Refuse("proxy", credentialsOf(user, fmt.Sprint(i))))
	}
	known, order := r.Len()
	require.Equal(t, proxyauth.MaxRejections, known)
	require.Equal(t, proxyauth.MaxRejections, order)
	require.False(t, r.Refused("proxy", credentialsOf(user, fmt.Sprint(more-1))))
	require.True(t, r.Refused("proxy", credentialsOf(user, fmt.Sprint(more))))
	require.True(t, r.Refused("proxy", credentialsOf(user, fmt.Sprint(proxyauth.MaxRejections+more-1))))
}

// What is remembered gives no password away, nor whether two Transports know the
// same one.
func TestFingerprintIsKeyed(t *testing.T) {
	var a, b proxyauth.Rejections
	c := credentialsOf(user, password)
	require.Equal(t, a.Fingerprint("proxy", c), a.Fingerprint("proxy", c))
	require.NotEqual(t, a.Fingerprint("proxy", c), b.Fingerprint("proxy", c))
}

func TestRefusalsAreSafeForConcurrentUse(t *testing.T) {
	var r proxyauth.Rejections
	var wg sync.WaitGroup
	var mu sync.Mutex
	news := 0
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				if r.Refuse("proxy", credentialsOf(user, fmt.Sprint(i))) {
					mu.Lock()
					news++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, 100, news)
}
