package krb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

// bubble runs f in fake time, with a client of k.
func bubble(t *testing.T, k *kdc.KDC, a answer, f func(t *testing.T, c *krb.Client)) {
	t.Helper()
	cfg := configOf(t, k)
	cfg.Dial = piped(k, a)
	synctest.Test(t, func(t *testing.T) { f(t, krb.NewClient(cfg)) })
}

// A directory may have to ask another one, over a slow line.
func TestVerdictThatIsLateIsWaitedFor(t *testing.T) {
	for _, delay := range []time.Duration{6 * time.Second, 29 * time.Second} {
		k := startKDC(t, kdc.Config{})
		late := toProof(func(conn net.Conn, _, reply []byte) {
			time.Sleep(delay)
			send(conn, reply)
		})
		bubble(t, k, late, func(t *testing.T, c *krb.Client) {
			require.NoError(t, ask(t, c, user("ann", "s3cret")))
			for range 3 {
				require.ErrorIs(t, ask(t, c, user("ann", "wrong")), krb.ErrPasswordWrong)
			}
			require.Equal(t, 1, k.Counts("ann").PreauthFailed)
		})
	}
}

func TestPasswordWithoutAVerdictIsHeldBack(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		answer answer
		want   error
	}{
		{"no answer", neverAnswer, krb.ErrNoVerdict},
		{"hanging up", hangUp, krb.ErrNoVerdict},
		{"half an answer", func(conn net.Conn, _, reply []byte) { conn.Write([]byte{0, 0, 1, 0, reply[0]}) }, krb.ErrNoVerdict},
		{"garbage", func(conn net.Conn, _, _ []byte) { send(conn, []byte("HTTP/1.1 400")) }, krb.ErrMalformedReply},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			k := startKDC(t, kdc.Config{})
			bubble(t, k, toProof(tc.answer), func(t *testing.T, c *krb.Client) {
				requireHeld := func(failures int) {
					t.Helper()
					err := ask(t, c, user("ann", "wrong"))
					require.ErrorIs(t, err, tc.want)
					require.True(t, krb.SecretHeld(err))
					require.False(t, krb.SecretRefused(err))
					require.NotContains(t, err.Error(), "ann")
					require.NotContains(t, err.Error(), "wrong")
					require.Equal(t, failures, k.Counts("ann").PreauthFailed)
				}
				requireHeld(1)
				failures := 1
				for _, seconds := range []time.Duration{10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800} {
					asked := k.Total().ASRequests
					requireHeld(failures)
					time.Sleep(seconds*time.Second - 1)
					requireHeld(failures)
					require.Equal(t, asked, k.Total().ASRequests, "nothing is sent")
					time.Sleep(time.Nanosecond)
					failures++
					requireHeld(failures)
				}
				c.Forget()
				requireHeld(failures + 1)
			})
		})
	}
}

// An error that does not say whether the password is right may have been counted. It
// holds back the proof, and no other use of the password.
func TestOtherErrorsOfAProofPause(t *testing.T) {
	for _, tc := range []struct {
		code   byte
		want   error
		proofs int // in 25 s
	}{
		{12, krb.ErrKDC, 2},       // policy
		{14, krb.ErrEncType, 2},   // encryption type
		{25, krb.ErrKDC, 2},       // more pre-authentication
		{60, krb.ErrKDC, 2},       // anything
		{37, krb.ErrClockSkew, 2}, // clocks, or so says whoever answers
	} {
		t.Run(fmt.Sprint("error ", tc.code), func(t *testing.T) {
			k := startKDC(t, kdc.Config{})
			proofs := 0
			coded := toProof(func(conn net.Conn, _, reply []byte) {
				proofs++
				send(conn, bytes.Replace(reply, []byte{0xa6, 3, 2, 1, 24}, []byte{0xa6, 3, 2, 1, tc.code}, 1))
			})
			bubble(t, k, coded, func(t *testing.T, c *krb.Client) {
				for range 5 {
					err := ask(t, c, user("ann", "wrong"))
					require.ErrorIs(t, err, tc.want)
					require.ErrorContains(t, err, fmt.Sprintf("error %d", tc.code))
					require.False(t, krb.SecretHeld(err))
					require.False(t, krb.SecretRefused(err))
					time.Sleep(5 * time.Second)
				}
				require.Equal(t, tc.proofs, proofs)
			})
		})
	}
}

func TestNoVerdictIsToldInWords(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	bubble(t, k, toProof(neverAnswer), func(t *testing.T, c *krb.Client) {
		start := time.Now()
		err := ask(t, c, user("ann", "wrong"))
		require.Equal(t, 30*time.Second, time.Since(start))
		require.ErrorIs(t, err, krb.ErrKDCUnreachable)
		require.ErrorContains(t, err, "not sent again for a while")
		require.ErrorContains(t, err, "realm EXAMPLE.COM: "+k.Addr()+": no answer within 30s")
	})
}

// While a proof is on its way, a caller that does not share its call sends no other.
func TestProofOnItsWayIsTheOnlyOne(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	bubble(t, k, toProof(neverAnswer), func(t *testing.T, c *krb.Client) {
		first := make(chan error)
		go func() { first <- ask(t, c, user("ann", "wrong")) }()
		synctest.Wait()
		c.DropIdentities()
		require.ErrorIs(t, ask(t, c, user("ann", "wrong")), krb.ErrNoVerdict)
		require.ErrorIs(t, <-first, krb.ErrNoVerdict)
		require.Equal(t, 1, k.Counts("ann").PreauthFailed)
	})
}

func TestVerdictEndsTheDoubling(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	lose := true
	a := toProof(func(conn net.Conn, _, reply []byte) {
		if !lose {
			send(conn, reply)
		}
	})
	bubble(t, k, a, func(t *testing.T, c *krb.Client) {
		ann := user("ann", "s3cret")
		for range 2 {
			lose = true
			require.ErrorIs(t, ask(t, c, ann), krb.ErrNoVerdict)
			lose = false
			require.ErrorIs(t, ask(t, c, ann), krb.ErrNoVerdict)
			time.Sleep(10 * time.Second)
			require.NoError(t, ask(t, c, ann))
			c.DropIdentities()
		}
	})
}

// A KDC that is gone when the proof is to be sent has not seen it.
func TestProofThatIsNotSentIsNotHeldBack(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	cfg := configOf(t, k)
	dialled := 0
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dialled++; dialled > 1 && dialled < 100 {
			return nil, errors.New("connection refused")
		}
		return piped(k, plainly)(ctx, network, address)
	}
	synctest.Test(t, func(t *testing.T) {
		c := krb.NewClient(cfg)
		err := ask(t, c, user("ann", "s3cret"))
		require.ErrorIs(t, err, krb.ErrKDCUnreachable)
		require.NotErrorIs(t, err, krb.ErrNoVerdict)
		require.False(t, krb.SecretHeld(err))
		dialled = 100
		time.Sleep(200 * time.Millisecond)
		require.NoError(t, ask(t, c, user("ann", "s3cret")))
	})
}

// An account that is locked says nothing of the password, and may be unlocked.
func TestAccountThatIsNotToBeUsed(t *testing.T) {
	for _, tc := range []struct {
		desc string
		lock func(k *kdc.KDC, locked bool)
		want error
	}{
		{"locked", func(k *kdc.KDC, locked bool) { k.Lock("ann", locked) }, krb.ErrRevoked},
		{"with an expired password", func(k *kdc.KDC, locked bool) { k.Expire("ann", locked) }, krb.ErrPasswordOld},
		{"expired", func(k *kdc.KDC, locked bool) {
			k.Refuse("ann", map[bool]int32{true: 1}[locked])
		}, krb.ErrRevoked},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			k := startKDC(t, kdc.Config{})
			bubble(t, k, plainly, func(t *testing.T, c *krb.Client) {
				tc.lock(k, true)
				for asked, pause := range []time.Duration{10 * time.Second, 20 * time.Second} {
					for range 5 {
						err := ask(t, c, user("ann", "s3cret"))
						require.ErrorIs(t, err, tc.want)
						require.False(t, krb.SecretRefused(err))
						require.True(t, krb.SecretHeld(err))
						require.Equal(t, asked+1, k.Total().ASRequests)
					}
					time.Sleep(pause)
				}
				tc.lock(k, false)
				require.NoError(t, ask(t, c, user("ann", "s3cret")))
			})
		})
	}
}

// What the KDC says of a password that was proved to it is about the password. An account
// is unlocked at some time.
func TestAccountThatIsLockedByTheProof(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	proofs := 0
	locked := toProof(func(conn net.Conn, request, _ []byte) {
		proofs++
		k.Lock("ann", true)
		send(conn, k.Answer(request))
		k.Lock("ann", false)
	})
	bubble(t, k, locked, func(t *testing.T, c *krb.Client) {
		for i := range 3 {
			for range 5 {
				err := ask(t, c, user("ann", "s3cret"))
				require.ErrorIs(t, err, krb.ErrRevoked)
				require.True(t, krb.SecretRefused(err))
				require.Equal(t, i+1, proofs)
			}
			time.Sleep(30 * time.Minute << i)
		}
	})
}

// What becomes of the keytab's key is no matter of the password's.
func TestKeytabIsHeldBack(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	cfg := configOf(t, k)
	cfg.KeytabName = write(t, "keytab", string(k.Keytab("ann")))
	cfg.Dial = piped(k, toProof(hangUp))
	synctest.Test(t, func(t *testing.T) {
		c := krb.NewClient(cfg)
		for range 3 {
			err := ask(t, c, krb.User{})
			require.ErrorIs(t, err, krb.ErrNoVerdict)
			require.False(t, krb.SecretHeld(err))
			require.Equal(t, 2, k.Total().ASRequests)
		}
		time.Sleep(10 * time.Second)
		require.ErrorIs(t, ask(t, c, krb.User{}), krb.ErrNoVerdict)
		require.Equal(t, 4, k.Total().ASRequests)
	})
}

// Whatever the KDC says to a proof, if that brings no ticket it is not repeated at once. But a
// code that says nothing of the password does not keep it from the proxy.
func TestProofThatBringsNoTicket(t *testing.T) {
	for row, code := range []int32{9, 12, 14, 16, 25, 37, 60, 68, 91, 127, 999} {
		for _, keytab := range sample.Of(row, []bool{false, true}) {
			t.Run(fmt.Sprintf("%d, keytab: %t", code, keytab), func(t *testing.T) {
				k := startKDC(t, kdc.Config{})
				cfg := configOf(t, k)
				who := user("ann", "s3cret")
				if keytab {
					cfg.KeytabName, who = write(t, "keytab", string(k.Keytab("ann"))), krb.User{}
				}
				proofs := 0
				cfg.Dial = piped(k, toProof(func(conn net.Conn, request, _ []byte) {
					proofs++
					k.Refuse("ann", code)
					send(conn, k.Answer(request))
					k.Refuse("ann", 0)
				}))
				synctest.Test(t, func(t *testing.T) {
					c := krb.NewClient(cfg)
					for i, pause := range []time.Duration{10, 20, 40} {
						for range 20 {
							err := ask(t, c, who)
							require.Error(t, err)
							require.False(t, krb.SecretRefused(err))
							require.False(t, krb.SecretHeld(err))
							require.Equal(t, time.Now().Add(pause*time.Second), krb.RetryOf(err))
							require.Equal(t, i+1, proofs)
						}
						time.Sleep(pause * time.Second)
					}
				})
			})
		}
	}
}

// So is a ticket that takes no proof.
func TestTicketWithoutProofEndsTheDoubling(t *testing.T) {
	k := startKDC(t, kdc.Config{Principals: []kdc.Principal{{Name: "bob", Password: "pa55", NoPreauth: true}}})
	bubble(t, k, plainly, func(t *testing.T, c *krb.Client) {
		for range 2 {
			k.Lock("bob", true)
			require.ErrorIs(t, ask(t, c, user("bob", "pa55")), krb.ErrRevoked)
			k.Lock("bob", false)
			time.Sleep(10 * time.Second)
			require.NoError(t, ask(t, c, user("bob", "pa55")))
			c.DropIdentities()
		}
	})
}

// A verdict that comes when nobody waits any more is a verdict.
func TestVerdictAfterTheRequestCounts(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	slow := toProof(func(conn net.Conn, _, reply []byte) {
		time.Sleep(3 * time.Second)
		send(conn, reply)
	})
	bubble(t, k, slow, func(t *testing.T, c *krb.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Ticket(ctx, user("ann", "wrong"), proxySPN, "")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = c.Ticket(t.Context(), user("ann", "wrong"), "HTTP/other.example.com", "")
		require.ErrorIs(t, err, krb.ErrPasswordWrong)
		require.Equal(t, 1, k.Counts("ann").PreauthFailed)
	})
}

// What a KDC says of a proof that was under way when the secrets were forgotten is about the time
// before: the account may have been unlocked meanwhile, or the password set.
func TestVerdictFromBeforeForgetIsForgotten(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		answer func(reply []byte) []byte
		want   error
	}{
		{"refused", func(reply []byte) []byte { return reply }, krb.ErrPasswordWrong},
		{"revoked", func([]byte) []byte { return krbError(18) }, krb.ErrRevoked},
		{"another error", func([]byte) []byte { return krbError(60) }, krb.ErrKDC},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			k := startKDC(t, kdc.Config{})
			k.SetPassword("ann", "old")
			late := toProof(func(conn net.Conn, _, reply []byte) {
				time.Sleep(5 * time.Second)
				send(conn, tc.answer(reply))
			})
			bubble(t, k, late, func(t *testing.T, c *krb.Client) {
				var first sync.WaitGroup
				first.Go(func() { require.ErrorIs(t, ask(t, c, user("ann", "s3cret")), tc.want) })
				time.Sleep(time.Second)
				k.SetPassword("ann", "s3cret")
				c.Forget()
				first.Wait()
				tc.answer = func(reply []byte) []byte { return reply }
				require.NoError(t, ask(t, c, user("ann", "s3cret")))
			})
		})
	}
}

// A program that finds ever new passwords to try locks the account as well.
func TestRefusedPasswordsOfAUserPause(t *testing.T) {
	k := startKDC(t, kdc.Config{Principals: []kdc.Principal{{Name: "bob", Password: "s3cret"}}})
	bubble(t, k, toProof(func(conn net.Conn, _, reply []byte) { send(conn, reply) }), func(t *testing.T, c *krb.Client) {
		n := 0
		refuse := func() {
			t.Helper()
			n++
			err := ask(t, c, user("ann", fmt.Sprint("wrong", n)))
			require.ErrorIs(t, err, krb.ErrPasswordWrong)
			require.True(t, krb.SecretRefused(err))
			require.Equal(t, n, k.Counts("ann").PreauthFailed)
		}
		for range 3 {
			refuse()
		}
		for _, pause := range []time.Duration{time.Second, 4 * time.Second, 16 * time.Second, 64 * time.Second} {
			for range 10 {
				err := ask(t, c, user("ann", "another"))
				require.ErrorIs(t, err, krb.ErrPasswordWrong)
				require.True(t, krb.SecretHeld(err))
				require.False(t, krb.SecretRefused(err))
			}
			require.NoError(t, ask(t, c, user("bob", "s3cret")), "another user's")
			time.Sleep(pause)
			refuse()
		}
		time.Sleep(time.Hour)
		require.NoError(t, ask(t, c, user("ann", "s3cret")))
		for range 2 {
			refuse()
		}
	})
}

// However many there are at once: three may be refused before any verdict is known.
func TestPasswordsOfAUserAtOncePause(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	slow := toProof(func(conn net.Conn, _, reply []byte) {
		time.Sleep(2 * time.Second)
		send(conn, reply)
	})
	bubble(t, k, slow, func(t *testing.T, c *krb.Client) {
		for _, most := range []int{3, 4} {
			errs, _ := crowd(t, 20, func(i int) error { return ask(t, c, user("ann", fmt.Sprint("wrong", most, i))) })
			heldBack := 0
			for _, err := range errs {
				if krb.SecretHeld(err) {
					heldBack++
				} else {
					require.ErrorIs(t, err, krb.ErrPasswordWrong)
				}
			}
			require.Equal(t, most, k.Counts("ann").PreauthFailed)
			require.Equal(t, 20, heldBack+map[int]int{3: 3, 4: 1}[most])
			time.Sleep(time.Second)
		}
		time.Sleep(time.Hour)
		require.NoError(t, ask(t, c, user("ann", "s3cret")))
	})
}
