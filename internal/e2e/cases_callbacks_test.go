package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// setFunc sets a field that is a func to one that calls f, with the context that it is
// given if there is one, and returns results.
func setFunc(field any, f func(ctx context.Context), results ...any) {
	v := reflect.ValueOf(field).Elem()
	v.Set(reflect.MakeFunc(v.Type(), func(args []reflect.Value) (values []reflect.Value) {
		ctx := context.Background()
		if given, ok := args[0].Interface().(context.Context); ok {
			ctx = given
		}
		f(ctx)
		for _, r := range results {
			values = append(values, reflect.ValueOf(r))
		}
		return values
	}))
}

// A callingHandler is a slog.Handler that calls a func for each line.
type callingHandler struct{ call func(context.Context) }

func (callingHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h callingHandler) Handle(ctx context.Context, _ slog.Record) error {
	h.call(ctx)
	return nil
}
func (h callingHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h callingHandler) WithGroup(string) slog.Handler      { return h }

// A callingWitness is a witness that calls funcs when it is told something.
type callingWitness struct {
	witness
	call func(context.Context)
}

func (w *callingWitness) Accepted(ctx context.Context, req *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	w.call(ctx)
	w.witness.Accepted(ctx, req, c)
}

func (w *callingWitness) Rejected(ctx context.Context, req *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	w.call(ctx)
	w.witness.Rejected(ctx, req, c)
}

// callbacks put a func into everything of a Transport that calls the program.
var callbacks = map[string]func(l *lab, call func(ctx context.Context)){
	"provider": func(l *lab, call func(ctx context.Context)) {
		l.rt.Credentials = proxyauth.CredentialsFunc(func(ctx context.Context, _ *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
			call(ctx)
			return credentialsOf(user, password), nil
		})
	},
	"observer": func(l *lab, call func(ctx context.Context)) {
		l.rt.Credentials = &callingWitness{witness{answer: always(password)}, call}
	},
	"observer of a refusal": func(l *lab, call func(ctx context.Context)) {
		l.rt.Credentials = &callingWitness{witness{answer: untilRejected(wrongPassword, password)}, call}
	},
	"AllowProxy": func(l *lab, call func(ctx context.Context)) { setFunc(&l.rt.AllowProxy, call, true) },
	"Logger":     func(l *lab, call func(ctx context.Context)) { l.rt.Logger = slog.New(callingHandler{call}) },
	"Trace": func(l *lab, call func(ctx context.Context)) {
		l.rt.Trace = new(proxyauth.Trace)
		for _, hook := range reflect.ValueOf(l.rt.Trace).Elem().Fields() {
			setFunc(hook.Addr().Interface(), call)
		}
	},
}

// A func that the Transport calls may use it: such a request waits for nobody.
func TestCallbacksMayUseTheTransport(t *testing.T) {
	t.Parallel()
	for desc, set := range callbacks {
		for _, scheme := range []string{"Basic", "NTLM"} {
			eachHolds(t, desc+", "+scheme, func(t testing.TB, w way) {
				l, _ := newCaseLab(t, password, mechanismOf(scheme))
				var busy, late atomic.Bool
				var called atomic.Int64
				set(l, func(ctx context.Context) {
					if !busy.CompareAndSwap(false, true) {
						return
					}
					defer busy.Store(false)
					called.Add(1)
					ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
					defer cancel()
					for _, nested := range ways {
						if err := nested.reach(ctx, l.rt, otherHost(0)); errors.Is(err, context.DeadlineExceeded) {
							late.Store(true)
						}
					}
				})
				start := time.Now()
				for _, err := range together(5, func(int) error {
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					return w.reach(ctx, l.rt, originHost)
				}) {
					require.NoError(t, err)
				}
				require.Positive(t, called.Load())
				require.False(t, late.Load(), "it waits for itself")
				require.LessOrEqual(t, time.Since(start), time.Second)
			})
		}
	}
}

// Nor does a provider recur without bound whose requests have ever new user infos.
func TestProviderDoesNotRecur(t *testing.T) {
	t.Parallel()
	eachHolds(t, "", func(t testing.TB, w way) {
		l, _ := newCaseLab(t, password, mechanismOf("Basic"))
		var n, depth, deepest atomic.Int64
		l.base.Proxy = func(*http.Request) (*url.URL, error) {
			return withUser(l.proxy.URL(), fmt.Sprint("user", n.Add(1)), ""), nil
		}
		l.rt.Credentials = proxyauth.CredentialsFunc(func(ctx context.Context, _ *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
			if now := depth.Add(1); now > deepest.Load() {
				deepest.Store(now)
			}
			defer depth.Add(-1)
			if depth.Load() < 20 {
				ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
				defer cancel()
				_ = w.reach(ctx, l.rt, originHost)
			}
			return credentialsOf(user, password), nil
		})
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		require.LessOrEqual(t, deepest.Load(), int64(2))
	})
}

// The caller's deadline holds, whatever a provider makes of its context.
func TestDeadlineHoldsWhateverTheProvider(t *testing.T) {
	t.Parallel()
	eachScheme(t, "", func(t testing.TB, m testproxy.Mechanism, w way) {
		l, _ := newCaseLab(t, password, m)
		l.rt.Credentials = proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
			time.Sleep(time.Minute)
			return credentialsOf(user, password), nil
		})
		for _, err := range together(5, func(int) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			err := w.reach(ctx, l.rt, originHost)
			if took := time.Since(start); took > time.Second {
				t.Errorf("it took %v", took)
			}
			return err
		}) {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		time.Sleep(2 * time.Minute)
	})
}
