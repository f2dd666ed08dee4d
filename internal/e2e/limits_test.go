package e2e_test

import "time"

// The limits that the tests check, restated: a change of one is a change of what
// the library promises.
const (
	patience      = 10 * time.Second
	leftPause     = time.Second
	maxPause      = 30 * time.Minute
	tokenLife     = 30 * time.Second
	maxProxies    = 1024
	maxRefused    = 8
	maxAnswers    = 3
	maxLegs       = 9
	maxBroken     = 3
	drainPatience = 5 * time.Second
	maxKept       = 256 << 10
	maxStats      = 4 * maxProxies
	maxSites      = 4 * maxProxies
)
