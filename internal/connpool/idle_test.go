package connpool_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/connpool"
	"github.com/stretchr/testify/require"
)

func TestIdleLimit(t *testing.T) {
	for _, test := range []struct {
		desc string
		base *http.Transport
		want int
	}{
		{"nothing set", &http.Transport{}, 100},
		{"MaxIdleConns", &http.Transport{MaxIdleConns: 3}, 3},
		{"MaxIdleConnsPerHost", &http.Transport{MaxIdleConnsPerHost: 4}, 4},
		{"the smaller counts", &http.Transport{MaxIdleConns: 3, MaxIdleConnsPerHost: 4}, 3},
		{"none", &http.Transport{MaxIdleConnsPerHost: -1}, 0},
		{"none at all", &http.Transport{MaxIdleConns: -1}, 0},
		{"none at all, some for each host", &http.Transport{MaxIdleConns: -1, MaxIdleConnsPerHost: 4}, 0},
		{"no keep-alive", &http.Transport{DisableKeepAlives: true}, 0},
	} {
		t.Run(test.desc, func(t *testing.T) {
			run(t, test.base, func(t *testing.T, e *env) {
				var conns []*connpool.Conn
				for range 110 {
					conns = append(conns, e.get(anyConn))
				}
				for _, c := range conns {
					e.leg(c)
					c.Release()
				}
				synctest.Wait()
				require.EqualValues(t, test.want, e.open.Load())
			})
		})
	}
}

func TestConnectionsWithoutLoginAreClosedFirst(t *testing.T) {
	run(t, &http.Transport{MaxIdleConns: 2}, func(t *testing.T, e *env) {
		a, b, c, d := e.get(anyConn), e.get(anyConn), e.get(anyConn), e.get(anyConn)
		a.Login, c.Login, d.Login = "a", "c", "d"
		for _, c := range []*connpool.Conn{a, b, c} {
			e.leg(c)
			c.Release()
		}
		require.False(t, b.Ready())
		require.True(t, a.Ready())
		e.leg(d)
		d.Release()
		require.False(t, a.Ready(), "the oldest, where all have logins")
		require.True(t, c.Ready())
		require.True(t, d.Ready())
	})
}

func TestIdleConnTimeout(t *testing.T) {
	run(t, &http.Transport{IdleConnTimeout: 10 * time.Second}, func(t *testing.T, e *env) {
		a, b := e.get(anyConn), e.get(anyConn)
		a.Release()
		time.Sleep(6 * time.Second)
		b.Release()
		time.Sleep(3 * time.Second)
		require.Same(t, b, e.get(anyConn))
		b.Release() // idle since now
		time.Sleep(time.Second)
		synctest.Wait()
		require.False(t, a.Ready())
		require.True(t, b.Ready())
		time.Sleep(9*time.Second - time.Nanosecond)
		synctest.Wait()
		require.True(t, b.Ready())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.False(t, b.Ready())
		require.Zero(t, e.open.Load())

		c := e.exchange(anyConn) // the timer is set again
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.False(t, c.Ready())
	})
}

func TestConnectionThatThePeerClosedIsNotHandedOut(t *testing.T) {
	run(t, &http.Transport{MaxConnsPerHost: 2}, func(t *testing.T, e *env) {
		a := e.exchange(anyConn)
		e.peer(1).Close()
		synctest.Wait()
		b := e.exchange(anyConn)
		require.NotSame(t, a, b)
		require.EqualValues(t, 1, e.open.Load())
	})
}

func TestWithoutKeepAliveLegsShareAConnection(t *testing.T) {
	run(t, &http.Transport{DisableKeepAlives: true, MaxConnsPerHost: 1}, func(t *testing.T, e *env) {
		c := e.get(anyConn)
		require.False(t, c.KeepAlive())
		w := e.start(anyConn)
		e.leg(c)
		require.True(t, c.Ready())
		e.leg(c)
		c.Release()
		d := w.wantConn()
		require.NotSame(t, c, d)
		d.Release()
	})
}

func TestUnfitIdleConnectionMakesRoom(t *testing.T) {
	for _, test := range []struct {
		desc string
		want connpool.Want
	}{
		{"another login", login("bob")},
		{"a new one", connpool.Want{New: true}},
	} {
		t.Run(test.desc, func(t *testing.T) {
			run(t, &http.Transport{MaxConnsPerHost: 2}, func(t *testing.T, e *env) {
				a, b := e.get(anyConn), e.get(anyConn)
				a.Login = "ann"
				a.Release()
				b.Release()
				c := e.get(test.want)
				require.True(t, a.Ready())
				require.False(t, b.Ready(), "the one without a login")
				c.Release()
			})
		})
	}
}

func TestConnectionThatComesBackMakesRoom(t *testing.T) {
	run(t, &http.Transport{MaxConnsPerHost: 3}, func(t *testing.T, e *env) {
		conns := []*connpool.Conn{e.get(anyConn), e.get(anyConn), e.get(anyConn)}
		first, second := e.start(login("bob")), e.start(login("bob"))
		for _, c := range conns {
			c.Login = "ann"
			c.Release()
		}
		first.wantConn().Release()
		second.wantConn().Release()
		require.True(t, conns[2].Ready(), "no more than two are closed")
	})
}

// Others with a login that keeps all connections busy must not keep one out.
func TestNobodyStarves(t *testing.T) {
	run(t, &http.Transport{MaxConnsPerHost: 1}, func(t *testing.T, e *env) {
		c := e.get(anyConn)
		c.Login = "ann"
		bob := e.start(login("bob"))
		served := 0
		for !bob.done.Load() {
			ann := e.start(login("ann"))
			c.Release()
			synctest.Wait()
			if bob.done.Load() {
				ann.cancel()
				break
			}
			require.Same(t, c, ann.wantConn())
			served++
			require.Less(t, served, 100)
		}
		require.GreaterOrEqual(t, served, 10)
		bob.wantConn().Release()
	})
}

func TestCloseIdle(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		idle, busy := e.get(anyConn), e.get(anyConn)
		idle.Release()
		e.pool.CloseIdle()
		require.False(t, idle.Ready())
		require.True(t, busy.Ready())
		busy.Release()
		require.False(t, busy.Ready(), "given back before anybody asked")

		busy = e.get(anyConn)
		e.pool.CloseIdle()
		other := e.get(anyConn)
		busy.Release()
		require.True(t, busy.Ready())
		other.Release()
	})
}

func TestCloseIdleEndsDialsThatNobodyWaitsFor(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		open := e.gate()
		w := e.start(anyConn)
		w.cancel()
		w.wantErr(context.Canceled)
		next := e.start(anyConn) // relies on that dial
		e.pool.CloseIdle()
		next.wantWaiting()
		open()
		c := next.wantConn()
		open()
		require.EqualValues(t, 1, e.dialed.Load())
		c.Release()
	})
}

func TestCloseFunc(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		idle, busy, late, bob := e.get(anyConn), e.get(anyConn), e.get(anyConn), e.get(anyConn)
		idle.Login, busy.Login, bob.Login = "ann", "ann", "bob"
		idle.Release()
		e.pool.CloseFunc(func(c *connpool.Conn) bool { return c.Login == "ann" })
		require.False(t, idle.Ready())
		require.True(t, busy.Ready())
		busy.Release()
		late.Login = "ann"
		late.Release()
		bob.Release()
		synctest.Wait()
		require.False(t, busy.Ready())
		require.False(t, late.Ready())
		require.True(t, bob.Ready())

		e.pool.CloseFunc(nil)
		c := e.get(connpool.Want{New: true})
		c.Login = "ann"
		c.Release()
		require.True(t, c.Ready())
	})
}

// A connection whose answer comes late is as outdated as others.
func TestCloseFuncAppliesToConnectionsWhoseAnswerIsBeingRead(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		c := e.get(anyConn)
		c.Login = "ann"
		resp, err := c.RoundTrip(e.request("GET", "http://origin.example/", nil))
		require.NoError(t, err)
		c.Release()
		e.pool.CloseFunc(func(c *connpool.Conn) bool { return c.Login == "ann" })
		require.Equal(t, "ok", e.read(resp))
		synctest.Wait()
		require.Zero(t, e.open.Load())
	})
}

func TestConnectionIsIdleWhenTheAnswerHasBeenRead(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		c := e.get(anyConn)
		resp, err := c.RoundTrip(e.request("GET", "http://origin.example/", nil))
		require.NoError(t, err)
		c.Release()
		_, available, _, _ := e.pool.Counts()
		require.Zero(t, available)
		e.read(resp)
		require.Same(t, c, e.exchange(anyConn))
	})
}

func TestAnswerThatIsNotReadEndsTheConnection(t *testing.T) {
	run(t, &http.Transport{MaxConnsPerHost: 1}, func(t *testing.T, e *env) {
		c := e.get(anyConn)
		resp, err := c.RoundTrip(e.request("GET", "http://origin.example/", nil))
		require.NoError(t, err)
		c.Release()
		w := e.start(anyConn)
		w.wantWaiting()
		resp.Body.Close()
		require.NotSame(t, c, w.wantConn())
		w.conn.Release()
	})
}

// Whatever moment a connection ends in, its place is taken by another.
func TestCloseAtEveryMoment(t *testing.T) {
	for _, test := range []struct {
		desc string
		end  func(e *env, c *connpool.Conn)
	}{
		{"before use", func(e *env, c *connpool.Conn) { e.peer(1).Close(); synctest.Wait(); c.Release() }},
		{"closed by the holder", func(e *env, c *connpool.Conn) { c.Close() }},
		{"closed and given back", func(e *env, c *connpool.Conn) { c.Close(); c.Release() }},
		{"in the leg", func(e *env, c *connpool.Conn) {
			e.answer = func(int, *http.Request) string { return "" }
			_, err := c.RoundTrip(e.request("GET", "http://origin.example/", nil))
			require.Error(e.t, err)
			e.answer = func(int, *http.Request) string { return ok }
			c.Release()
		}},
		{"in the answer", func(e *env, c *connpool.Conn) {
			e.answer = func(int, *http.Request) string { return "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok" }
			resp, err := c.RoundTrip(e.request("GET", "http://origin.example/", nil))
			require.NoError(e.t, err)
			e.answer = func(int, *http.Request) string { return ok }
			c.Release()
			e.peer(1).Close()
			_, err = bufio.NewReader(resp.Body).ReadString('\n')
			require.Error(e.t, err)
		}},
		{"after the answer", func(e *env, c *connpool.Conn) {
			e.leg(c)
			e.peer(1).Close()
			c.Release()
		}},
		{"idle", func(e *env, c *connpool.Conn) {
			e.leg(c)
			c.Release()
			synctest.Wait()
			e.peer(1).(interface{ SetLinger(int) error }).SetLinger(0)
			e.peer(1).Close()
		}},
	} {
		t.Run(test.desc, func(t *testing.T) {
			run(t, &http.Transport{MaxConnsPerHost: 1}, func(t *testing.T, e *env) {
				c := e.get(anyConn)
				synctest.Wait()
				w := e.start(connpool.Want{New: true})
				w.wantWaiting()
				test.end(e, c)
				require.NotSame(t, c, w.wantConn())
				e.leg(w.conn)
				w.conn.Release()
			})
		})
	}
}

// The end of a connection that somebody holds is reported when that one has let go.
func TestOnCloseWaitsForTheHolder(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		c := e.get(anyConn)
		e.leg(c)
		e.peer(1).Close()
		synctest.Wait()
		require.False(t, c.Ready())
		require.Zero(t, e.reported.Load())
		c.Release()
		require.EqualValues(t, 1, e.reported.Load())
	})
}

func TestServerThatSpeaksFirst(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		e.script = func(_ int, conn net.Conn, _ *bufio.Reader) { conn.Close() }
		c := e.get(anyConn)
		synctest.Wait()
		_, err := c.RoundTrip(e.request("GET", "http://origin.example/", nil))
		require.Error(t, err)
		require.True(t, c.Unsent())
		require.False(t, c.IdleRace())
		c.Release()
	})
}
