package floor_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/floor"
)

// The schemes of these tests, strongest first.
const (
	kerberos = iota
	ntlm
	digest
	basic
	schemes
)

// A challenge is what a site offers in an exchange, and how that has failed in it.
type challenge struct {
	offered []int
	failed  map[int]floor.Failure
}

func (c challenge) offers(rank int) bool           { return slices.Contains(c.offered, rank) }
func (c challenge) failure(rank int) floor.Failure { return c.failed[rank] }

// forbidden returns the ranks that f forbids. With clear set, the proxy is reached in clear,
// where Basic reveals the secret.
func (c challenge) forbidden(f *floor.Floor, clear bool) (ranks []int) {
	for rank := range schemes {
		if f.Forbids(rank, clear && rank == basic, c.offers, c.failure) {
			ranks = append(ranks, rank)
		}
	}
	return ranks
}

func failed(rank int, how floor.Failure) map[int]floor.Failure {
	return map[int]floor.Failure{rank: how}
}

var (
	all   = []int{kerberos, ntlm, digest, basic}
	plain = []int{digest, basic}
)

// TestForbids says which schemes are forbidden after what a site has offered and
// accepted.
func TestForbids(t *testing.T) {
	const none = -1
	for _, tt := range []struct {
		desc     string
		before   []int // was offered
		accepted int
		now      challenge
		clear    bool
		want     []int // is forbidden
	}{
		{"nothing was offered", nil, none, challenge{offered: all}, false, nil},
		{"nothing was offered, in clear", nil, none, challenge{offered: all}, true, nil},
		{"one was offered", []int{basic}, none, challenge{offered: []int{basic}}, true, nil},
		{"a stronger one than before", []int{basic}, none, challenge{offered: all}, true, nil},

		{"the strongest has not failed", plain, none, challenge{offered: plain}, false, []int{basic}},
		{"no ticket", plain, none, challenge{plain, failed(digest, floor.Local)}, false, nil},
		{"no ticket, in clear", plain, none, challenge{plain, failed(digest, floor.Local)}, true, nil},
		{"an unknown algorithm", plain, none, challenge{plain, failed(digest, floor.Beyond)}, false, nil},
		{"an unknown algorithm, in clear", plain, none, challenge{plain, failed(digest, floor.Beyond)}, true, nil},
		{"garbage", plain, none, challenge{plain, failed(digest, floor.Peer)}, false, []int{basic}},

		{"no longer offered", plain, none, challenge{offered: []int{basic}}, false, []int{basic}},
		{"no longer offered, no ticket", plain, none, challenge{[]int{basic}, failed(digest, floor.Local)}, false, []int{basic}},
		{"no longer offered, an unknown algorithm", plain, none, challenge{[]int{basic}, failed(digest, floor.Beyond)}, false, []int{basic}},
		{"one of two failed", []int{kerberos, ntlm}, none, challenge{all, failed(kerberos, floor.Local)}, false, []int{digest, basic}},
		{"both failed", []int{kerberos, ntlm}, none,
			challenge{all, map[int]floor.Failure{kerberos: floor.Local, ntlm: floor.Beyond}}, false, nil},
		{"both failed, one of them by the peer", []int{kerberos, ntlm}, none,
			challenge{all, map[int]floor.Failure{kerberos: floor.Local, ntlm: floor.Peer}}, false, []int{digest, basic}},
		{"one that was never offered", []int{kerberos}, none,
			challenge{[]int{kerberos, ntlm, basic}, failed(kerberos, floor.Local)}, false, nil},

		{"accepted", all, ntlm, challenge{offered: all}, false, []int{ntlm, digest, basic}},
		{"accepted though a stronger one has failed", all, ntlm, challenge{all, failed(kerberos, floor.Local)}, false, []int{digest, basic}},
		{"accepted, and the stronger one is beyond us", all, ntlm, challenge{all, failed(kerberos, floor.Beyond)}, false, []int{digest, basic}},
		{"accepted, a broken handshake", plain, digest, challenge{plain, failed(digest, floor.Peer)}, false, []int{basic}},
		{"accepted, a challenge that is beyond us", plain, digest, challenge{plain, failed(digest, floor.Beyond)}, false, []int{basic}},
		{"accepted, no longer offered", plain, digest, challenge{[]int{basic}, failed(digest, floor.Local)}, false, []int{basic}},
		{"accepted, no ticket", plain, digest, challenge{plain, failed(digest, floor.Local)}, false, nil},
		{"accepted, no ticket, in clear", plain, digest, challenge{plain, failed(digest, floor.Local)}, true, []int{basic}},
		{"accepted unasked", nil, digest, challenge{offered: plain}, false, []int{basic}},
		{"accepted unasked, no ticket", nil, digest, challenge{plain, failed(digest, floor.Local)}, false, nil},
		{"the weakest was accepted, in clear", []int{basic}, basic, challenge{offered: all}, true, nil},
		{"a weaker one was accepted, an unknown algorithm", plain, basic, challenge{plain, failed(digest, floor.Beyond)}, true, nil},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			f := floor.New(schemes)
			f.Offer(tt.before)
			if tt.accepted != none {
				f.Accept(tt.accepted, 0)
			}
			require.Equal(t, tt.want, tt.now.forbidden(&f, tt.clear))
		})
	}
}

// The weaker of two that were accepted opens nothing: not even the stronger one's failure
// at the peer's hand.
func TestTheBestAcceptedCounts(t *testing.T) {
	f := floor.New(schemes)
	f.Accept(digest, 0)
	f.Accept(basic, 0)
	require.Equal(t, []int{basic}, challenge{plain, failed(digest, floor.Peer)}.forbidden(&f, false))
	f = floor.New(schemes)
	f.Accept(basic, 0)
	f.Accept(digest, 0)
	require.Equal(t, []int{basic}, challenge{plain, failed(digest, floor.Peer)}.forbidden(&f, false))
}

// An origin server's challenge may have been passed on.
func TestOfferAfterAcceptanceAddsNothing(t *testing.T) {
	f := floor.New(schemes)
	f.Offer([]int{basic})
	f.Accept(basic, 0)
	f.Offer(all)
	require.Empty(t, challenge{offered: all}.forbidden(&f, true))
	require.Equal(t, basic, f.Strongest())
}

func TestStrongest(t *testing.T) {
	for _, tt := range []struct {
		desc   string
		offers [][]int
		want   int
	}{
		{"nothing", nil, schemes},
		{"no known scheme", [][]int{{}}, schemes},
		{"one", [][]int{{digest}}, digest},
		{"several", [][]int{{basic, ntlm, digest}}, ntlm},
		{"later a stronger one", [][]int{{basic}, {kerberos}}, kerberos},
		{"later a weaker one", [][]int{{ntlm}, {basic}}, ntlm},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			f := floor.New(schemes)
			for _, offer := range tt.offers {
				f.Offer(offer)
			}
			require.Equal(t, tt.want, f.Strongest())
		})
	}
}

// What was accepted unasked was not offered.
func TestAcceptanceIsNoOffer(t *testing.T) {
	f := floor.New(schemes)
	f.Accept(digest, 0)
	require.Equal(t, schemes, f.Strongest())
}

func TestWeaker(t *testing.T) {
	accept := func(rank, strength int) func(*floor.Floor) {
		return func(f *floor.Floor) { f.Accept(rank, strength) }
	}
	send := func(rank, strength int, asked bool) func(*floor.Floor) {
		return func(f *floor.Floor) { f.Weaker(rank, strength, asked, false) }
	}
	for _, tt := range []struct {
		desc     string
		before   []func(*floor.Floor)
		strength int
		want     bool
	}{
		{"nothing was sent", nil, 0, false},
		{"sent before", []func(*floor.Floor){send(digest, 2, true)}, 1, true},
		{"as strong as before", []func(*floor.Floor){send(digest, 2, true)}, 2, false},
		{"stronger than before", []func(*floor.Floor){send(digest, 2, true)}, 3, false},
		{"sent though nobody asked for it", []func(*floor.Floor){send(digest, 2, false)}, 1, false},
		{"sent with another scheme", []func(*floor.Floor){send(ntlm, 2, true)}, 1, false},
		{"a weaker one was not sent", []func(*floor.Floor){send(digest, 2, true), send(digest, 1, true)}, 1, true},
		{"accepted", []func(*floor.Floor){accept(digest, 2)}, 1, true},
		{"accepted with as much", []func(*floor.Floor){accept(digest, 2)}, 2, false},
		{"accepted with another scheme", []func(*floor.Floor){accept(basic, 2)}, 1, false},
		{"accepted with less afterwards", []func(*floor.Floor){accept(digest, 2), accept(digest, 0)}, 1, true},
		{"sent with more than was accepted", []func(*floor.Floor){accept(digest, 1), send(digest, 2, true)}, 1, true},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			f := floor.New(schemes)
			for _, step := range tt.before {
				step(&f)
			}
			require.Equal(t, tt.want, f.Weaker(digest, tt.strength, true, true))
		})
	}
}

// FuzzNothingTheSiteDoesWeakens lets a site offer, withdraw and break what it likes once it
// has accepted a scheme: nothing weaker is open.
func FuzzNothingTheSiteDoesWeakens(f *testing.F) {
	f.Add(uint8(digest), uint16(0), []byte{1<<digest | 1<<basic, 1 << basic})
	f.Add(uint8(kerberos), uint16(0xffff), []byte{0, 15, 8})
	f.Fuzz(func(t *testing.T, accepted uint8, how uint16, offers []byte) {
		best := int(accepted % schemes)
		fl := floor.New(schemes)
		fl.Accept(best, 0)
		c := challenge{failed: make(map[int]floor.Failure)}
		for rank := range schemes {
			// Local failures are not the site's doing.
			c.failed[rank] = []floor.Failure{floor.None, floor.Beyond, floor.Peer, floor.Peer}[how>>(2*rank)&3]
		}
		for _, offer := range offers {
			c.offered = nil
			for rank := range schemes {
				if offer>>rank&1 == 1 {
					c.offered = append(c.offered, rank)
				}
			}
			fl.Offer(c.offered)
			for rank := best + 1; rank < schemes; rank++ {
				require.True(t, fl.Forbids(rank, false, c.offers, c.failure))
			}
		}
	})
}
