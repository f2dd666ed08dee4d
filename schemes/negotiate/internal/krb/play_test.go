package krb_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

// An hour of a realm whose KDCs fail in all ways, but for the last one: 1,280 requests of 200
// users, of whom 20 have a wrong password, to 20 proxies, with tickets that live for 20 minutes;
// or a sample of it with a quarter of the users.
const (
	playProxies = 20
	playTime    = time.Hour
)

// moods are the ways in which a KDC of the play behaves for a while.
var moods = []struct {
	desc   string
	down   bool // refuses connections
	answer answer
}{
	{"well", false, plainly},
	{"well again", false, plainly},
	{"down", true, nil},
	{"silent", false, neverAnswer},
	{"resets connections", false, hangUp},
	{"slow", false, func(conn net.Conn, _, reply []byte) { time.Sleep(3 * time.Second); send(conn, reply) }},
	{"not a KDC", false, func(conn net.Conn, _, _ []byte) { send(conn, []byte("HTTP/1.1 400 Bad Request")) }},
	{"forges", false, func(conn net.Conn, _, reply []byte) {
		if reply[0] == 0x6b || reply[0] == 0x6d { // the last octet is of a ciphertext
			reply[len(reply)-1] ^= 1
		}
		send(conn, reply)
	}},
	{"gives no verdict", false, toProof(hangUp)},
	{"is late with verdicts", false, toProof(func(conn net.Conn, _, reply []byte) { time.Sleep(12 * time.Second); send(conn, reply) })},
	{"overloaded", false, func(conn net.Conn, request, reply []byte) { send(conn, krbError(29)) }},
	{"fails in an unexpected way", false, toProof(func(conn net.Conn, _, _ []byte) { send(conn, krbError(60)) })},
}

// krbError returns a KRB-ERROR with a code.
func krbError(code int32) []byte {
	e := messages.NewKRBError(types.NewPrincipalName(2, "krbtgt/EXAMPLE.COM"), "EXAMPLE.COM", code, "")
	data, _ := e.Marshal()
	return data
}

// A plan says how a KDC behaves, by the time since the play began.
type plan []struct {
	until time.Duration
	mood  int
}

func newPlan(r *rand.Rand) (p plan) {
	for at := time.Duration(0); at < 2*playTime; {
		at += 10*time.Second + time.Duration(r.Int64N(int64(3*time.Minute)))
		p = append(p, plan{{at, r.IntN(len(moods))}}...)
	}
	return p
}

func (p plan) mood(at time.Duration) int {
	for _, part := range p {
		if at < part.until {
			return part.mood
		}
	}
	return 0
}

// A play counts what comes of it.
type play struct {
	wrong int // so many users, the first ones, have a wrong password

	mu       sync.Mutex
	served   int           // right passwords
	held     int           // right passwords whose proof was lost a moment ago
	failed   int           // other failures of right passwords
	longest  time.Duration // wait of those served
	slow     int           // of those served, after more than two seconds
	failures map[string]int
}

func TestAnHourOfFailingKDCs(t *testing.T) {
	for seed := range sample.Size(1, 5) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { playAnHour(t, uint64(seed)) })
	}
}

func playAnHour(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 13))
	users := sample.Size(50, 200)
	requests := users * 32 / 5
	var principals []kdc.Principal
	for i := range users {
		principals = append(principals, kdc.Principal{Name: fmt.Sprint("user", i), Password: "pa55", Enctypes: []int32{kdc.AES128SHA1}})
	}
	for i := range playProxies {
		principals = append(principals, kdc.Principal{Name: proxyOf(i)})
	}
	k := startKDC(t, kdc.Config{Principals: principals, TicketLife: 20 * time.Minute})
	cfg := configOf(t, k)
	cfg.KDCs = nil
	plans := map[string]plan{}
	for i := range 6 {
		name := fmt.Sprint("kdc", i)
		cfg.KDCs, plans[name] = append(cfg.KDCs, name), newPlan(r)
	}
	cfg.KDCs = append(cfg.KDCs, "well")
	p := play{wrong: users / 10, failures: map[string]int{}}
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			host, _, _ := net.SplitHostPort(address)
			mood := moods[plans[host].mood(time.Since(begin))]
			if mood.down {
				return refuses(ctx, network, address)
			}
			return piped(k, mood.answer)(ctx, network, address)
		}
		c := krb.NewClient(cfg)
		var wg sync.WaitGroup
		for i := range requests {
			// A crowd at the beginning, and then waves.
			at := time.Duration(i/20) * playTime / time.Duration(requests/20)
			if i < users {
				at = 0
			}
			who, proxy := r.IntN(users), r.IntN(playProxies)
			if i < users {
				who = i
			}
			wg.Go(func() {
				time.Sleep(at)
				p.request(t, c, who, proxy)
			})
		}
		wg.Wait()
		time.Sleep(time.Minute)
	})
	wrong, most := 0, 0
	for i := range users {
		n := k.Counts(fmt.Sprint("user", i)).PreauthFailed
		wrong, most = wrong+n, max(most, n)
	}
	total := k.Total()
	t.Logf("proofs of wrong passwords: %d, of one user %d; right passwords: %d served, longest wait %v, %d after more than 2 s; %d held back, %d failed %v; %d AS-REQ, %d TGS-REQ",
		wrong, most, p.served, p.longest, p.slow, p.held, p.failed, p.failures, total.ASRequests, total.TGSRequests)
	require.LessOrEqual(t, most, 7, "two KDCs have refused it, one more half an hour later; other proofs were lost")
	require.Zero(t, p.failed)
	require.LessOrEqual(t, p.longest, 20*time.Second)
	require.Greater(t, p.served, 2*p.held)
}

func proxyOf(i int) string { return fmt.Sprintf("HTTP/proxy%d.example.com", i) }

// request asks for a user's ticket.
func (p *play) request(t *testing.T, c *krb.Client, who, proxy int) {
	password := "pa55"
	if who < p.wrong {
		password = "wrong"
	}
	start := time.Now()
	_, err := c.Ticket(t.Context(), user(fmt.Sprint("user", who), password), proxyOf(proxy), "")
	wait := time.Since(start)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case who < p.wrong:
		if err == nil {
			p.failed++
		}
	case err == nil:
		p.served++
		p.longest = max(p.longest, wait)
		if wait > 2*time.Second {
			p.slow++
		}
	case !krb.RetryOf(err).IsZero():
		p.held++
	default:
		p.failed++
		p.failures[err.Error()]++
	}
}
