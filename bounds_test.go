package proxyauth_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
)

// TestMemoriesAreBounded fills what nobody but time empties. That of refusals and of
// proxies have tests of their own.
func TestMemoriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known, targets, pause := proxyauth.Lose(5000)
		require.Equal(t, 4096, known)
		require.Equal(t, 64, targets)
		require.Equal(t, 30*time.Minute, pause)
	})
	require.LessOrEqual(t, proxyauth.Free(5000), 1024)
}

// TestBoundsAreNamed declares the bounds anew: one that changes is a change of what is
// promised.
func TestBoundsAreNamed(t *testing.T) {
	for desc, tt := range map[string]struct{ want, got any }{
		"legs of a request":                    {9, proxyauth.MaxLegs},
		"connections for one that breaks":      {2, proxyauth.MaxRedials},
		"passwords of a request":               {3, proxyauth.MaxAnswers},
		"handshakes that are broken off":       {3, proxyauth.MaxBroken},
		"refused passwords, shown":             {8, proxyauth.MaxRefused},
		"refused passwords, remembered":        {1 << 14, proxyauth.MaxRejections},
		"proxies":                              {1024, proxyauth.MaxProxies},
		"challenges of an answer":              {128, proxyauth.MaxChallenges},
		"parameters of a challenge":            {32, proxyauth.MaxParams},
		"bytes of a head":                      {10 << 20, proxyauth.MaxHead},
		"bytes of a head that is looked at":    {256 << 10, proxyauth.MaxBoundHead},
		"... while a body is on its way":       {16 << 10, proxyauth.MaxGuarded},
		"bytes of an error page":               {64 << 10, proxyauth.MaxKept},
		"bytes of a body that are read on":     {256 << 10, proxyauth.MaxDrained},
		"seconds that they are waited for":     {5.0, proxyauth.DrainPatience.Seconds()},
		"informational answers to a CONNECT":   {8, proxyauth.MaxInformational},
		"seconds that others wait for a proof": {10.0, proxyauth.Patience.Seconds()},
		"seconds that a token waits":           {30.0, proxyauth.TokenLife.Seconds()},
	} {
		require.Equal(t, tt.want, tt.got, desc)
	}
}
