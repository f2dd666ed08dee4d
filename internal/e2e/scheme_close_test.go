package e2e_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A closing scheme has sessions that must be closed once.
type closingScheme struct {
	proxyauth.Scheme
	open, twice *atomic.Int64
}

type closingSession struct {
	proxyauth.Session
	s      closingScheme
	closed atomic.Bool
}

func (s closingScheme) Properties() proxyauth.SchemeProperties {
	return s.Scheme.(proxyauth.Describer).Properties()
}

func (s closingScheme) NewSession(ctx context.Context, ex proxyauth.Exchange) (proxyauth.Session, error) {
	if c, ok := ex.Accepted.(interface{ inner() proxyauth.Session }); ok {
		ex.Accepted = c.inner()
	}
	in, err := s.Scheme.NewSession(ctx, ex)
	if err != nil {
		return nil, err
	}
	s.open.Add(1)
	c := &closingSession{Session: in, s: s}
	if cont, ok := in.(proxyauth.Continuer); ok {
		return struct {
			*closingSession
			goesOn
		}{c, contOf{cont}}, nil
	}
	return c, nil
}

type goesOn interface {
	Continue(ctx context.Context, c []proxyauth.Challenge) (proxyauth.Next, error)
}

type contOf struct{ in proxyauth.Continuer }

func (c contOf) Continue(ctx context.Context, ch []proxyauth.Challenge) (proxyauth.Next, error) {
	return c.in.Continue(ctx, ch)
}

func (c *closingSession) inner() proxyauth.Session { return c.Session }

func (c *closingSession) Close() error {
	if c.closed.Swap(true) {
		c.s.twice.Add(1)
	}
	c.s.open.Add(-1)
	return nil
}

// Sessions are closed once.
func TestSessionsAreClosedOnce(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{password, wrongPassword} {
		for desc, fault := range map[string]testproxy.Fault{
			"none":    nil,
			"dropped": testproxy.OnLeg(isCompleting, testproxy.DropAt(testproxy.OnRequest)),
			"bad":     testproxy.OnLeg(isCompleting, &testproxy.Action{Status: 502}),
		} {
			eachScheme(t, fmt.Sprint(desc, secret), func(t testing.TB, m testproxy.Mechanism, w way) {
				l, _ := newCaseLab(t, secret, m)
				var open, twice atomic.Int64
				for i, s := range l.rt.Schemes {
					if _, ok := s.(proxyauth.Describer); ok {
						l.rt.Schemes[i] = closingScheme{s, &open, &twice}
					}
				}
				l.proxy.SetFault(fault)
				for range 5 {
					_ = w.reach(t.Context(), l.rt, originHost)
					l.hangUp()
				}
				for i := range 10 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
					_ = w.reach(ctx, l.rt, originHost)
					cancel()
				}
				l.rt.Reset()
				l.hangUp()
				time.Sleep(2 * time.Minute)
				require.Zero(t, twice.Load())
				require.Zero(t, open.Load())
			})
		}
	}
}
