package krb_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

var errRefusedConn = errors.New("connection refused")

// refuses is a KDC's host on which nothing listens.
func refuses(context.Context, string, string) (net.Conn, error) { return nil, errRefusedConn }

// hosts are how KDCs are reached, by their address without the port.
type hosts map[string]krb.DialFunc

func (h hosts) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(address)
	if dial, ok := h[host]; ok {
		return dial(ctx, network, address)
	}
	return nil, errors.New("no such host")
}

// crowd asks n times at once, and returns the errors and the longest wait.
func crowd(t *testing.T, n int, ask func(i int) error) (errs []error, longest time.Duration) {
	t.Helper()
	errs = make([]error, n)
	waits := make([]time.Duration, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			start := time.Now()
			errs[i] = ask(i)
			waits[i] = time.Since(start)
		})
	}
	wg.Wait()
	for _, w := range waits {
		longest = max(longest, w)
	}
	return errs, longest
}

// A connection to a KDC may be lost, whichever it is. None of those who wait has to know. A proof
// that may have been sent is the exception: it is not repeated.
func TestLostConnectionFailsNobody(t *testing.T) {
	reset := func(conn net.Conn, _, _ []byte) {}
	for _, tc := range []struct {
		desc string
		lose func(k *kdc.KDC) krb.DialFunc
		wait time.Duration
		sent bool // the request is
	}{
		{"refused", func(*kdc.KDC) krb.DialFunc { return refuses }, 0, false},
		{"reset", func(k *kdc.KDC) krb.DialFunc { return piped(k, reset) }, 0, true},
		{"late", func(k *kdc.KDC) krb.DialFunc { return piped(k, neverAnswer) }, 2500 * time.Millisecond, true},
	} {
		for lost := range 3 { // AS-REQ, proof, TGS-REQ
			if tc.sent && lost == 1 {
				continue
			}
			t.Run(fmt.Sprintf("%s, %d", tc.desc, lost), func(t *testing.T) {
				k := startKDC(t, kdc.Config{})
				cfg := configOf(t, k)
				var dials atomic.Int64
				cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
					if int(dials.Add(1)) == lost+1 {
						return tc.lose(k)(ctx, network, address)
					}
					return piped(k, plainly)(ctx, network, address)
				}
				synctest.Test(t, func(t *testing.T) {
					c := krb.NewClient(cfg)
					errs, longest := crowd(t, sample.Size(320, 1280), func(int) error { return ask(t, c, user("ann", "s3cret")) })
					require.NoError(t, errors.Join(errs...))
					require.Equal(t, tc.wait, longest)
					require.EqualValues(t, 4, dials.Load())
				})
			})
		}
	}
}

// A dial of the program's may panic, which ends the request that it is for alone. It may end its
// goroutine, or not return when its context ends.
func TestDialThatFailsInOtherWays(t *testing.T) {
	for _, tc := range []struct {
		desc string
		fail func()
		wait time.Duration // at most
	}{
		{"panics", func() { panic("of the dial") }, 0},
		{"exits", runtime.Goexit, 0},
		{"deaf", func() { time.Sleep(time.Hour) }, 5 * time.Second},
	} {
		for failed := range 3 { // AS-REQ, proof, TGS-REQ
			t.Run(fmt.Sprintf("%s, %d", tc.desc, failed), func(t *testing.T) {
				k := startKDC(t, kdc.Config{})
				cfg := configOf(t, k)
				var dials atomic.Int64
				cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
					if int(dials.Add(1)) == failed+1 {
						tc.fail()
					}
					return piped(k, plainly)(ctx, network, address)
				}
				synctest.Test(t, func(t *testing.T) {
					c := krb.NewClient(cfg)
					start := time.Now()
					func() {
						defer func() { require.Equal(t, tc.desc == "panics", recover() != nil) }()
						require.NoError(t, ask(t, c, user("ann", "s3cret")))
					}()
					require.LessOrEqual(t, time.Since(start), tc.wait)
					start = time.Now()
					require.NoError(t, ask(t, c, user("ann", "s3cret")))
					require.Zero(t, time.Since(start))
					time.Sleep(2 * time.Hour)
				})
			})
		}
	}
}

// A KDC that is busy answers late, and is not asked so often that it gets worse.
func TestSlowKDCFailsNobody(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	var asked atomic.Int64
	slow := func(conn net.Conn, _, reply []byte) {
		asked.Add(1)
		time.Sleep(9 * time.Second)
		send(conn, reply)
	}
	bubble(t, k, slow, func(t *testing.T, c *krb.Client) {
		errs, longest := crowd(t, 1280, func(int) error { return ask(t, c, user("ann", "s3cret")) })
		require.NoError(t, errors.Join(errs...))
		require.Equal(t, 27*time.Second, longest, "three answers")
		require.EqualValues(t, 5, asked.Load(), "the proof is sent once")
		time.Sleep(time.Minute) // until all have been answered
	})
}

func TestKDCThatIsRestartedFailsNobodyWhoWaits(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	cfg := configOf(t, k)
	var up atomic.Bool
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if !up.Load() {
			return refuses(ctx, network, address)
		}
		return piped(k, plainly)(ctx, network, address)
	}
	synctest.Test(t, func(t *testing.T) {
		c := krb.NewClient(cfg)
		time.AfterFunc(2*time.Second, func() { up.Store(true) })
		errs, longest := crowd(t, 1280, func(int) error { return ask(t, c, user("ann", "s3cret")) })
		require.NoError(t, errors.Join(errs...))
		require.Equal(t, 3*time.Second, longest)
	})
}

// While a KDC is down requests fail at once, but for one that asks; when it is up again, all
// are served within seconds.
func TestKDCThatWasDownIsNoticed(t *testing.T) {
	for _, tc := range []struct {
		desc  string
		down  krb.DialFunc
		dials int64 // in a minute
		wait  time.Duration
	}{
		{"refused", refuses, 110, 5 * time.Second},
		{"silent", nil, 24, 15 * time.Second},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			k := startKDC(t, kdc.Config{})
			if tc.down == nil {
				tc.down = piped(k, neverAnswer)
			}
			cfg := configOf(t, k)
			var up atomic.Bool
			var dials atomic.Int64
			cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if dials.Add(1); up.Load() {
					return piped(k, plainly)(ctx, network, address)
				}
				return tc.down(ctx, network, address)
			}
			synctest.Test(t, func(t *testing.T) {
				c := krb.NewClient(cfg)
				_, longest := crowd(t, 10, func(int) error { return ask(t, c, user("ann", "s3cret")) })
				require.LessOrEqual(t, longest, 10*time.Second)
				for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(100 * time.Millisecond) {
					waited := 0
					for range 10 {
						start := time.Now()
						require.ErrorIs(t, ask(t, c, user("ann", "s3cret")), krb.ErrKDCUnreachable)
						if d := time.Since(start); d > 0 {
							require.LessOrEqual(t, d, time.Second)
							waited++
						}
					}
					require.LessOrEqual(t, waited, 1)
				}
				require.LessOrEqual(t, dials.Load(), tc.dials)
				up.Store(true)
				begin := time.Now()
				for ask(t, c, user("ann", "s3cret")) != nil {
					time.Sleep(10 * time.Millisecond)
				}
				require.LessOrEqual(t, time.Since(begin), tc.wait)
				require.Equal(t, 1, k.Counts("ann").TGTs)
			})
		})
	}
}

// Dead KDCs that are listed before one that answers delay the first request, and no other.
func TestDeadKDCsDelayTheFirstRequestAlone(t *testing.T) {
	for _, dead := range []int{1, 3, 6, 7} {
		t.Run(fmt.Sprint(dead), func(t *testing.T) {
			k := startKDC(t, kdc.Config{Principals: []kdc.Principal{{Name: "bob", Password: "pa55"}}})
			cfg := configOf(t, k)
			h := hosts{"alive": piped(k, plainly), "other": piped(k, plainly)}
			cfg.KDCs = nil
			for i := range dead {
				name := fmt.Sprint("dead", i)
				cfg.KDCs = append(cfg.KDCs, name)
				h[name] = piped(k, neverAnswer)
			}
			cfg.KDCs = append(cfg.KDCs, "alive")
			cfg.Dial = h.dial
			synctest.Test(t, func(t *testing.T) {
				c := krb.NewClient(cfg)
				start := time.Now()
				require.NoError(t, ask(t, c, user("ann", "s3cret")))
				require.Equal(t, time.Duration(dead)*500*time.Millisecond, time.Since(start))
				start = time.Now()
				require.NoError(t, ask(t, c, user("bob", "pa55")))
				require.Zero(t, time.Since(start))
			})
		})
	}
}

// The KDC that answered last is asked first, until it answers no more.
func TestNextKDCTakesOver(t *testing.T) {
	k := startKDC(t, kdc.Config{Principals: []kdc.Principal{{Name: "bob", Password: "pa55"}}})
	cfg := configOf(t, k)
	cfg.KDCs = []string{"a", "b"}
	h := hosts{"a": piped(k, plainly), "b": piped(k, plainly)}
	cfg.Dial = h.dial
	synctest.Test(t, func(t *testing.T) {
		c := krb.NewClient(cfg)
		require.NoError(t, ask(t, c, user("ann", "s3cret")))
		h["a"] = piped(k, neverAnswer)
		start := time.Now()
		require.NoError(t, ask(t, c, user("bob", "pa55")))
		require.Equal(t, 500*time.Millisecond, time.Since(start))
	})
}

// The exchange for a service's ticket has its time, whatever the one before has taken.
func TestLateVerdictLeavesTimeForTheTicket(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	late := func(conn net.Conn, request, reply []byte) {
		if kdc.Proves(request) {
			time.Sleep(11 * time.Second)
		}
		time.Sleep(9 * time.Second)
		send(conn, reply)
	}
	bubble(t, k, late, func(t *testing.T, c *krb.Client) {
		start := time.Now()
		require.NoError(t, ask(t, c, user("ann", "s3cret")))
		require.Equal(t, 38*time.Second, time.Since(start))
		time.Sleep(time.Minute)
	})
}

// A ticket that ends in minutes is good: nobody waits for its renewal, which goes on beside.
func TestSilentKDCDoesNotDelayAGoodTicket(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	var silent atomic.Bool
	a := func(conn net.Conn, request, reply []byte) {
		if silent.Load() {
			neverAnswer(conn, request, reply)
			return
		}
		send(conn, reply)
	}
	bubble(t, k, a, func(t *testing.T, c *krb.Client) {
		ann := user("ann", "s3cret")
		require.NoError(t, ask(t, c, ann))
		time.Sleep(10*time.Hour - 5*time.Minute)
		silent.Store(true)
		requests := 0
		for end := time.Now().Add(4*time.Minute + 45*time.Second); time.Now().Before(end); time.Sleep(15 * time.Second) {
			errs, longest := crowd(t, 160, func(int) error { return ask(t, c, ann) })
			require.NoError(t, errors.Join(errs...))
			require.Zero(t, longest)
			requests += 160
		}
		require.Equal(t, 19*160, requests)
		silent.Store(false)
		require.NoError(t, ask(t, c, ann))
		synctest.Wait()
		time.Sleep(time.Minute)
		errs, longest := crowd(t, 160, func(int) error { return ask(t, c, ann) })
		require.NoError(t, errors.Join(errs...))
		require.Zero(t, longest)
	})
}

// What ends while nobody asks is fetched anew by the next request.
func TestTicketThatEndsOvernightComesBack(t *testing.T) {
	for _, keytab := range []bool{false, true} {
		for _, wakes := range []time.Duration{10*time.Hour - 3*time.Second, 10 * time.Hour, 16 * time.Hour, 30 * 24 * time.Hour} {
			k := startKDC(t, kdc.Config{})
			cfg := configOf(t, k)
			cfg.Dial = piped(k, plainly)
			who := user("ann", "s3cret")
			if keytab {
				cfg.KeytabName, who = write(t, "keytab", string(k.Keytab("ann"))), krb.User{}
			}
			synctest.Test(t, func(t *testing.T) {
				c := krb.NewClient(cfg)
				for range 3 {
					errs, _ := crowd(t, 100, func(int) error { return ask(t, c, who) })
					require.NoError(t, errors.Join(errs...))
					time.Sleep(wakes)
				}
				require.Equal(t, 3, k.Counts("ann").TGTs)
				require.Equal(t, 3, k.Counts("ann").ServiceTickets)
			})
		}
	}
}

// A replica may not have a new key yet: another KDC is asked, once.
func TestLateReplicaDoesNotRefuseANewKey(t *testing.T) {
	for _, keytab := range []bool{false, true} {
		t.Run(fmt.Sprintf("keytab: %t", keytab), func(t *testing.T) {
			late, current := startKDC(t, kdc.Config{}), startKDC(t, kdc.Config{})
			for _, name := range []string{"krbtgt/EXAMPLE.COM", proxySPN} {
				late.SetPassword(name, "shared")
				current.SetPassword(name, "shared")
			}
			current.SetPassword("ann", "new")
			cfg := configOf(t, late)
			cfg.KDCs = []string{"late", "current"}
			cfg.Dial = hosts{"late": piped(late, plainly), "current": piped(current, plainly)}.dial
			who := user("ann", "new")
			if keytab {
				cfg.KeytabName, who = write(t, "keytab", string(current.Keytab("ann"))), krb.User{}
			}
			synctest.Test(t, func(t *testing.T) {
				c := krb.NewClient(cfg)
				errs, _ := crowd(t, 100, func(int) error { return ask(t, c, who) })
				require.NoError(t, errors.Join(errs...))
				require.Equal(t, 1, late.Counts("ann").PreauthFailed)
				require.Equal(t, 1, current.Counts("ann").TGTs)
			})
		})
	}
}

// Nor does it know a new user. Of the other KDCs, the primary one is asked, if krb5.conf names one.
func TestLateReplicaDoesNotRefuseANewUser(t *testing.T) {
	inTrouble := piped(kdc.Start(t, kdc.Config{}), func(conn net.Conn, _, _ []byte) { send(conn, krbError(60)) })
	for _, tc := range []struct {
		desc, password, realm string
		dial                  krb.DialFunc // of the KDC that knows the user, nil if it is up
		want                  error
		asked                 bool // it is
	}{
		{desc: "known to another", password: "s3cret", realm: "kdc = late\nkdc = current", asked: true},
		{desc: "and the password is wrong", password: "wrong", realm: "kdc = late\nkdc = current", want: krb.ErrPasswordWrong, asked: true},
		{desc: "and that is down", password: "s3cret", realm: "kdc = late\nkdc = current", dial: refuses, want: krb.ErrClientUnknown},
		{desc: "and that is in trouble", password: "s3cret", realm: "kdc = late\nkdc = current", dial: inTrouble, want: krb.ErrClientUnknown},
		{desc: "known to the primary", password: "s3cret", realm: "kdc = late\nprimary_kdc = current", asked: true},
		{desc: "known to the master", password: "s3cret", realm: "kdc = late\nmaster_kdc = current:88", asked: true},
		{desc: "unknown to the primary", password: "s3cret", realm: "kdc = late\nprimary_kdc = late\nkdc = current", want: krb.ErrClientUnknown},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			late, current := kdc.Start(t, kdc.Config{}), startKDC(t, kdc.Config{})
			cfg := configOf(t, late)
			cfg.KDCs = nil
			require.NoError(t, os.WriteFile(cfg.ConfFile, []byte("[realms]\nEXAMPLE.COM = {\n"+tc.realm+"\n}\n"), 0o600))
			if tc.dial == nil {
				tc.dial = piped(current, plainly)
			}
			late.SetPassword("krbtgt/EXAMPLE.COM", "shared")
			current.SetPassword("krbtgt/EXAMPLE.COM", "shared")
			cfg.Dial = hosts{"late": piped(late, plainly), "current": tc.dial}.dial
			synctest.Test(t, func(t *testing.T) {
				c := krb.NewClient(cfg)
				errs, _ := crowd(t, 100, func(int) error { return ask(t, c, user("ann", tc.password)) })
				for _, err := range errs {
					require.ErrorIs(t, err, tc.want)
					require.Equal(t, tc.want == krb.ErrPasswordWrong, krb.SecretRefused(err))
				}
				require.LessOrEqual(t, current.Total().PreauthFailed, 1)
				require.Equal(t, tc.asked, current.Counts("ann").ASRequests > 0)
			})
		})
	}
}

// A KDC that says to a proof that it does not know the user may have counted a failure all the same.
func TestProofOfAnUnknownUserIsSentOnce(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	cfg := configOf(t, k)
	cfg.KDCs = []string{"a", "b"}
	unknown := piped(k, toProof(func(conn net.Conn, _, _ []byte) { send(conn, krbError(6)) }))
	cfg.Dial = hosts{"a": unknown, "b": unknown}.dial
	synctest.Test(t, func(t *testing.T) {
		c := krb.NewClient(cfg)
		for n := range 3 {
			errs, _ := crowd(t, 100, func(int) error { return ask(t, c, user("ann", "wrong")) })
			for _, err := range errs {
				require.ErrorIs(t, err, krb.ErrClientUnknown)
				require.False(t, krb.RetryOf(err).IsZero())
			}
			require.Equal(t, n+1, k.Counts("ann").PreauthFailed)
			time.Sleep(10 * time.Second << n)
		}
	})
}

// A user whom no KDC knows, as one of the proxy's own, does not wait for a silent KDC each time.
func TestUnknownUserDoesNotWaitForASilentKDC(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	cfg := configOf(t, k)
	cfg.KDCs = []string{"well", "silent"}
	cfg.Dial = hosts{"well": piped(k, plainly), "silent": piped(k, neverAnswer)}.dial
	synctest.Test(t, func(t *testing.T) {
		c := krb.NewClient(cfg)
		waits := 0
		for begin := time.Now(); time.Since(begin) < time.Hour; time.Sleep(time.Second) {
			start := time.Now()
			require.ErrorIs(t, ask(t, c, user("nobody", "s3cret")), krb.ErrClientUnknown)
			if time.Since(start) > 0 {
				waits++
			}
		}
		require.LessOrEqual(t, waits, 9, "10 s later, and twice as long each time")
		require.GreaterOrEqual(t, waits, 3)
		start := time.Now()
		require.ErrorIs(t, ask(t, c, user("nobody", "another")), krb.ErrClientUnknown)
		require.NoError(t, ask(t, c, user("ann", "s3cret")))
		require.Zero(t, time.Since(start))
		c.Forget()
		require.ErrorIs(t, ask(t, c, user("nobody", "s3cret")), krb.ErrClientUnknown)
		require.NotZero(t, time.Since(start))
	})
}

// A wrong secret is proved to two KDCs, once each, and again to one of them half an hour later,
// an hour after that, and so on, up to a day.
func TestRefusalsAge(t *testing.T) {
	for _, kdcs := range []int{1, 2, 7} {
		for _, keytab := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d, keytab: %t", kdcs, keytab), func(t *testing.T) {
				k := startKDC(t, kdc.Config{})
				cfg := configOf(t, k)
				cfg.KDCs = nil
				for i := range kdcs {
					cfg.KDCs = append(cfg.KDCs, fmt.Sprint("kdc", i))
				}
				cfg.Dial = piped(k, plainly)
				who, want := user("ann", "wrong"), krb.ErrPasswordWrong
				if keytab {
					cfg.KeytabName, who, want = write(t, "keytab", string(k.Keytab("ann"))), krb.User{}, krb.ErrKeytabStale
					k.SetPassword("ann", "another")
				}
				synctest.Test(t, func(t *testing.T) {
					c := krb.NewClient(cfg)
					proofs := min(kdcs, 2)
					for _, minutes := range []time.Duration{30, 60, 120, 240, 480, 960, 1440, 1440} {
						requireOnce := func() {
							t.Helper()
							errs, _ := crowd(t, 20, func(int) error { return ask(t, c, who) })
							for _, err := range errs {
								require.ErrorIs(t, err, want)
								require.Equal(t, !keytab, krb.SecretRefused(err))
							}
							require.Equal(t, proofs, k.Counts("ann").PreauthFailed)
						}
						requireOnce()
						time.Sleep(minutes*time.Minute - 1)
						requireOnce()
						time.Sleep(time.Nanosecond)
						proofs++
					}
					k.SetPassword("ann", "wrong") // which makes it right
					if !keytab {
						require.NoError(t, ask(t, c, who))
					}
				})
			})
		}
	}
}

// A KDC, or whoever answers in its place, must not make the proof cheap to guess from.
func TestWeakProofIsNotMade(t *testing.T) {
	for _, tc := range []struct {
		desc, conf string
		iterations int
		enctypes   []int32
		want       error
	}{
		{desc: "1 iteration", iterations: 1, want: krb.ErrMalformedReply},
		{desc: "4095 iterations", iterations: 4095, want: krb.ErrMalformedReply},
		{desc: "4096 iterations", iterations: 4096},
		{desc: "too many", iterations: 1<<20 + 1, want: krb.ErrMalformedReply},
		{desc: "RC4", enctypes: []int32{kdc.RC4}, want: krb.ErrEncType},
		{desc: "RC4, allowed", enctypes: []int32{kdc.RC4}, conf: "default_tkt_enctypes = aes rc4"},
		{desc: "RC4, permitted", enctypes: []int32{kdc.RC4}, conf: "permitted_enctypes = aes rc4"},
		{desc: "RC4, by default", enctypes: []int32{kdc.RC4}, conf: "permitted_enctypes = DEFAULT", want: krb.ErrEncType},
		{desc: "RC4, by default of tickets", enctypes: []int32{kdc.RC4}, conf: "default_tkt_enctypes = DEFAULT", want: krb.ErrEncType},
		{desc: "RC4, besides the default", enctypes: []int32{kdc.RC4}, conf: "permitted_enctypes = DEFAULT +rc4"},
		{desc: "RC4, for services", enctypes: []int32{kdc.RC4}, conf: "default_tgs_enctypes = aes rc4", want: krb.ErrEncType},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			iterations := tc.iterations
			if iterations > 1<<20 {
				iterations = 4096
			}
			k := startKDC(t, kdc.Config{Iterations: iterations, Principals: []kdc.Principal{{Name: "bob", Password: "pa55", Enctypes: tc.enctypes}}})
			cfg := configOf(t, k)
			require.NoError(t, os.WriteFile(cfg.ConfFile, []byte("[libdefaults]\n"+tc.conf+"\n"), 0o600))
			proofs := 0
			cfg.Dial = piped(k, toProof(func(conn net.Conn, _, reply []byte) {
				proofs++
				send(conn, reply)
			}))
			synctest.Test(t, func(t *testing.T) {
				err := ask(t, krb.NewClient(cfg), user("bob", "pa55"))
				if tc.iterations > 1<<20 {
					return
				}
				require.ErrorIs(t, err, tc.want)
				require.Equal(t, tc.want == nil, proofs == 1)
				require.False(t, krb.SecretRefused(err))
			})
		})
	}
}

// Services are another matter: Active Directory has some with RC4 alone.
func TestServiceWithRC4(t *testing.T) {
	k := kdc.Start(t, kdc.Config{Principals: []kdc.Principal{
		{Name: "ann", Password: "s3cret"},
		{Name: proxySPN, Enctypes: []int32{kdc.RC4}},
	}})
	bubble(t, k, plainly, func(t *testing.T, c *krb.Client) {
		require.NoError(t, ask(t, c, user("ann", "s3cret")))
	})
}

// Tickets that live for seconds are used for as long as they live.
func TestShortTicketsAreUsed(t *testing.T) {
	for _, life := range []time.Duration{2 * time.Second, 9 * time.Second, time.Minute} {
		k := startKDC(t, kdc.Config{TicketLife: life})
		bubble(t, k, plainly, func(t *testing.T, c *krb.Client) {
			for end := time.Now().Add(10 * life); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				require.NoError(t, ask(t, c, user("ann", "s3cret")))
			}
			synctest.Wait()
			require.LessOrEqual(t, k.Counts("ann").TGTs, 20)
			require.LessOrEqual(t, k.Counts("ann").ServiceTickets, 40)
		})
	}
}

// A KDC whose clock is wrong, or whose replies can't be decrypted, is left alone for a while. That
// says nothing of the password.
func TestTicketThatIsOfNoUse(t *testing.T) {
	noProof := []kdc.Principal{{Name: "bob", Password: "pa55", NoPreauth: true}, {Name: "eve", Password: "pa55"}}
	for _, tc := range []struct {
		desc     string
		cfg      kdc.Config
		upset    func(k *kdc.KDC)
		who      krb.User
		want     error
		heldBack bool
		perTry   int // AS-REQ
	}{
		{"the clock is ahead", kdc.Config{}, func(k *kdc.KDC) { k.SetClockOffset(time.Hour) }, user("eve", "pa55"), krb.ErrClockSkew, false, 2},
		{"the clock is behind", kdc.Config{MaxSkew: 1000 * time.Hour}, func(k *kdc.KDC) { k.SetClockOffset(-time.Hour) }, user("eve", "pa55"), krb.ErrClockSkew, false, 2},
		{"the clock is behind, no proof", kdc.Config{}, func(k *kdc.KDC) { k.SetClockOffset(-time.Hour) }, user("bob", "pa55"), krb.ErrClockSkew, false, 1},
		{"tickets that have ended", kdc.Config{TicketLife: -time.Second}, func(*kdc.KDC) {}, user("eve", "pa55"), krb.ErrTicketExpired, false, 2},
		{"undecipherable", kdc.Config{}, func(*kdc.KDC) {}, user("bob", "wrong"), krb.ErrUndecipherable, true, 1},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			tc.cfg.Principals = noProof
			k := startKDC(t, tc.cfg)
			tc.upset(k)
			bubble(t, k, plainly, func(t *testing.T, c *krb.Client) {
				for i, pause := range []time.Duration{10, 20} {
					errs, _ := crowd(t, 20, func(int) error { return ask(t, c, tc.who) })
					for range 20 {
						errs = append(errs, ask(t, c, tc.who))
					}
					for _, err := range errs {
						require.ErrorIs(t, err, tc.want)
						require.False(t, krb.SecretRefused(err))
						require.Equal(t, tc.heldBack, krb.SecretHeld(err))
						require.NotZero(t, krb.RetryOf(err))
					}
					require.Equal(t, (i+1)*tc.perTry, k.Total().ASRequests)
					time.Sleep(pause * time.Second)
				}
			})
		})
	}
}

// However many users there are, each has a place while it is in use.
func TestManyUsersAtOnce(t *testing.T) {
	users := sample.Size(50, 200)
	var principals []kdc.Principal
	for i := range users {
		principals = append(principals, kdc.Principal{Name: fmt.Sprint("user", i), Password: "pa55", Enctypes: []int32{kdc.AES128SHA1}})
	}
	k := startKDC(t, kdc.Config{Principals: principals})
	slow := func(conn net.Conn, _, reply []byte) {
		time.Sleep(200 * time.Millisecond)
		send(conn, reply)
	}
	bubble(t, k, slow, func(t *testing.T, c *krb.Client) {
		errs, longest := crowd(t, 2*users, func(i int) error { return ask(t, c, user(fmt.Sprint("user", i%users), "pa55")) })
		require.NoError(t, errors.Join(errs...))
		require.Equal(t, 600*time.Millisecond, longest)
		require.Equal(t, users, k.Total().TGTs)
		require.Equal(t, 3*users, k.Total().ASRequests+k.Total().TGSRequests)
	})
}

// A KDC that answers may be of no use: it can't read its database, or it is broken. A request that
// proves nothing goes to another one then.
func TestKDCThatAnswersToNoAvailIsPassedOver(t *testing.T) {
	cut := func(conn net.Conn, _, reply []byte) { send(conn, reply[:len(reply)-1]) }
	for _, tc := range []struct {
		desc   string
		answer answer
	}{
		{"generic error", func(conn net.Conn, _, _ []byte) { send(conn, krbError(60)) }},
		{"response too big", func(conn net.Conn, _, _ []byte) { send(conn, krbError(52)) }},
		{"truncated messages", cut},
	} {
		for _, stage := range []byte{0x6a, 0x6c} { // AS-REQ, TGS-REQ
			t.Run(fmt.Sprintf("%s to %x", tc.desc, stage), func(t *testing.T) {
				k := startKDC(t, kdc.Config{})
				cfg := configOf(t, k)
				cfg.KDCs = []string{"broken", "well"}
				var asked atomic.Int64
				broken := func(conn net.Conn, request, reply []byte) {
					if request[0] != stage || kdc.Proves(request) {
						send(conn, reply)
						return
					}
					asked.Add(1)
					tc.answer(conn, request, reply)
				}
				cfg.Dial = hosts{"broken": piped(k, broken), "well": piped(k, plainly)}.dial
				synctest.Test(t, func(t *testing.T) {
					c := krb.NewClient(cfg)
					start := time.Now()
					require.NoError(t, ask(t, c, user("ann", "s3cret")))
					require.Zero(t, time.Since(start))
					require.EqualValues(t, 1, asked.Load())
				})
			})
		}
	}
}

// Where all KDCs say the same, it is the answer, and each is asked once.
func TestTroubleOfAllKDCsIsTheAnswer(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	cfg := configOf(t, k)
	cfg.KDCs = []string{"a", "b"}
	var asked atomic.Int64
	trouble := piped(k, func(conn net.Conn, _, _ []byte) { asked.Add(1); send(conn, krbError(60)) })
	cfg.Dial = hosts{"a": trouble, "b": trouble}.dial
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := ask(t, krb.NewClient(cfg), user("ann", "s3cret"))
		require.ErrorIs(t, err, krb.ErrKDC)
		require.ErrorContains(t, err, "error 60")
		require.Zero(t, time.Since(start))
		require.EqualValues(t, 2, asked.Load())
	})
}

// Requests do not wait, one after the other, for a silent KDC beside one that is in trouble.
func TestTroubleIsRemembered(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	cfg := configOf(t, k)
	cfg.KDCs = []string{"a", "b"}
	var well atomic.Bool
	trouble := func(conn net.Conn, _, reply []byte) {
		if well.Load() {
			send(conn, reply)
		} else {
			send(conn, krbError(60))
		}
	}
	cfg.Dial = hosts{"a": piped(k, trouble), "b": piped(k, neverAnswer)}.dial
	synctest.Test(t, func(t *testing.T) {
		c := krb.NewClient(cfg)
		require.ErrorIs(t, ask(t, c, user("ann", "s3cret")), krb.ErrKDC)
		waited := 0
		for range 600 {
			errs, longest := crowd(t, 10, func(int) error { return ask(t, c, user("ann", "s3cret")) })
			for _, err := range errs {
				require.ErrorIs(t, err, krb.ErrKDC)
				require.ErrorContains(t, err, "error 60")
			}
			require.LessOrEqual(t, longest, time.Second)
			if longest > 0 {
				waited++
			}
			time.Sleep(100 * time.Millisecond)
		}
		require.LessOrEqual(t, waited, 10, "of 600")
		well.Store(true)
		time.Sleep(20 * time.Second)
		for range 2 { // the first one asks
			_ = ask(t, c, user("ann", "s3cret"))
		}
		require.NoError(t, ask(t, c, user("ann", "s3cret")))
	})
}

// A connection of the program's dial may be none, or one that its Close does not wake: then the
// requests of a user must not wait for ever for the one that has sent the proof.
func TestConnectionThatIsNoneOrIsDeaf(t *testing.T) {
	for _, tc := range []struct {
		desc string
		conn net.Conn
		wait time.Duration
		want error
	}{
		{"none", nil, 0, krb.ErrKDCUnreachable},
		{"deaf", deafConn{}, 30 * time.Second, krb.ErrNoVerdict},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			k := startKDC(t, kdc.Config{})
			cfg := configOf(t, k)
			var dials atomic.Int64
			cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if n := dials.Add(1); n == 1 {
					return piped(k, plainly)(ctx, network, address)
				}
				return tc.conn, nil
			}
			synctest.Test(t, func(t *testing.T) {
				c := krb.NewClient(cfg)
				start := time.Now()
				err := ask(t, c, user("ann", "s3cret"))
				require.ErrorIs(t, err, tc.want)
				if tc.conn == nil {
					require.ErrorContains(t, err, "neither a connection nor an error")
				}
				require.LessOrEqual(t, time.Since(start), max(tc.wait, 4*time.Second))
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

// A deafConn takes whatever is sent, and its Read does not return when it is closed.
type deafConn struct{ net.Conn }

func (deafConn) Read([]byte) (int, error)    { time.Sleep(time.Hour); return 0, net.ErrClosed }
func (deafConn) Write(b []byte) (int, error) { return len(b), nil }
func (deafConn) Close() error                { return nil }
