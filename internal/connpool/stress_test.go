package connpool_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/connpool"
	"github.com/stretchr/testify/require"
)

// A handshake takes two legs more and is for one connection.
func TestHandshakesAreNotThrownAway(t *testing.T) {
	for _, limit := range []int{0, 7} {
		run(t, &http.Transport{MaxIdleConns: 100, MaxConnsPerHost: limit}, func(t *testing.T, e *env) {
			e.answer = func(int, *http.Request) string {
				time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
				return ok
			}
			e.dial = func(ctx context.Context) (net.Conn, *tls.ConnectionState, error) {
				time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
				return e.connect(ctx)
			}
			want := connpool.Want{Fits: func(c *connpool.Conn) bool { return c.Login == nil || c.Login == "ann" }}
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					for range 20 {
						c := e.get(want)
						if c.Login == nil {
							e.leg(c)
							e.leg(c)
							c.Login = "ann"
						}
						e.leg(c)
						c.Release()
					}
				})
			}
			wg.Wait()
			require.LessOrEqual(t, e.dialed.Load(), int64(64))
		})
	}
}

var errRandomDial = errors.New("dial failed")

// A storm is many requests with random faults: each is served, or fails for a reason of its own.
type storm struct {
	*env
	t    *testing.T
	busy sync.Map // connections that are held
	done atomic.Int64
}

func (s *storm) intn(n int) int { return rand.IntN(n) }

func (s *storm) pause(limit time.Duration) { time.Sleep(rand.N(limit)) }

func (s *storm) faultyDial(ctx context.Context) (net.Conn, *tls.ConnectionState, error) {
	s.pause(20 * time.Millisecond)
	switch s.intn(12) {
	case 0:
		return nil, nil, errRandomDial
	case 1:
		s.pause(3 * time.Second)
	}
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	return s.connect(ctx)
}

func (s *storm) faultyAnswer(int, *http.Request) string {
	s.pause(5 * time.Millisecond)
	switch s.intn(12) {
	case 0:
		return ""
	case 1:
		return "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok"
	case 2:
		return "HTTP/1.1 200 OK\r\nProxy-Connection: close\r\nContent-Length: 2\r\n\r\nok"
	case 3:
		return empty + "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	case 4, 5:
		return empty
	}
	return ok
}

func (s *storm) request(name string) {
	ctx := s.t.Context()
	patient := s.intn(3) > 0
	if !patient {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, rand.N(50*time.Millisecond))
		defer cancel()
	}
	want := login(name)
	if s.intn(3) == 0 {
		want.Fits = func(c *connpool.Conn) bool { return c.Login == nil || c.Login == name }
	}
	want.New = s.intn(10) == 0
	c, err := s.pool.Get(ctx, want)
	if err != nil {
		if !errors.Is(err, errRandomDial) && (patient || !errors.Is(err, context.DeadlineExceeded)) {
			s.t.Errorf("Get: %v", err)
		}
		return
	}
	s.hold(c, name)
	for range 1 + s.intn(3) {
		if !s.leg(ctx, c) {
			break
		}
	}
	s.busy.Delete(c)
	if s.intn(20) == 0 {
		c.Close()
		return
	}
	c.Release()
}

// hold checks that c is for nobody else.
func (s *storm) hold(c *connpool.Conn, name string) {
	if _, twice := s.busy.LoadOrStore(c, name); twice {
		s.t.Error("a connection was given to two")
	}
	if c.Login != nil && c.Login != name {
		s.t.Errorf("%s got a connection of %s", name, c.Login)
	}
	c.Login = name
}

// leg reports whether the connection is good for another.
func (s *storm) leg(ctx context.Context, c *connpool.Conn) bool {
	req, _ := http.NewRequestWithContext(ctx, "POST", origin, strings.NewReader("text"))
	resp, err := c.RoundTrip(req)
	if err != nil {
		return false
	}
	if s.intn(5) == 0 {
		go func() { // the last answer is read after the connection was given back
			s.pause(10 * time.Millisecond)
			s.finishBody(resp)
		}()
		return false
	}
	s.finishBody(resp)
	return c.Ready()
}

func (s *storm) finishBody(resp *http.Response) {
	if s.intn(8) > 0 {
		buf := make([]byte, 100)
		for {
			if _, err := resp.Body.Read(buf); err != nil {
				break
			}
		}
	}
	resp.Body.Close()
	s.done.Add(1)
}

func TestStorm(t *testing.T) {
	for _, base := range []*http.Transport{
		{},
		{MaxConnsPerHost: 1},
		{MaxConnsPerHost: 3, MaxIdleConnsPerHost: 2, IdleConnTimeout: 10 * time.Millisecond},
		{MaxConnsPerHost: 5, MaxIdleConns: 2},
		{MaxConnsPerHost: 2, MaxIdleConnsPerHost: -1},
		{DisableKeepAlives: true, MaxConnsPerHost: 2},
	} {
		desc := fmt.Sprintf("conns %d, idle %d %d, keep-alive %v", base.MaxConnsPerHost, base.MaxIdleConns,
			base.MaxIdleConnsPerHost, !base.DisableKeepAlives)
		t.Run(desc, func(t *testing.T) {
			run(t, base, func(t *testing.T, e *env) { (&storm{env: e, t: t}).run() })
		})
	}
}

func (s *storm) run() {
	s.dial, s.answer = s.faultyDial, s.faultyAnswer
	stop := make(chan struct{})
	go s.meddle(stop)
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			for range 15 {
				s.request([]string{"ann", "bob", "cid"}[(i+s.intn(2))%3])
				s.pause(5 * time.Millisecond)
			}
		})
	}
	wg.Wait() // or the bubble reports a deadlock: somebody starves
	close(stop)
	time.Sleep(time.Minute)
	synctest.Wait()
	s.pool.CloseFunc(nil)
	require.Positive(s.t, s.done.Load())
}

// meddle closes connections meanwhile.
func (s *storm) meddle(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		s.pause(30 * time.Millisecond)
		switch s.intn(4) {
		case 0:
			s.pool.CloseIdle()
		case 1:
			s.pool.CloseFunc(func(c *connpool.Conn) bool { return c.Login == "bob" })
		case 2:
			s.pool.CloseFunc(nil)
		case 3:
			s.mu.Lock()
			if n := len(s.peers); n > 0 {
				s.peers[s.intn(n)].Close()
			}
			s.mu.Unlock()
		}
	}
}
