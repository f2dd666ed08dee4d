package krb_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

func TestServicesAreBounded(t *testing.T) {
	require.Equal(t, 256, krb.Services(1000))
}

// An identity in use is not given up, however many there are.
func TestIdentitiesAreBoundedUnlessInUse(t *testing.T) {
	used, kept := krb.Identities(20_000)
	require.Equal(t, 20_000, used)
	require.Equal(t, 16_384, kept)
}

func TestSecretsThatAreRememberedAreBounded(t *testing.T) {
	require.Equal(t, 16_384, krb.SecretsRemembered(20_000))
}

func TestLoginIsCalledOffWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var id krb.Identity
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ended := make(chan error, 1)
		err := id.LogIn(ctx, func(ctx context.Context) error {
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

// A login that has been called off is waited for: it may have sent a proof.
func TestLoginsOfAnIdentityAreNeverSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var id krb.Identity
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := id.LogIn(ctx, func(context.Context) error {
			time.Sleep(20 * time.Second)
			return errors.New("called off")
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		err = id.LogIn(t.Context(), func(context.Context) error { return krb.ErrPasswordWrong })
		require.ErrorIs(t, err, krb.ErrPasswordWrong)
		require.Equal(t, 20*time.Second, time.Since(start))
	})
}

func TestLimitOfALogin(t *testing.T) {
	for _, tc := range []struct {
		desc string
		err  error // of the login, nil for its context's
		want error
	}{
		{"its own error", krb.ErrPasswordWrong, krb.ErrPasswordWrong},
		{"its context's", nil, krb.ErrKDCUnreachable},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var id krb.Identity
				start := time.Now()
				err := id.LogIn(t.Context(), func(ctx context.Context) error {
					<-ctx.Done()
					return cmp.Or(tc.err, ctx.Err())
				})
				require.ErrorIs(t, err, tc.want)
				require.Equal(t, tc.want == krb.ErrKDCUnreachable, errors.Is(err, krb.ErrKDCUnreachable))
				require.Equal(t, 30*time.Second, time.Since(start))
			})
		})
	}
}

func TestLoginThatPanics(t *testing.T) {
	var id krb.Identity
	err := id.LogIn(t.Context(), func(context.Context) error { panic("gokrb5") })
	require.ErrorIs(t, err, krb.ErrMalformedReply)
}

// KDCs that do not answer keep the first request waiting, and then nobody: one call at a
// time finds out whether they are back.
func TestSilentKDCsAreWaitedForOnce(t *testing.T) {
	for _, kdcs := range []int{1, 3, 8} {
		for _, cache := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d, with a ticket cache: %t", kdcs, cache), func(t *testing.T) {
				k := startKDC(t, kdc.Config{})
				cfg := configOf(t, k)
				cfg.KDCs = nil
				for i := range kdcs {
					cfg.KDCs = append(cfg.KDCs, fmt.Sprint("kdc", i))
				}
				var silent atomic.Bool
				cfg.Dial = piped(k, func(conn net.Conn, request, reply []byte) {
					if silent.Load() {
						neverAnswer(conn, request, reply)
					}
					send(conn, reply)
				})
				who := user("ann", "s3cret")
				cfg.CacheName = filepath.Join(t.TempDir(), "cc")
				synctest.Test(t, func(t *testing.T) {
					if cache {
						who = krb.User{}
						require.NoError(t, os.WriteFile(cfg.CacheName, cacheOf(t, k, kdc.CCache{}), 0o600))
					}
					c := krb.NewClient(cfg)
					requireWait := func(want time.Duration) {
						t.Helper()
						start := time.Now()
						require.ErrorIs(t, ask(t, c, who), krb.ErrKDCUnreachable)
						require.Equal(t, want, time.Since(start))
					}
					silent.Store(true)
					requireWait(10 * time.Second)
					for _, pause := range []time.Duration{200, 400, 800, 1600, 3200, 5000, 5000} {
						time.Sleep(pause*time.Millisecond - 1)
						requireWait(0)
						time.Sleep(time.Nanosecond)
						requireWait(time.Second)
						requireWait(0)
						time.Sleep(9 * time.Second)
						synctest.Wait()
					}
					time.Sleep(time.Minute)
					requireWait(10 * time.Second)
					c.Forget()
					requireWait(10 * time.Second)

					silent.Store(false)
					time.Sleep(200 * time.Millisecond)
					require.NoError(t, ask(t, c, who))
				})
			})
		}
	}
}

// What one user's KDC does is not what another's does.
func TestSilentKDCIsOneIdentitysBusiness(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	cfg := configOf(t, k)
	require.NoError(t, os.WriteFile(cfg.ConfFile, []byte("[realms]\nLAB.EXAMPLE.COM = {\nkdc = lab\n}\n"), 0o600))
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "lab:88" {
			return piped(k, neverAnswer)(ctx, network, address)
		}
		return piped(k, plainly)(ctx, network, address)
	}
	synctest.Test(t, func(t *testing.T) {
		c := krb.NewClient(cfg)
		require.ErrorIs(t, ask(t, c, user("ann@LAB.EXAMPLE.COM", "s3cret")), krb.ErrKDCUnreachable)
		require.NoError(t, ask(t, c, user("ann", "s3cret")))
	})
}

// A request that was called off says nothing of the KDC.
func TestCancelledRequestIsNotRemembered(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	slow := true
	a := func(conn net.Conn, request, reply []byte) {
		if slow {
			neverAnswer(conn, request, reply)
			return
		}
		send(conn, reply)
	}
	bubble(t, k, a, func(t *testing.T, c *krb.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Ticket(ctx, user("ann", "s3cret"), proxySPN, "")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		slow = false
		require.NoError(t, ask(t, c, user("ann", "s3cret")))
	})
}

// The lookup of a KDC is not repeated at once, either.
func TestMissingKDCIsLookedUpOnce(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	cfg := configOf(t, k)
	cfg.KDCs = nil
	lookups := 0
	cfg.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		lookups++
		client, server := net.Pipe()
		server.Close()
		return client, nil
	}}
	c := krb.NewClient(cfg)
	require.ErrorIs(t, ask(t, c, user("ann", "s3cret")), krb.ErrNoKDC)
	require.Positive(t, lookups)
	before := lookups
	require.ErrorIs(t, ask(t, c, user("ann", "s3cret")), krb.ErrNoKDC)
	require.Equal(t, before, lookups)
	c.Forget()
	require.ErrorIs(t, ask(t, c, user("ann", "s3cret")), krb.ErrNoKDC)
	require.Greater(t, lookups, before)
}

func TestCancelledLookupIsNotRemembered(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	cfg := configOf(t, k)
	cfg.KDCs = nil
	dialled := make(chan context.CancelFunc, 1)
	cfg.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		cancel, ok := <-dialled
		if !ok {
			return nil, errors.New("connection refused")
		}
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	c := krb.NewClient(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	dialled <- cancel
	_, err := c.Ticket(ctx, user("ann", "s3cret"), proxySPN, "")
	require.ErrorIs(t, err, context.Canceled)
	close(dialled)
	require.NoError(t, os.WriteFile(cfg.ConfFile, []byte("[realms]\nEXAMPLE.COM = {\nkdc = "+k.Addr()+"\n}\n"), 0o600))
	require.NoError(t, ask(t, c, user("ann", "s3cret")))
}

// A ticket-granting ticket that the KDC no longer takes makes room for another.
func TestTicketThatTheKDCRefusesIsForgotten(t *testing.T) {
	k := startKDC(t, kdc.Config{Principals: []kdc.Principal{{Name: "HTTP/other.example.com"}}})
	c := newClient(t, k)
	ann := user("ann", "s3cret")
	require.NoError(t, ask(t, c, ann))
	k.SetPassword("krbtgt/"+k.Realm(), "new")
	other := func() error {
		_, err := c.Ticket(t.Context(), ann, "HTTP/other.example.com", "")
		return err
	}
	err := other()
	require.ErrorIs(t, err, krb.ErrKDC, "one that was issued a moment ago is not replaced")
	require.NotErrorIs(t, err, krb.ErrTicketExpired, "which kinit would not mend")
	c.Age(time.Minute)
	require.NoError(t, other())
	require.Equal(t, 2, k.Counts("ann").TGTs)

	config := configOf(t, k)
	config.CacheName = write(t, "cc", string(cacheOf(t, k, kdc.CCache{})))
	k.SetPassword("krbtgt/"+k.Realm(), "newer")
	require.ErrorIs(t, ask(t, krb.NewClient(config), krb.User{}), krb.ErrTicketExpired, "kinit gets another one")
}
