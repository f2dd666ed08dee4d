package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A witness is a provider that gives the passwords of ann that answer returns, and
// remembers what it is asked and told.
type witness struct {
	answer func(*proxyauth.CredentialsRequest) (password string, err error)

	mu       sync.Mutex
	asked    []*proxyauth.CredentialsRequest
	accepted []string
	rejected []string
}

var _ proxyauth.CredentialsObserver = (*witness)(nil)

func (w *witness) Credentials(_ context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, req)
	password, err := w.answer(req)
	return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}, err
}

func (w *witness) Accepted(_ context.Context, _ *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accepted = append(w.accepted, c.Password.Reveal())
}

func (w *witness) Rejected(_ context.Context, _ *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rejected = append(w.rejected, c.Password.Reveal())
}

// always answers with one password.
func always(password string) func(*proxyauth.CredentialsRequest) (string, error) {
	return func(*proxyauth.CredentialsRequest) (string, error) { return password, nil }
}

// untilRejected answers with one password after the other, the next as soon as
// the proxy has refused one.
func untilRejected(passwords ...string) func(*proxyauth.CredentialsRequest) (string, error) {
	return func(req *proxyauth.CredentialsRequest) (string, error) {
		return passwords[min(len(req.Rejected), len(passwords)-1)], nil
	}
}

// untilDoubted answers with the first password until that is doubted, then with the second.
func untilDoubted(first, second string) func(*proxyauth.CredentialsRequest) (string, error) {
	doubted := false
	return func(req *proxyauth.CredentialsRequest) (string, error) {
		if doubted = doubted || req.Doubted; doubted {
			return second, nil
		}
		return first, nil
	}
}

// newWitnessedLab returns a lab whose Transport asks the witness.
func newWitnessedLab(t *testing.T, mechanism testproxy.Mechanism, answer func(*proxyauth.CredentialsRequest) (string, error)) (*lab, *witness) {
	l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{mechanism}})
	w := &witness{answer: answer}
	l.rt.Credentials = w
	return l, w
}

// failures returns how many wrong passwords of ann have reached the proxy.
func (l *lab) failures(mechanism testproxy.Mechanism) int {
	if m, ok := mechanism.(*testproxy.NTLM); ok {
		return m.Server.Failures(user)
	}
	return l.users.Failures(user)
}

// authMechanisms returns one of each kind.
func authMechanisms() []testproxy.Mechanism {
	return []testproxy.Mechanism{
		&testproxy.Basic{Realm: "lab"},
		&testproxy.Basic{Realm: "lab", Charset: true},
		&testproxy.Digest{Realm: "lab"},
		&testproxy.Digest{Realm: "lab", Algorithms: []string{"SHA-256-sess", "MD5"}, Stale: testproxy.StaleSquid},
		&testproxy.NTLM{},
	}
}

func requireCause(t testing.TB, want proxyauth.Cause, err error) *proxyauth.Error {
	t.Helper()
	e, ok := errors.AsType[*proxyauth.Error](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, want, e.Cause, "%v", e)
	scanned.Error(t.Name(), err)
	return e
}

// mixed returns the i-th of alternating ways.
func mixed(ways []way, i int) way { return ways[i%len(ways)] }

func TestWrongPasswordReachesTheProxyOnce(t *testing.T) {
	t.Parallel()
	for i, mechanism := range authMechanisms() {
		for _, tt := range sample.Of(i, []struct {
			desc string
			ways []way
		}{
			{"forwarded", []way{forwarded}},
			{"tunnelled", []way{tunnelled}},
			{"mixed", ways},
		}) {
			t.Run(fmt.Sprintf("%s %d %s", mechanism.Scheme(), i, tt.desc), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l, w := newWitnessedLab(t, mechanism, always("wrong"))
					before := l.failures(mechanism)
					attempt := func(i int) error { return mixed(tt.ways, i).reach(t.Context(), l.rt, originHost) }
					for _, err := range together(100, attempt) {
						e := requireCause(t, proxyauth.CauseCredentialsRejected, err)
						require.ErrorIs(t, e, proxyauth.ErrRejected)
						require.Equal(t, 407, e.Status)
					}
					require.Equal(t, before+1, l.failures(mechanism))
					require.Equal(t, []string{"wrong"}, w.rejected)

					// Nor later, be it that the provider is asked each time.
					l.tally()
					w.asked = nil
					for _, err := range together(10, attempt) {
						requireCause(t, proxyauth.CauseCredentialsRejected, err)
					}
					for leg := range l.tally() {
						require.Contains(t, []string{"GET 407", "CONNECT 407"}, leg, "nothing is sent but the question")
					}
					require.NotEmpty(t, w.asked)
					require.LessOrEqual(t, len(w.asked), 10, "those that wait share an answer")
					require.Len(t, w.asked[0].Rejected, 1)
					require.Equal(t, user, w.asked[0].Rejected[0].Username)
					require.Equal(t, "wrong", w.asked[0].Rejected[0].Password.Reveal())
					require.Equal(t, []string{"wrong"}, w.rejected)
					require.Empty(t, w.accepted)
				})
			})
		}
	}
}

// A provider that answers differently after a refusal is taken at its word at
// once, within the request.
func TestAnotherPasswordIsTriedAtOnce(t *testing.T) {
	t.Parallel()
	for i, mechanism := range authMechanisms() {
		for _, way := range ways {
			t.Run(fmt.Sprintf("%s %d %s", mechanism.Scheme(), i, way.desc), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l, w := newWitnessedLab(t, mechanism, untilRejected("wrong", password))
					before := l.failures(mechanism)
					require.NoError(t, way.reach(t.Context(), l.rt, originHost))
					synctest.Wait() // the observer is told beside the request
					require.Equal(t, before+1, l.failures(mechanism))
					require.Len(t, w.asked, 2)
					require.Empty(t, w.asked[0].Rejected)
					require.Len(t, w.asked[1].Rejected, 1)
					require.Equal(t, mechanism.Scheme(), w.asked[1].Scheme)

					require.NoError(t, errors.Join(together(20, func(int) error { return way.reach(t.Context(), l.rt, originHost) })...))
					synctest.Wait()
					require.Len(t, w.asked, 2, "what works is remembered")
					require.Equal(t, []string{"wrong"}, w.rejected)
					require.Equal(t, []string{password}, w.accepted)
					require.Equal(t, before+1, l.failures(mechanism))
				})
			})
		}
	}
}

// One request tries so many passwords and no more, whatever the provider has.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	for _, mechanism := range authMechanisms() {
		for _, way := range ways {
			t.Run(mechanism.Scheme()+" "+way.desc, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := 0
					l, w := newWitnessedLab(t, mechanism, func(*proxyauth.CredentialsRequest) (string, error) {
						n++
						return fmt.Sprint("wrong", n), nil
					})
					before := l.failures(mechanism)
					requireCause(t, proxyauth.CauseCredentialsRejected, way.reach(t.Context(), l.rt, originHost))
					require.Equal(t, before+maxAnswers, l.failures(mechanism))
					synctest.Wait()
					require.Len(t, w.rejected, maxAnswers)
					for range 5 {
						way.reach(t.Context(), l.rt, originHost)
					}
					require.LessOrEqual(t, len(w.asked[len(w.asked)-1].Rejected), maxRefused)
				})
			})
		}
	}
}

func TestResetForgetsRefusals(t *testing.T) {
	t.Parallel()
	for _, mechanism := range authMechanisms() {
		if mechanism.Scheme() == "NTLM" {
			continue // whose users can't be changed
		}
		for _, way := range ways {
			t.Run(mechanism.Scheme()+" "+way.desc, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l, w := newWitnessedLab(t, mechanism, always("new"))
					requireCause(t, proxyauth.CauseCredentialsRejected, way.reach(t.Context(), l.rt, originHost))
					l.users.SetPassword(user, "new")
					requireCause(t, proxyauth.CauseCredentialsRejected, way.reach(t.Context(), l.rt, originHost))
					l.rt.Reset()
					require.NoError(t, way.reach(t.Context(), l.rt, originHost))
					synctest.Wait() // the observer is told beside the request
					require.Equal(t, []string{"new"}, w.rejected)
					require.Equal(t, []string{"new"}, w.accepted)
					require.Equal(t, 1, l.users.Failures(user))
				})
			})
		}
	}
}

// A password that is changed at the proxy while many requests are under way fails
// once for each of them at most, or twice where the first may have been out of date,
// and is then not sent again.
func TestPasswordChangesUnderLoad(t *testing.T) {
	t.Parallel()
	const workers = 32
	for row, mechanism := range authMechanisms() {
		if mechanism.Scheme() == "NTLM" {
			continue // whose connections stay authenticated
		}
		for _, way := range sample.Of(row, ways) {
			t.Run(mechanism.Scheme()+" "+way.desc, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var mu sync.Mutex
					current := password
					l, w := newWitnessedLab(t, mechanism, func(*proxyauth.CredentialsRequest) (string, error) {
						mu.Lock()
						defer mu.Unlock()
						return current, nil
					})
					l.base.MaxIdleConnsPerHost = workers
					request := func(int) error {
						time.Sleep(time.Millisecond)
						return way.reach(t.Context(), l.rt, originHost)
					}
					go func() {
						time.Sleep(10*time.Millisecond + time.Microsecond)
						l.users.SetPassword(user, "new")
					}()
					for range 20 {
						for _, err := range together(workers, request) {
							if err != nil {
								requireCauseNamed(t, "", err)
							}
						}
					}
					failures := l.users.Failures(user)
					require.Positive(t, failures)
					most := workers + 1
					if mechanism.Scheme() == "Digest" {
						most += workers // a nonce that the proxy has forgotten looks the same
					}
					require.LessOrEqual(t, failures, most, "requests under way")
					synctest.Wait()
					require.Subset(t, []string{password}, w.rejected)
					together(workers, request)
					require.Equal(t, failures, l.users.Failures(user))

					// And then at the provider.
					mu.Lock()
					current = "new"
					mu.Unlock()
					require.NoError(t, errors.Join(together(workers, request)...))
					require.Equal(t, failures, l.users.Failures(user))
					synctest.Wait() // the observer is told beside the requests
					require.Equal(t, []string{password, "new"}, w.accepted)
				})
			})
		}
	}
}

// A password that is changed at the proxy is not sent by the requests that wait for a
// connection while it is refused.
func TestChangedPasswordIsNotSentByThoseThatWaitForAConnection(t *testing.T) {
	t.Parallel()
	const waiting, most = 50, 4 // one is refused, and where Digest's nonce may be out of date answered once more
	change := func(t testing.TB, m testproxy.Mechanism, w way, prepare func(*lab)) {
		l, _ := newCaseLab(t, password, m)
		l.base.MaxConnsPerHost = 1
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		l.hangUp()
		l.users.SetPassword(user, "changed")
		l.proxy.SetFault(slowly(100 * time.Millisecond))
		prepare(l)
		for _, err := range together(waiting, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
			requireCauseNamed(t, "", err)
		}
		require.LessOrEqual(t, l.users.Failures(user), most)
	}
	for _, scheme := range []string{"Basic", "Digest"} { // NTLM's secret waits for no connection
		holds(t, scheme+", for one that others use", func(t testing.TB) {
			change(t, mechanismOf(scheme), forwarded, func(*lab) {})
		})
		eachHolds(t, scheme+", for the dial", func(t testing.TB, w way) {
			change(t, mechanismOf(scheme), w, func(l *lab) {
				var dials atomic.Int64
				dial := l.base.DialContext
				l.base.MaxConnsPerHost = 0
				l.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					if dials.Add(1) > 1 {
						time.Sleep(5 * time.Second)
					}
					return dial(ctx, network, addr)
				}
			})
		})
	}
}

// Requests that wait while a wrong password is tried ask the provider again when it is
// refused, together, and get through with the right one.
func TestWaitingRequestsAskAgainAfterARefusal(t *testing.T) {
	t.Parallel()
	eachMechanism(t, "", func(t *testing.T, m testproxy.Mechanism, w way) {
		l, p := newWitnessedLab(t, m, nil)
		p.answer = func(req *proxyauth.CredentialsRequest) (string, error) {
			time.Sleep(5 * time.Second) // a person
			if len(req.Rejected) == 0 {
				return wrongPassword, nil
			}
			return password, nil
		}
		require.NoError(t, errors.Join(together(10, func(int) error { return w.reach(t.Context(), l.rt, originHost) })...))
		require.Equal(t, 1, l.failures(m))
		require.Len(t, p.asked, 2)
	})
}
