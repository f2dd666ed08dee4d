package credentials

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials/internal/memo"
	"github.com/go-proxyauth/proxyauth/internal/onecall"
)

// Cached is a provider that remembers the answers of another one, for each proxy,
// user info and realm. It is for sources that are slow or that ask a person, and
// can be shared by several Transports.
//
// While it knows nothing, one request asks the source, and those that want the
// same wait for it, each no longer than its own context; the last one that gives up
// leaves the source a second to end. A source that goes on after that is asked by the next
// request all the same, beside the call that hangs. An answer is forgotten when it expires, when
// MaxAge has passed, and when it has been refused: then the source is asked again,
// once for all that wait, and a different answer is tried at once. The source is
// asked as well if the answer is in doubt ([proxyauth.CredentialsRequest.Doubted]).
// Errors are not remembered. The source, if it is
// a [proxyauth.CredentialsObserver], is told what became of its answers.
//
// The auth-scheme makes no difference: a source whose answer depends on it must
// not be cached. A Cached must not be copied after first use.
type Cached struct {
	// Source is the provider that is asked.
	Source proxyauth.CredentialsProvider

	// MaxAge is how long an answer is remembered. Zero means until it expires
	// or is refused.
	MaxAge time.Duration

	calls   onecall.Group[question, cachedAnswer]
	answers memo.Table[cachedAnswer]
}

// callOptions give a source whose requests have ended a second to end: it may have a
// helper to stop.
var callOptions = onecall.Options{Linger: time.Second, Abandon: time.Second}

// A question is one that the source is asked by one request at a time: it may ask a person,
// unless the answer is doubted.
type question struct {
	key     memo.Key
	doubted bool
}

type cachedAnswer struct {
	credentials proxyauth.Credentials
	forget      time.Time // when the cache must ask again, zero if never
}

// fresh reports whether a may be given at now. The monotonic clock may have stood still
// while the computer slept, and the wall clock may have been set.
func (a cachedAnswer) fresh(now time.Time) bool {
	before := func(t time.Time) bool { return t.IsZero() || now.Before(t) && now.Round(0).Before(t) }
	return before(a.credentials.Expires) && before(a.forget)
}

// Credentials implements [proxyauth.CredentialsProvider].
func (c *Cached) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	if err := ended(ctx); err != nil {
		return proxyauth.Credentials{}, err
	}
	if a, found := c.remembered(req); found {
		return a.credentials, nil
	}
	for {
		var own atomic.Bool
		a, err := c.calls.Do(ctx, question{memo.Question(req), req.Doubted}, callOptions, func(ctx context.Context) (cachedAnswer, error) {
			own.Store(true)
			return c.ask(ctx, req)
		})
		if err != nil || own.Load() || !memo.Contains(req.Rejected, a.credentials) {
			return a.credentials, err
		}
		// The answer to a request that does not know of the refusal, of another Transport.
	}
}

func (c *Cached) remembered(req *proxyauth.CredentialsRequest) (cachedAnswer, bool) {
	a, found := c.answers.Get(memo.Question(req))
	return a, found && !req.Doubted && a.fresh(time.Now()) && !memo.Contains(req.Rejected, a.credentials)
}

func (c *Cached) ask(ctx context.Context, req *proxyauth.CredentialsRequest) (cachedAnswer, error) {
	if c.Source == nil {
		return cachedAnswer{}, errors.New("proxyauth: cached credentials: no Source is given")
	}
	// A call that has just ended may have answered meanwhile.
	if a, found := c.remembered(req); found {
		return a, nil
	}
	answer, err := c.Source.Credentials(ctx, req)
	if err != nil {
		return cachedAnswer{}, err
	}
	a := cachedAnswer{credentials: answer}
	if c.MaxAge > 0 {
		a.forget = time.Now().Add(c.MaxAge)
	}
	if !memo.Contains(req.Rejected, answer) {
		c.answers.Put(memo.Question(req), a)
	}
	return a, nil
}

// Accepted implements [proxyauth.CredentialsObserver].
func (c *Cached) Accepted(ctx context.Context, req *proxyauth.CredentialsRequest, answer proxyauth.Credentials) {
	accepted(ctx, c.Source, req, answer)
}

// Rejected implements [proxyauth.CredentialsObserver].
func (c *Cached) Rejected(ctx context.Context, req *proxyauth.CredentialsRequest, answer proxyauth.Credentials) {
	c.answers.Delete(memo.Question(req), func(a cachedAnswer) bool {
		return memo.Same(a.credentials, answer)
	})
	rejected(ctx, c.Source, req, answer)
}

// String returns the source's name.
func (c *Cached) String() string {
	if c.Source == nil {
		return "cached credentials"
	}
	return nameOf(c.Source)
}
