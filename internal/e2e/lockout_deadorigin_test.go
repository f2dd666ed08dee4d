package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

const deadHost = "dead.example.com"

// poll asks for an origin server that does not answer, every three seconds for two,
// until the function that it returns is called.
func (l *lab) poll(t *testing.T, get func(context.Context) error) (stop func()) {
	t.Helper()
	l.network.Blackhole(deadHost + ":80")
	l.network.Blackhole(deadHost + ":443")
	all, cancelAll := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for all.Err() == nil {
			ctx, cancel := context.WithTimeout(all, 2*time.Second)
			if get(ctx) == nil {
				t.Error("the dead answered")
			}
			cancel()
			time.Sleep(time.Second)
		}
	}()
	return func() {
		cancelAll()
		<-done
	}
}

// TestDeadOrigin has a program poll an origin server that does not answer, so that
// what proves the password is lost again and again. It reaches others all the same.
func TestDeadOrigin(t *testing.T) {
	t.Parallel()
	for _, every := range []time.Duration{5 * time.Second, 30 * time.Second} {
		eachMechanism(t, every.String(), func(t *testing.T, m testproxy.Mechanism, w way) {
			l, _ := newWitnessedLab(t, m, always(password))
			stop := l.poll(t, func(ctx context.Context) error { return w.reach(ctx, l.rt, deadHost) })
			defer stop()
			time.Sleep(every)
			for tries := 1; ; tries++ {
				if w.reach(t.Context(), l.rt, originHost) == nil {
					break
				}
				require.Less(t, tries, 10) // the pause has to be longer than every, and may have begun before
				time.Sleep(every)
			}
		})
	}
}

// TestTunnelsForNobody has requests give up while a person types the password. The
// connections that net/http goes on making for them are not made.
func TestTunnelsForNobody(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		l, _ := newWitnessedLab(t, mechanismOf("Basic"), nil)
		l.rt.Credentials = proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
			time.Sleep(time.Minute)
			return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}, nil
		})
		get := func(ctx context.Context) error {
			resp, _, err := l.do(l.request(http.MethodGet, httpsOrigin+"/", nil).WithContext(ctx))
			if err == nil {
				require.Equal(t, http.StatusOK, resp.StatusCode)
			}
			return err
		}
		first := make(chan error)
		go func() { first <- get(t.Context()) }()
		time.Sleep(time.Second)
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			require.ErrorIs(t, get(ctx), context.DeadlineExceeded)
			cancel()
		}
		require.NoError(t, <-first)
		time.Sleep(time.Hour)
		require.Equal(t, map[string]int{"CONNECT 407": 1, "CONNECT Basic 200": 1}, l.tally())
	})
}

// TestLongAnswersDoNotHoldOthers has requests whose answers take long begin at a proxy
// that asks nothing, and at one that has been restarted and wants known credentials
// with a new nonce.
func TestLongAnswersDoNotHoldOthers(t *testing.T) {
	t.Parallel()
	for _, digest := range []bool{false, true} {
		eachWay(t, fmt.Sprint("digest ", digest), func(t *testing.T, w way) {
			config := testproxy.Config{}
			if digest {
				config.Auth = []testproxy.Mechanism{&testproxy.Digest{Realm: "lab"}}
			}
			l := newLab(t, config)
			if digest {
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				restarted := &testproxy.Digest{Realm: "lab"}
				l.adopt(restarted)
				l.proxy.SetAuth(restarted)
			}
			l.network.Blackhole(deadHost + ":80")
			l.network.Blackhole(deadHost + ":443")
			ctx, cancel := context.WithCancel(t.Context())
			long := make(chan error)
			for range 2 {
				go func() { long <- w.reach(ctx, l.rt, deadHost) }()
				synctest.Wait()
			}
			start := time.Now()
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			require.LessOrEqual(t, time.Since(start), 6*time.Second)
			cancel()
			for range 2 {
				require.ErrorIs(t, <-long, context.Canceled)
			}
		})
	}
}

// TestOutageEnds has what stands before a proxy close each connection for an
// hour, from the first authorization on. No pause is longer than maxPause.
func TestOutageEnds(t *testing.T) {
	t.Parallel()
	for _, preemptive := range []bool{false, true} {
		eachMechanism(t, fmt.Sprint("preemptive ", preemptive), func(t *testing.T, m testproxy.Mechanism, w way) {
			l, _ := newWitnessedLab(t, m, always(password))
			l.rt.Preemptive = preemptive
			if preemptive {
				l.rt.Schemes = slices.DeleteFunc(allSchemes(), func(s proxyauth.Scheme) bool { return s.Name() != m.Scheme() })
			}
			start := time.Now()
			l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
				if time.Since(start) > time.Hour || leg.Header.Get("Proxy-Authorization") == "" && time.Since(start) == 0 {
					return nil
				}
				return testproxy.DropAt(testproxy.OnRequest)
			})
			for time.Since(start) <= time.Hour {
				require.Error(t, w.reach(t.Context(), l.rt, originHost))
				time.Sleep(time.Duration(sample.Size(30, 10)) * time.Second)
			}
			time.Sleep(maxPause)
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		})
	}
}
