package krb_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

// hermetic keeps what is configured on the machine out.
func hermetic(t testing.TB) {
	t.Helper()
	missing := filepath.Join(t.TempDir(), "missing")
	t.Setenv("KRB5CCNAME", "FILE:"+missing)
	t.Setenv("KRB5_CLIENT_KTNAME", "")
	t.Setenv("KRB5_CONFIG", os.DevNull+"missing")
}

func user(name, password string) krb.User {
	return krb.User{Name: name, Password: func() string { return password }}
}

// configOf is a configuration in code alone.
func configOf(t testing.TB, k *kdc.KDC) krb.Config {
	hermetic(t)
	conf := write(t, "krb5.conf", "")
	return krb.Config{
		Realm: k.Realm(), KDCs: []string{k.Addr()}, ConfFile: conf,
		Sources: []krb.Source{krb.TicketCache, krb.Keytab, krb.Password},
	}
}

func newClient(t *testing.T, k *kdc.KDC) *krb.Client { return krb.NewClient(configOf(t, k)) }

func ask(t testing.TB, c *krb.Client, u krb.User) error {
	t.Helper()
	_, err := c.Ticket(t.Context(), u, proxySPN, "proxy.example.com")
	scanned.Error(t.Name(), err)
	return err
}

func TestPassword(t *testing.T) {
	for _, tc := range []struct {
		desc      string
		user      string
		principal kdc.Principal
	}{
		{"as usual", "bob", kdc.Principal{Name: "bob", Password: "s3cret"}},
		{"with the realm", "bob@example.com", kdc.Principal{Name: "bob", Password: "s3cret"}},
		{"with a salt of its own", "bob", kdc.Principal{Name: "bob", Password: "s3cret", Salt: "pepper"}},
		{"without pre-authentication", "bob", kdc.Principal{Name: "bob", Password: "s3cret", NoPreauth: true}},
		{"AES with SHA-2", "bob", kdc.Principal{Name: "bob", Password: "s3cret", Enctypes: []int32{kdc.AES256SHA2}}},
		{"AES with 128 bits", "bob", kdc.Principal{Name: "bob", Password: "s3cret", Enctypes: []int32{kdc.AES128SHA1}}},
		{"not in ASCII", "jörg", kdc.Principal{Name: "jörg", Password: "s3cret"}},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			for _, iterations := range []int{0, -1} { // that the KDC names, or the default
				k := startKDC(t, kdc.Config{Iterations: iterations, Principals: []kdc.Principal{tc.principal}})
				require.NoError(t, ask(t, newClient(t, k), user(tc.user, "s3cret")))
				require.Zero(t, k.Total().PreauthFailed)
			}
		})
	}
}

func TestColdRequestsShareOneExchange(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	c := newClient(t, k)
	var wg sync.WaitGroup
	errs := make([]error, 1000)
	for i := range errs {
		wg.Go(func() { errs[i] = ask(t, c, user("ann", "s3cret")) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.NoError(t, ask(t, c, user("ann", "s3cret")))
	require.Equal(t, kdc.Counts{ASRequests: 2, PreauthRequired: 1, TGTs: 1, TGSRequests: 1, ServiceTickets: 1}, k.Counts("ann"))
}

func TestWrongPasswordIsSentOnce(t *testing.T) {
	k := startKDC(t, kdc.Config{MaxFailures: 3})
	c := newClient(t, k)
	var wg sync.WaitGroup
	errs := make([]error, 100)
	for i := range errs {
		wg.Go(func() { errs[i] = ask(t, c, user("ann", "wrong")) })
	}
	wg.Wait()
	for _, err := range errs {
		require.ErrorIs(t, err, krb.ErrPasswordWrong)
		require.True(t, krb.SecretRefused(err))
		require.NotContains(t, err.Error(), "ann")
	}
	require.Equal(t, 1, k.Counts("ann").PreauthFailed)
	require.Error(t, ask(t, c, user("ann", "wrong as well")))
	require.Equal(t, 2, k.Counts("ann").PreauthFailed)
	require.NoError(t, ask(t, c, user("ann", "s3cret")))

	c.Forget()
	require.Error(t, ask(t, c, user("ann", "wrong")))
	require.Equal(t, 3, k.Total().PreauthFailed)
}

// A request that gives up must not make the next one send the password again.
func TestWrongPasswordIsSentOnceThoughNobodyWaits(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	c := newClient(t, k)
	for range 3 {
		hold := k.Hold()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := c.Ticket(ctx, user("ann", "wrong"), proxySPN, "")
			done <- err
		}()
		select {
		case <-hold.Arrived():
			cancel()
		case err := <-done:
			require.ErrorIs(t, err, krb.ErrPasswordWrong)
			cancel()
			hold.Release()
			continue
		}
		require.ErrorIs(t, <-done, context.Canceled)
		hold.Release()
		require.ErrorIs(t, ask(t, c, user("ann", "wrong")), krb.ErrPasswordWrong)
	}
	require.Equal(t, 1, k.Counts("ann").PreauthFailed)
}

func TestFailuresAreToldApart(t *testing.T) {
	for _, tc := range []struct {
		desc    string
		prepare func(k *kdc.KDC)
		user    krb.User
		want    error
		refused bool // the password
	}{
		{"an unknown user", nil, user("nobody", "s3cret"), krb.ErrClientUnknown, false},
		{"an unknown service", func(k *kdc.KDC) { k.Remove(proxySPN) }, user("ann", "s3cret"), krb.ErrServiceUnknown, false},
		{"clocks apart", func(k *kdc.KDC) { k.SetClockOffset(time.Hour) }, user("ann", "s3cret"), krb.ErrClockSkew, false},
		{"an expired password", func(k *kdc.KDC) { k.Expire("ann", true) }, user("ann", "s3cret"), krb.ErrPasswordOld, false},
		{"a locked account", func(k *kdc.KDC) { k.Lock("ann", true) }, user("ann", "s3cret"), krb.ErrRevoked, false},
		{"a wrong password", nil, user("ann", "wrong"), krb.ErrPasswordWrong, true},
		{"no common encryption type", func(k *kdc.KDC) { k.Refuse("ann", 14) }, user("ann", "s3cret"), krb.ErrEncType, false},
		{"a policy", func(k *kdc.KDC) { k.Refuse("ann", 12) }, user("ann", "s3cret"), krb.ErrKDC, false},
		{"a KDC that is overloaded", func(k *kdc.KDC) { k.Refuse("ann", 29) }, user("ann", "s3cret"), krb.ErrKDCUnreachable, false},
		{"a KDC that hangs up", func(k *kdc.KDC) { k.SetFault(kdc.HangUp) }, user("ann", "s3cret"), krb.ErrKDCUnreachable, false},
		{"garbage", func(k *kdc.KDC) { k.SetFault(kdc.Garbage) }, user("ann", "s3cret"), krb.ErrMalformedReply, false},
		{"no user", nil, krb.User{}, krb.ErrNoTicket, false},
		{"no password", nil, user("ann", ""), krb.ErrNoTicket, false},
		{"another realm", nil, user("ann@LAB.EXAMPLE.COM", "s3cret"), krb.ErrNoKDC, false},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			k := startKDC(t, kdc.Config{})
			if tc.prepare != nil {
				tc.prepare(k)
			}
			c := configOf(t, k)
			require.NoError(t, os.WriteFile(c.ConfFile, []byte("[libdefaults]\ndns_lookup_kdc = no\n"), 0o600))
			c.Dial = k.Dial
			synctest.Test(t, func(t *testing.T) {
				err := ask(t, krb.NewClient(c), tc.user)
				require.ErrorIs(t, err, tc.want)
				require.Equal(t, tc.refused, krb.SecretRefused(err))
				require.NotContains(t, err.Error(), "s3cret")
				t.Log(err)
			})
		})
	}
}

func TestDeadKDCIsGivenUpWithTheContext(t *testing.T) {
	for _, fault := range []kdc.Fault{kdc.Dead, kdc.Oversized} {
		k := startKDC(t, kdc.Config{})
		k.SetFault(fault)
		c := newClient(t, k)
		hold := k.Hold()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-hold.Arrived()
			hold.Release()
			cancel()
		}()
		_, err := c.Ticket(ctx, user("ann", "s3cret"), proxySPN, "")
		if fault == kdc.Oversized && !errors.Is(err, context.Canceled) {
			require.ErrorIs(t, err, krb.ErrKDCUnreachable)
			continue
		}
		require.ErrorIs(t, err, context.Canceled)
	}
}

func TestNextKDCIsTried(t *testing.T) {
	dead, alive := startKDC(t, kdc.Config{}), startKDC(t, kdc.Config{})
	require.NoError(t, dead.Down())
	cfg := configOf(t, alive)
	cfg.KDCs = []string{dead.Addr(), alive.Addr()}
	var dialled []string
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled = append(dialled, address)
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	require.NoError(t, ask(t, krb.NewClient(cfg), user("ann", "s3cret")))
	// Proof and TGS-REQ go straight to the KDC that answered.
	require.Equal(t, []string{dead.Addr(), alive.Addr(), alive.Addr(), alive.Addr()}, dialled)
}

func TestTicketsAreRenewedBeforeTheyEnd(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	bubble(t, k, plainly, func(t *testing.T, c *krb.Client) {
		ann := user("ann", "s3cret")
		require.NoError(t, ask(t, c, ann))
		time.Sleep(9 * time.Hour)
		require.NoError(t, ask(t, c, ann))
		synctest.Wait()
		require.Equal(t, 1, k.Counts("ann").TGTs, "an hour is left of ten")

		time.Sleep(56 * time.Minute)
		for range 3 {
			require.NoError(t, ask(t, c, ann))
			synctest.Wait()
			require.Equal(t, 2, k.Counts("ann").TGTs)
		}
		time.Sleep(9 * time.Hour)
		require.NoError(t, ask(t, c, ann))
		require.Equal(t, 2, k.Counts("ann").TGTs)
		require.Equal(t, 3, k.Counts("ann").ServiceTickets, "at first by the old TGT")
	})
}

// An old ticket is used for as long as it lasts, and the KDC is not asked again
// and again.
func TestFailedRenewalLeavesTheOldTicket(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	bubble(t, k, plainly, func(t *testing.T, c *krb.Client) {
		require.NoError(t, ask(t, c, user("ann", "s3cret")))
		time.Sleep(10*time.Hour - 4*time.Minute)
		k.SetPassword("ann", "another")
		for range 3 {
			require.NoError(t, ask(t, c, user("ann", "s3cret")))
			synctest.Wait()
			require.Equal(t, 1, k.Counts("ann").PreauthFailed)
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Minute)
		require.ErrorIs(t, ask(t, c, user("ann", "s3cret")), krb.ErrPasswordWrong)
		require.Equal(t, 1, k.Counts("ann").PreauthFailed)
	})
}

func TestIdleIdentitiesAreDestroyed(t *testing.T) {
	k := startKDC(t, kdc.Config{Principals: []kdc.Principal{{Name: "bob", Password: "pa55"}}})
	c := newClient(t, k)
	require.NoError(t, ask(t, c, user("ann", "s3cret")))
	require.Equal(t, 1, c.Idle(time.Hour))
	require.NoError(t, ask(t, c, user("bob", "pa55")))
	require.Equal(t, 1, c.Idle(0))
	require.NoError(t, ask(t, c, user("ann", "s3cret")))
	require.Equal(t, 2, k.Counts("ann").TGTs)
}
