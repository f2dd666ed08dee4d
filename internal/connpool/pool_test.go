package connpool_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/connpool"
	"github.com/stretchr/testify/require"
)

var anyConn connpool.Want

func TestNewestIdleConnectionIsFirst(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		a, b := e.get(anyConn), e.get(anyConn)
		e.leg(a)
		e.leg(b)
		b.Release()
		a.Release()
		require.Same(t, a, e.get(anyConn))
		require.Same(t, b, e.get(anyConn))
		a.Release()
		b.Release()
		require.Same(t, b, e.exchange(anyConn))
	})
}

func TestConnectionServesOnlyWhomItFits(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		c := e.get(login("ann"))
		e.leg(c)
		c.Login = "ann"
		c.Release()
		d := e.get(login("bob"))
		require.NotSame(t, c, d)
		d.Login = "bob"
		d.Release()
		require.Same(t, c, e.exchange(login("ann")))
		require.Same(t, d, e.exchange(login("bob")))
	})
}

func TestPreferredConnection(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		a, b := e.get(anyConn), e.get(anyConn)
		a.Login = "ann"
		a.Release()
		b.Release()
		want := connpool.Want{Prefer: func(c *connpool.Conn) bool { return c.Login == "ann" }}
		require.Same(t, a, e.get(want))
		require.Same(t, b, e.get(want), "any other that fits")
		a.Release()
		b.Release()
	})
}

func TestNewConnection(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		a := e.exchange(anyConn)
		b := e.get(connpool.Want{New: true})
		require.NotSame(t, a, b)
		require.False(t, b.Reused())
		b.Release()
	})
}

func TestWaitersAreServedInOrder(t *testing.T) {
	run(t, &http.Transport{MaxConnsPerHost: 1}, func(t *testing.T, e *env) {
		c := e.get(anyConn)
		first, second, third := e.start(anyConn), e.start(anyConn), e.start(anyConn)
		e.leg(c)
		c.Release()
		require.Same(t, c, first.wantConn())
		second.wantWaiting()
		second.cancel()
		second.wantErr(context.Canceled)
		c.Release() // unused
		require.Same(t, c, third.wantConn())
		c.Release()
	})
}

func TestWaiterTakesWhatComesFirst(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		open := e.gate()
		open()
		c := e.get(anyConn)
		w := e.start(anyConn)
		w.wantWaiting() // for its dial
		c.Release()
		require.Same(t, c, w.wantConn())

		next := e.start(anyConn)
		next.wantWaiting()
		open() // the dial for w
		d := next.wantConn()
		require.NotSame(t, c, d)
		require.EqualValues(t, 2, e.dialed.Load())
		c.Release()
		d.Release()
	})
}

func TestDialOutlivesItsRequest(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		open := e.gate()
		w := e.start(anyConn)
		w.cancel()
		w.wantErr(context.Canceled)
		open()
		_, available, _, _ := e.pool.Counts()
		require.Equal(t, 1, available)
		c := e.get(anyConn)
		require.False(t, c.Reused())
		c.Release()
		require.EqualValues(t, 1, e.dialed.Load())
	})
}

func TestDialContext(t *testing.T) {
	type key struct{}
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		var got context.Context
		e.dial = func(ctx context.Context) (net.Conn, *tls.ConnectionState, error) {
			got = ctx
			conn, _, err := e.connect(ctx)
			return conn, &tls.ConnectionState{ServerName: "proxy"}, err
		}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		c, err := e.pool.Get(ctx, anyConn)
		require.NoError(t, err)
		cancel()
		require.Equal(t, "value", got.Value(key{}))
		require.NoError(t, got.Err())
		require.Equal(t, "proxy", c.TLS().ServerName)
		c.Release()
	})
}

// A dial that hangs must not take a request with it that came a little later.
func TestHangingDialIsNotReliedOn(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		var dials atomic.Int64
		e.dial = func(ctx context.Context) (net.Conn, *tls.ConnectionState, error) {
			if dials.Add(1) == 1 {
				<-ctx.Done()
				return nil, nil, ctx.Err()
			}
			return e.connect(ctx)
		}
		w := e.start(anyConn)
		w.cancel()
		w.wantErr(context.Canceled)
		next := e.start(anyConn)
		next.wantWaiting()
		time.Sleep(time.Second)
		c := next.wantConn()
		require.NoError(t, next.err)
		c.Release()
	})
}

func TestDialErrors(t *testing.T) {
	errDial := errors.New("no route")
	for _, test := range []struct {
		desc string
		dial func() (net.Conn, error)
		want string
	}{
		{"error", func() (net.Conn, error) { return nil, errDial }, "no route"},
		{"nothing", func() (net.Conn, error) { return nil, nil }, "connpool: the dial function returned (nil, nil)"},
		{"exit", func() (net.Conn, error) { runtime.Goexit(); return nil, nil }, "connpool: the dial function did not return"},
	} {
		t.Run(test.desc, func(t *testing.T) {
			run(t, &http.Transport{MaxConnsPerHost: 1}, func(t *testing.T, e *env) {
				step := make(chan bool)
				dials := 0
				e.dial = func(ctx context.Context) (net.Conn, *tls.ConnectionState, error) {
					dials++
					if <-step {
						return e.connect(ctx)
					}
					conn, err := test.dial()
					return conn, nil, err
				}
				first, second := e.start(anyConn), e.start(anyConn)
				step <- false
				synctest.Wait()
				require.EqualError(t, first.err, test.want)
				second.wantWaiting()
				require.Equal(t, 2, dials, "the next one is for the second")
				step <- true
				second.wantConn().Release()
			})
		})
	}
}

// The error of a dial whose request has ended is nobody's.
func TestErrorOfAnOrphanedDial(t *testing.T) {
	run(t, &http.Transport{MaxConnsPerHost: 1}, func(t *testing.T, e *env) {
		fail := make(chan bool)
		e.dial = func(ctx context.Context) (net.Conn, *tls.ConnectionState, error) {
			if <-fail {
				return nil, nil, errors.New("no route")
			}
			return e.connect(ctx)
		}
		first := e.start(anyConn)
		first.cancel()
		first.wantErr(context.Canceled)
		second := e.start(anyConn)
		fail <- true
		second.wantWaiting()
		fail <- false
		second.wantConn().Release()
	})
}

func TestEndedContext(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		cause := errors.New("cause")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		_, err := e.pool.Get(ctx, anyConn)
		require.Equal(t, cause, err)
		require.Zero(t, e.dialed.Load())

		e.gate()
		ctx, cancel = context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		_, err = e.pool.Get(ctx, anyConn)
		require.Equal(t, cause, err)
	})
}

// Requests of callbacks go on while others hold every connection.
func TestOutsideConnection(t *testing.T) {
	run(t, &http.Transport{MaxConnsPerHost: 1}, func(t *testing.T, e *env) {
		e.limit = 2
		c := e.get(anyConn)
		e.leg(c)
		outside := e.get(connpool.Want{Outside: true})
		require.NotSame(t, c, outside)
		e.leg(outside)
		e.leg(outside)
		outside.Release()
		synctest.Wait()
		require.EqualValues(t, 1, e.open.Load())
		c.Release()
		require.Same(t, c, e.exchange(anyConn))
	})
}

func TestOutsideDialEndsWithItsRequest(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		e.gate()
		w := e.start(connpool.Want{Outside: true})
		w.cancel()
		w.wantErr(context.Canceled) // the bubble would not end with the dial under way
	})
}

func TestOutsideConnectionThatComesTooLateIsClosed(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		gate := make(chan struct{})
		e.dial = func(ctx context.Context) (net.Conn, *tls.ConnectionState, error) {
			<-gate
			return e.connect(context.WithoutCancel(ctx))
		}
		w := e.start(connpool.Want{Outside: true})
		w.cancel()
		w.wantErr(context.Canceled)
		close(gate)
		synctest.Wait()
		require.EqualValues(t, 1, e.dialed.Load())
		require.Zero(t, e.open.Load())
	})
}

func TestPanicOfFitsLeavesThePoolUsable(t *testing.T) {
	panics := connpool.Want{Fits: func(*connpool.Conn) bool { panic("Fits") }}
	run(t, &http.Transport{MaxConnsPerHost: 1}, func(t *testing.T, e *env) {
		c := e.exchange(anyConn)
		require.PanicsWithValue(t, "Fits", func() { e.pool.Get(t.Context(), panics) })
		require.Same(t, c, e.get(anyConn))

		w := e.start(panics)
		require.PanicsWithValue(t, "Fits", c.Release)
		synctest.Wait()
		d := w.wantConn() // a new one, since c has been closed
		require.NotSame(t, c, d)
		d.Release()
	})
}
