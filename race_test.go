//go:build race

package proxyauth_test

const raceEnabled = true
