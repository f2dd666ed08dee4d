package lockout_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/lockout"
	"github.com/go-proxyauth/proxyauth/internal/sample"
)

func TestRightPasswordIsNeverDelayedAfterTheFirstAcceptance(t *testing.T) {
	play(t, "64 workers", func(w *world) {
		w.proxy = byName
		workFor(20*time.Second, 10*ms, func(i int) error { return w.healthy(host(i % 200)) })
		w.wantHealthy(time.Second, 0)
		require.Equal(t, 1, w.mostUnderWay)
	})
	play(t, "1000 at once", func(w *world) {
		w.proxy = byName
		burst(1000, func(i int) { w.healthy(host(i % 200)) })
		w.wantHealthy(time.Second, 0)
	})
	play(t, "preemptive, 10,000 hosts", func(w *world) {
		w.preemptive, w.proxy = true, byName
		workers(10_000, func(i int) { w.healthy(host(i)) })
		w.wantHealthy(time.Second, 0)
	})
}

func TestWrongPasswordIsSentTwice(t *testing.T) {
	for _, tt := range []struct {
		desc  string
		after time.Duration
	}{{"at once", 100 * ms}, {"slow directory", 8 * time.Second}} {
		play(t, tt.desc, func(w *world) {
			w.proxy = func(int, string, string) answer { return refuses(tt.after) }
			hour(1000, 10, func(i int) { w.wrong(host(i % 50)) })
			require.Len(t, w.refused, 2)
			require.Equal(t, 2, w.sent)
			w.wantBudget(1)
		})
	}
	play(t, "callers with 200 ms", func(w *world) {
		w.proxy = func(int, string, string) answer { return refuses(300 * ms) }
		hour(0, 20, func(i int) {
			within(200*ms, func(ctx context.Context) { w.do(ctx, "pw", host(i%50), false) })
		})
		require.Len(t, w.refused, 2)
		w.wantBudget(1)
	})
	play(t, "one target", func(w *world) {
		w.proxy = func(int, string, string) answer { return refuses(100 * ms) }
		hour(1000, 10, func(int) { w.wrong("api") })
		require.Len(t, w.refused, 1)
	})
	play(t, "directory takes 25 s", func(w *world) {
		w.proxy = func(int, string, string) answer { return refuses(25 * time.Second) }
		hour(1000, 10, func(i int) { w.wrong(host(i % 50)) })
		w.wantBudget(4)
	})
	play(t, "preemptive, exempt hosts pass", func(w *world) {
		w.preemptive = true
		exempt := func(target string) bool { return kind(target) == "ex" }
		w.anonymous = func(target string) lockout.Outcome {
			if exempt(target) {
				return lockout.Accepted
			}
			return lockout.Refused
		}
		w.proxy = func(n int, target, _ string) answer {
			if exempt(target) {
				return accepts(latency(n))
			}
			return refuses(latency(n))
		}
		burst(50, func(i int) { w.healthy(fmt.Sprint("ex", i)) })
		w.wantHealthy(time.Second, 1000)
		hour(64, 10, func(i int) {
			w.wrong(host(i % 40))
		})
		w.wantBudget(4)
	})
}

func TestCallersWhoLeaveEarlyStillLearnThatAPasswordIsRight(t *testing.T) {
	play(t, "first answers take 300 ms", func(w *world) {
		w.proxy = func(n int, _, _ string) answer {
			if n <= 3 {
				return accepts(300 * ms)
			}
			return accepts(50 * ms)
		}
		steady(20, time.Minute, func(i int) {
			within(200*ms, func(ctx context.Context) { w.do(ctx, "pw", host(i%50), w.since() > time.Second) })
		})
		w.wantHealthy(0, 0)
	})
	play(t, "while they wait", func(w *world) {
		w.proxy = func(int, string, string) answer { return accepts(2 * time.Second) }
		burst(100, func(i int) {
			within(time.Duration(i)*30*ms, func(ctx context.Context) { w.do(ctx, "pw", host(i), false) })
		})
		w.healthy("x")
		w.wantHealthy(0, 0)
		require.Less(t, w.sent, 45, "those that left are not sent")
	})
}

func TestLossesOfAWrongPassword(t *testing.T) {
	for _, tt := range []struct {
		desc  string
		proxy func(w *world) func(n int, target, password string) answer
	}{
		{"closes", func(*world) func(int, string, string) answer {
			return func(int, string, string) answer { return closes(50 * ms) }
		}},
		{"black hole", func(*world) func(int, string, string) answer {
			return func(int, string, string) answer { return refuses(90 * time.Second) }
		}},
		{"closes, 502, 407 in turn", func(*world) func(int, string, string) answer {
			return func(n int, _, _ string) answer {
				return []answer{closes(50 * ms), status5xx(50 * ms), refuses(50 * ms)}[(n-1)%3]
			}
		}},
		{"three 502, then closes four", func(*world) func(int, string, string) answer {
			return func(n int, _, _ string) answer {
				if (n-1)%7 < 3 {
					return status5xx(50 * ms)
				}
				return closes(200 * ms)
			}
		}},
		{"502 until four are under way, then closes", func(w *world) func(int, string, string) answer {
			return func(n int, _, _ string) answer {
				w.mu.Lock()
				defer w.mu.Unlock()
				if w.underWay < 4 {
					return status5xx(time.Duration(100+n%3) * ms)
				}
				return closes(200 * ms)
			}
		}},
		{"502 three times, then wrong", func(*world) func(int, string, string) answer {
			return func(n int, _, _ string) answer {
				if n <= 3 {
					return status5xx(50 * ms)
				}
				return refuses(100 * ms)
			}
		}},
	} {
		play(t, tt.desc, func(w *world) {
			w.proxy = tt.proxy(w)
			hour(1000, 10, func(i int) { w.wrong(host(i % 50)) })
			w.wantBudget(4)
		})
	}
}

func TestOriginThatNeverSettlesAnything(t *testing.T) {
	play(t, "503 for an hour", func(w *world) {
		w.proxy = func(n int, target, _ string) answer {
			if isHost(target) {
				return accepts(20 * ms)
			}
			return status5xx(20 * ms)
		}
		steady(50, time.Minute, func(int) { w.healthy("api") })
		steady(1, 59*time.Minute, func(int) { w.healthy("api") })
		w.wantHealthy(100*ms, 0)
		w.wantBudget(4)
		steady(50, time.Minute, func(i int) { w.healthy(some("stat", 50, i)) })
		w.wantHealthy(100*ms, 0)
	})
	play(t, "503 and one loss", func(w *world) {
		w.proxy = func(n int, _, _ string) answer {
			if n == 100 {
				return closes(20 * ms)
			}
			return status5xx(20 * ms)
		}
		steady(50, time.Minute, func(int) { w.do(context.Background(), "pw", "api", w.since() > 5*time.Second) })
		w.wantHealthy(time.Second, 0)
	})
	play(t, "401 in the proxy's realm, refused in a row", func(w *world) {
		w.proxy = func(n int, target, _ string) answer {
			if isHost(target) {
				return accepts(latency(n))
			}
			if n%2 == 1 {
				return status5xx(20 * ms)
			}
			return refuses(20 * ms)
		}
		w.healthy("host")
		hour(0, 10, func(i int) {
			w.wrong("api")
			w.healthy(host(i))
		})
		w.wantHealthy(time.Second, 10)
		require.Less(t, len(w.refused), 10, "a minute, doubled")
	})
	play(t, "403", func(w *world) { // the proxy has accepted the authorization
		w.proxy = func(int, string, string) answer { return accepts(20 * ms) }
		hour(100, 10, func(int) { w.healthy("api") })
		w.wantHealthy(50*ms, 0)
	})
}

func TestCrawlers(t *testing.T) {
	for _, tt := range []struct {
		desc string
		name func(i int) string
		wait time.Duration // longest
		late int           // of a thousand that wait
		fail int           // of a thousand
	}{
		{"a tenth is dead", func(i int) string { return some("dead", 10, i) }, 0, 0, 0},
		{"a tenth answers 502", func(i int) string { return some("stat", 10, i) }, 0, 0, 0},
		{"a tenth is closed", func(i int) string { return some("clos", 10, i) }, 2 * time.Second, 40, 0},
		{"40 % are closed", func(i int) string { return some("clos", 40, i) }, 10 * time.Second, 200, 0},
		{"a tenth is dead, a tenth denied", func(i int) string {
			return []string{host(i), some("dead", 20, i), some("deny", 20, i)}[i%3]
		}, 15 * time.Second, 800, 5},
		{"a tenth is dead, a tenth denied, a tenth closed", func(i int) string {
			return []string{host(i), some("dead", 30, i), some("deny", 30, i), some("clos", 30, i)}[i%4]
		}, 15 * time.Second, 800, 20},
	} {
		play(t, tt.desc, func(w *world) {
			w.crawl(sample.Size(3000, 10_000), tt.name)
			w.wantWaits(tt.wait, tt.late)
			require.LessOrEqual(t, w.failed()*1000, tt.fail*len(w.waits), "%v", w.unlucky)
		})
	}
}

func TestCrawlersOfDeniedHosts(t *testing.T) {
	for _, tt := range []struct {
		desc    string
		percent int
		wait    time.Duration // longest
		late    int           // of a thousand that wait
	}{
		{"a hundredth", 1, 6 * time.Second, 500},
		// At most 8 refusals without a pause, one before each of the pauses of 1 and 4 s, and
		// the acceptance: 5 s, and 11 answers of 375 ms.
		{"a tenth", 10, 9200 * ms, 800},
		{"a third", 33, 9200 * ms, 950},
	} {
		for seed := range sample.Size(3, 10) {
			play(t, fmt.Sprint(tt.desc, ", seed ", seed), func(w *world) {
				w.crawl(1000, func(i int) string { return some("deny", tt.percent, i+100_000*seed) })
				wait := tt.wait
				if w.mayFail > 0 { // a third pause, 16 s: longer than a request waits
					wait = 15 * time.Second
				}
				w.wantWaits(wait, tt.late)
				require.LessOrEqual(t, w.failed(), w.mayFail, "%v", w.unlucky)
			})
		}
	}
}

func TestCrawlersThatBeginWithDeadHosts(t *testing.T) {
	for seed := range 10 {
		play(t, fmt.Sprint("one, and a tenth of the others, seed ", seed), func(w *world) {
			w.proxy = byName
			workers(1000, func(i int) {
				target := some("dead", 10, i+100_000*seed)
				switch i {
				case 0:
					target = "dead"
				case 1: // the next in turn, 10 s later
					target = host(1)
				}
				w.do(context.Background(), "pw", target, isHost(target))
			})
			w.wantHealthy(10*time.Second+375*ms, 0)
		})
	}
	// The second is sent after 10 s and would let others go 10 s later, but those wait
	// for 15 s only.
	play(t, "four", func(w *world) {
		w.proxy = byName
		workers(1000, func(i int) {
			target := host(i)
			if i < 4 {
				target = fmt.Sprint("dead", i)
			}
			w.do(context.Background(), "pw", target, isHost(target))
		})
		w.wantWaits(15*time.Second, 0)
		require.Equal(t, 60, w.failed(), "of the first 64: %v", w.unlucky)
	})
	play(t, "one dead host gets half of the requests", func(w *world) {
		w.proxy = byName
		steady(50, 2*time.Minute, func(i int) {
			target := host(i)
			if i%2 == 0 {
				target = "dead"
			}
			within(14*time.Second, func(ctx context.Context) { w.do(ctx, "pw", target, isHost(target)) })
		})
		w.wantHealthy(11*time.Second, 0)
	})
}

func TestDeniedSites(t *testing.T) {
	play(t, "one of a hundred", func(w *world) {
		w.proxy = byName
		w.healthy(host(0))
		workFor(10*time.Minute, 2*time.Second, func(i int) error {
			if i%100 == 37 {
				return w.wrong("deny")
			}
			return w.healthy(host(i % 100))
		})
		w.wantHealthy(time.Second, 5)
		require.Len(t, w.refused, 4, "denied for 1, 2, 4 and 8 minutes")
	})
	play(t, "30 % of 200", func(w *world) {
		w.proxy = byName
		workFor(10*time.Minute, 100*ms, func(i int) error {
			target := some("deny", 30, random(i).IntN(200))
			if i < 64 {
				target = host(i)
			}
			return w.do(context.Background(), "pw", target, isHost(target))
		})
		w.wantHealthy(10*time.Second, 50)
	})
	play(t, "the first request of all", func(w *world) {
		w.proxy = byName
		w.wrong("deny")
		workFor(2*time.Minute, 100*ms, func(i int) error {
			return w.do(context.Background(), "pw", host(i%10), w.since() > 61*time.Second)
		})
		w.wantHealthy(time.Second, 0)
	})
}

func TestRotatedPassword(t *testing.T) {
	const change = 30 * time.Second
	for _, tt := range []struct {
		desc   string
		target func(i int) string
		after  func(n int) answer
		refuse int // at most, in the hour, but for the 64 under way at the change
		lose   int
	}{
		{"one origin", func(int) string { return "api" }, func(n int) answer { return refuses(latency(n)) }, 5, 0},
		{"20 origins", func(i int) string { return host(i % 20) }, func(n int) answer { return refuses(latency(n)) }, 6, 0},
		{"ever new origins", host, func(n int) answer { return refuses(latency(n)) }, 12, 0},
		{"closes", func(i int) string { return host(i % 20) }, func(n int) answer { return closes(latency(n)) }, 0, 20},
		{"502", func(i int) string { return host(i % 20) }, func(n int) answer {
			if n%2 == 0 {
				return status5xx(latency(n))
			}
			return closes(latency(n))
		}, 0, 20},
	} {
		play(t, tt.desc, func(w *world) {
			w.proxy = func(n int, _, _ string) answer {
				if w.since() < change {
					return accepts(latency(n))
				}
				return tt.after(n)
			}
			workFor(time.Hour, 500*ms, func(i int) error {
				err := w.do(context.Background(), "pw", tt.target(i), w.since() < change)
				if w.since() > 10*time.Minute {
					time.Sleep(25 * time.Second) // most of them fail at once
				}
				return err
			})
			w.wantHealthy(time.Second, 0)
			require.LessOrEqual(t, len(w.refused), 64+tt.refuse)
			require.LessOrEqual(t, len(w.lost), 64+tt.lose)
		})
	}
	play(t, "is replaced", func(w *world) {
		w.proxy = func(n int, _, password string) answer {
			if password == "old" {
				return refuses(100 * ms)
			}
			return accepts(100 * ms)
		}
		burst(200, func(i int) {
			if w.do(context.Background(), "old", host(i), false) != nil {
				w.do(context.Background(), "new", host(i), true)
			}
		})
		w.wantHealthy(time.Second, 0)
		require.Len(t, w.refused, 1)
	})
}

func TestSlowDirectory(t *testing.T) {
	play(t, "8 s at first", func(w *world) {
		w.proxy = func(n int, _, _ string) answer {
			if w.since() < 8*time.Second {
				return accepts(8 * time.Second)
			}
			return accepts(latency(n))
		}
		workFor(30*time.Second, 100*ms, func(i int) error { return w.healthy(host(i % 20)) })
		w.wantHealthy(8*time.Second, 0)
	})
}

func TestRestartedProxy(t *testing.T) {
	const down = time.Minute
	for _, tt := range []struct {
		desc    string
		from, d time.Duration
		refuses bool // connections, in place of closing them
	}{
		{"refuses connections for 20 s", down, 20 * time.Second, true},
		{"closes connections for a minute", down, time.Minute, false},
		{"closes connections for 10 minutes", down, 10 * time.Minute, false},
		{"closes connections for a minute at first", 0, time.Minute, false},
	} {
		play(t, tt.desc, func(w *world) {
			broken := func() bool { return w.since() >= tt.from && w.since() < tt.from+tt.d }
			w.connect = func() error {
				if tt.refuses && broken() {
					return errDown
				}
				return nil
			}
			w.anonymous = func(string) lockout.Outcome {
				if broken() {
					return lockout.Lost
				}
				return lockout.Refused
			}
			w.proxy = func(n int, _, _ string) answer {
				if broken() {
					return closes(5 * ms)
				}
				if end := tt.from - w.since(); end > 0 && end < latency(n) {
					return closes(end) // all that are under way
				}
				return accepts(latency(n))
			}
			workFor(tt.from+tt.d+time.Minute, 500*ms, func(i int) error {
				now := w.since()
				return w.do(context.Background(), "pw", host(i%100), now < tt.from-time.Second || now > tt.from+tt.d)
			})
			w.wantHealthy(2*time.Second, 10)
		})
	}
}

func TestResets(t *testing.T) {
	play(t, "wrong password", func(w *world) {
		w.proxy = func(int, string, string) answer { return refuses(100 * ms) }
		go func() {
			time.Sleep(50 * ms)
			for range 3 {
				w.g.Reset()
				time.Sleep(time.Second)
			}
		}()
		workFor(5*time.Second, 10*ms, func(i int) error { return w.wrong(host(i % 20)) })
		require.LessOrEqual(t, len(w.refused), 4, "one for each Reset, and one before")
		require.Equal(t, 1, w.mostUnderWay)
	})
	play(t, "right password, each second", func(w *world) {
		w.proxy = byName
		go func() {
			for range 20 {
				time.Sleep(time.Second)
				w.g.Reset()
			}
		}()
		workFor(20*time.Second, 10*ms, func(i int) error { return w.healthy(host(i % 20)) })
		w.wantHealthy(time.Second, 1000)
	})
	play(t, "account unlocked while the old refusal is under way", func(w *world) {
		w.proxy = func(n int, _, _ string) answer {
			if n == 1 {
				return refuses(5 * time.Second)
			}
			return accepts(100 * ms)
		}
		go w.wrong("a")
		time.Sleep(time.Second)
		w.g.Reset()
		steady(10, time.Minute, func(i int) { w.healthy(host(i % 20)) })
		w.wantHealthy(5*time.Second, 0)
	})
}

func TestFreshSecretForEachRequest(t *testing.T) {
	play(t, "all wrong", func(w *world) {
		w.proxy = func(int, string, string) answer { return refuses(100 * ms) }
		hour(200, 10, func(i int) { w.do(context.Background(), fmt.Sprint("otp", i%1000), host(i), false) })
		require.LessOrEqual(t, len(w.refused), 12)
		require.LessOrEqual(t, w.mostUnderWay, 3)
	})
	play(t, "all right", func(w *world) {
		w.proxy = byName
		workers(1000, func(i int) { w.do(context.Background(), fmt.Sprint("otp", i), host(i), true) })
		require.Empty(t, w.unlucky)
	})
}

func TestTurnIsTakenBeforeTheOnlyConnection(t *testing.T) {
	play(t, "an exempt download has it for 3 s", func(w *world) {
		conn := make(chan struct{}, 1)
		w.proxy = func(int, string, string) answer { return accepts(100 * ms) }
		w.connect = func() error { conn <- struct{}{}; return nil }
		go func() {
			conn <- struct{}{}
			time.Sleep(3 * time.Second)
			<-conn
		}()
		time.Sleep(ms)
		burst(40, func(i int) {
			if w.healthy(host(i)) == nil {
				<-conn
			}
		})
		w.wantHealthy(4*time.Second, 0)
		require.Equal(t, 40, w.good)
	})
}
