package credentials_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
)

// A counter is a source whose password is the number of times it was asked. It
// takes a second.
type counter struct {
	asked    atomic.Int32
	lifetime time.Duration
	err      error
}

func (c *counter) Credentials(ctx context.Context, _ *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	n := c.asked.Add(1)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return proxyauth.Credentials{}, context.Cause(ctx)
	}
	answer := pair("ann", string('0'+rune(n)))
	if c.lifetime > 0 {
		answer.Expires = time.Now().Add(c.lifetime)
	}
	return answer, c.err
}

func TestCachedAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &counter{}
		cached := &credentials.Cached{Source: source}
		var callers sync.WaitGroup
		for range 1000 {
			callers.Go(func() {
				c, err := cached.Credentials(t.Context(), request(t, proxyText))
				requireCredentials(t, "ann", "1", c, err)
			})
		}
		callers.Wait()
		c, err := cached.Credentials(t.Context(), request(t, proxyText))
		requireCredentials(t, "ann", "1", c, err)
	})
}

// Transports that know of different refusals do not ask at once, and one whose refusal is
// answered already takes the answer of the other.
func TestCachedAsksForOneTransportAtATime(t *testing.T) {
	for _, tt := range []struct {
		desc   string
		second proxyauth.Credentials // what the second Transport knows to be refused
		want   string
		asked  int32
	}{
		{"of use to both", pair("ann", "0"), "1", 1},
		{"refused by the second", pair("ann", "1"), "2", 2},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := &counter{}
				cached := &credentials.Cached{Source: source}
				var callers sync.WaitGroup
				callers.Go(func() {
					c, err := cached.Credentials(t.Context(), request(t, proxyText))
					requireCredentials(t, "ann", "1", c, err)
				})
				synctest.Wait()
				start := time.Now()
				c, err := cached.Credentials(t.Context(), request(t, proxyText, tt.second))
				requireCredentials(t, "ann", tt.want, c, err)
				require.Equal(t, tt.asked, source.asked.Load())
				require.Equal(t, time.Duration(tt.asked)*time.Second, time.Since(start))
				callers.Wait()
			})
		})
	}
}

func TestCachedKeepsProxiesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cached := &credentials.Cached{Source: &counter{}}
		other := request(t, proxyText)
		other.Realm = "other"
		for i, req := range []*proxyauth.CredentialsRequest{
			request(t, proxyText), request(t, "http://proxy.example.com:3129"), request(t, "https://proxy.example.com:3128"),
			request(t, "http://bob@proxy.example.com:3128"), request(t, "http://bob:x@proxy.example.com:3128"), other,
		} {
			c, err := cached.Credentials(t.Context(), req)
			requireCredentials(t, "ann", string('1'+rune(i)), c, err)
			req.Scheme = "Digest"
			c, err = cached.Credentials(t.Context(), req)
			requireCredentials(t, "ann", string('1'+rune(i)), c, err)
		}
	})
}

func TestCachedForgetsWhatWasRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cached := &credentials.Cached{Source: &counter{}}
		req := request(t, proxyText)
		first, err := cached.Credentials(t.Context(), req)
		requireCredentials(t, "ann", "1", first, err)

		cached.Rejected(t.Context(), req, pair("ann", "something else"))
		c, err := cached.Credentials(t.Context(), req)
		requireCredentials(t, "ann", "1", c, err)

		cached.Rejected(t.Context(), req, first)
		c, err = cached.Credentials(t.Context(), req)
		requireCredentials(t, "ann", "2", c, err)

		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() {
				c, err := cached.Credentials(t.Context(), request(t, proxyText, first, pair("ann", "2")))
				requireCredentials(t, "ann", "3", c, err)
			})
		}
		callers.Wait()
		c, err = cached.Credentials(t.Context(), req)
		requireCredentials(t, "ann", "3", c, err)
	})
}

func TestCachedDoesNotKeepARefusedAnswer(t *testing.T) {
	source := always("source", "ann", "old")
	cached := &credentials.Cached{Source: source}
	c, err := cached.Credentials(t.Context(), request(t, proxyText, pair("ann", "old")))
	requireCredentials(t, "ann", "old", c, err)
	source.ask = always("", "ann", "new").ask
	c, err = cached.Credentials(t.Context(), request(t, proxyText))
	requireCredentials(t, "ann", "new", c, err)
}

func TestCachedExpires(t *testing.T) {
	tests := []struct {
		desc             string
		lifetime, maxAge time.Duration
		want             time.Duration
	}{
		{desc: "never"},
		{desc: "source", lifetime: time.Minute, want: time.Minute},
		{desc: "age", maxAge: time.Minute, want: time.Minute},
		{desc: "source first", lifetime: time.Minute, maxAge: time.Hour, want: time.Minute},
		{desc: "age first", lifetime: time.Hour, maxAge: time.Minute, want: time.Minute},
	}
	for _, test := range tests {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cached := &credentials.Cached{Source: &counter{lifetime: test.lifetime}, MaxAge: test.maxAge}
				ask := func(want string) {
					c, err := cached.Credentials(t.Context(), request(t, proxyText))
					requireCredentials(t, "ann", want, c, err)
				}
				ask("1")
				if test.want == 0 {
					time.Sleep(1000 * time.Hour)
					ask("1")
					return
				}
				time.Sleep(test.want - time.Nanosecond)
				ask("1")
				time.Sleep(time.Nanosecond)
				ask("2")
			})
		})
	}
}

// slept returns a time of before the computer slept for 2 hours: by the monotonic clock, which
// stood still, it is an hour away; by the wall clock it was an hour ago.
func slept(t *testing.T) time.Time {
	at := time.Now().Add(time.Hour)
	*(*uint64)(unsafe.Pointer(&at)) -= 2 * 60 * 60 << 30 // of package time: nanoseconds and, before them, seconds
	require.True(t, at.After(time.Now()))
	require.True(t, at.Round(0).Before(time.Now()))
	return at
}

func TestCachedAsksAgainAfterTheComputerHasSlept(t *testing.T) {
	var asked atomic.Int32
	cached := &credentials.Cached{Source: proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
		if asked.Add(1) > 1 {
			return pair("ann", "new"), nil
		}
		c := pair("ann", "expired")
		c.Expires = slept(t)
		return c, nil
	})}
	c, err := cached.Credentials(t.Context(), request(t, proxyText))
	requireCredentials(t, "ann", "expired", c, err)
	c, err = cached.Credentials(t.Context(), request(t, proxyText))
	requireCredentials(t, "ann", "new", c, err)
}

func TestCachedDoesNotRememberErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("locked")
		source := &counter{err: broken}
		cached := &credentials.Cached{Source: source}
		_, err := cached.Credentials(t.Context(), request(t, proxyText))
		require.ErrorIs(t, err, broken)
		source.err = nil
		c, err := cached.Credentials(t.Context(), request(t, proxyText))
		requireCredentials(t, "ann", "2", c, err)
	})
	_, err := (&credentials.Cached{}).Credentials(t.Context(), request(t, proxyText))
	requireFailure(t, err, "no Source is given")
}

func TestCachedWaitsNoLongerThanTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cached := &credentials.Cached{Source: &counter{}}
		var callers sync.WaitGroup
		callers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			_, err := cached.Credentials(ctx, request(t, proxyText))
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
		callers.Go(func() {
			c, err := cached.Credentials(t.Context(), request(t, proxyText))
			requireCredentials(t, "ann", "1", c, err)
		})
		callers.Wait()
	})
}
