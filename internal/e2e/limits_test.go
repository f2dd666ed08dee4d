package e2e_test

import "time"

// The limits that the tests check, restated: a change of one is a change of what
// the library promises.
const (
	patience         = 10 * time.Second
	lostPause        = 10 * time.Second
	leftPause        = time.Second
	maxPause         = 30 * time.Minute
	tokenLife        = 30 * time.Second
	maxProxies       = 1024
	maxRefused       = 8
	maxAnswers       = 3
	maxLegs          = 9
	maxBroken        = 3
	maxRedials       = 2
	maxChallenges    = 128
	maxParams        = 32
	maxHead          = 10 << 20
	maxDrained       = 256 << 10
	drainPatience    = 5 * time.Second
	maxBoundHead     = 256 << 10
	maxGuarded       = 16 << 10
	maxKept          = 64 << 10
	maxInformational = 8
	maxStats         = 4 * maxProxies
)

// today marks a leg that the library may take and that the budget of legs has no room
// for: the numbers of the README's table are reached where no mark is left.
const today = "today: "

// asked marks a leg that asks the proxy for a challenge before credentials that it has
// never accepted are sent: that may be left out where others were accepted before.
const asked = "asked: "
