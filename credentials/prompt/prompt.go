// Package prompt asks a person at the terminal for the credentials of a proxy.
package prompt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials/internal/memo"
	"github.com/go-proxyauth/proxyauth/internal/onecall"
)

// MaxAttempts is how often a person is asked for a proxy's password until one is
// accepted. Directories lock an account after about as many failures.
const MaxAttempts = 3

// ErrCancelled is wrapped by the error for a person who does not answer: presses
// Ctrl-C, Ctrl-D or Ctrl-\, or enters nothing.
var ErrCancelled = errors.New("proxyauth: prompt: cancelled by the user")

// Provider is a [proxyauth.CredentialsProvider] that asks on the terminal, for
// the user name if it is not known, and for the password, which is not echoed.
// It never asks on a pipe or file: it uses /dev/tty, on Windows the console, even
// if standard input is something else. Where there is none, or the shell runs the
// program in the background, it has no credentials.
//
// Requests that want the same at the same time cause one question. After a
// refusal it says so and asks again, at most MaxAttempts times until credentials
// have been accepted; then it has none. One that has been refused is not taken a
// second time. Put it into a [github.com/go-proxyauth/proxyauth/credentials.Cached]
// to share answers between Transports. If the proxy refuses credentials that have
// worked, the last answer is given once more before anybody is asked.
//
// When the context ends, and no other request waits for the same answer, the
// terminal is put back as it was before Credentials returns, unless that takes more
// than a second. (A request through a tunnel may end earlier than that, as net/http
// does not wait for a connection that is being made.) Where reading from a terminal
// can't be interrupted (Windows, and macOS for /dev/tty), a read that is pending
// then takes the next line typed.
//
// A signal that ends the program during a question, such as SIGTERM, does so when the
// terminal is as it was before. A program that handles the signal gets it twice.
//
// What can't be text, such as Esc, Tab, a cursor key or bytes that are not UTF-8, makes the
// answer an error, since without it the rest would be another answer. Backspace, Ctrl-U
// and Ctrl-W erase.
//
// With Negotiate a Transport asks its provider before a ticket is looked for, and
// takes one without a user name only if there are no credentials. So a program for
// users who have tickets leaves the prompt out; see credentials/README.md.
//
// The zero value is ready to use. A Provider must not be copied after first use.
type Provider struct {
	// Username is the user name. If it is empty, it is that of the proxy's URL
	// or else asked for.
	Username string

	// Device is the terminal. If it is empty, it is the controlling one.
	Device string

	calls onecall.Group[memo.Key, proxyauth.Credentials]

	mu     sync.Mutex
	rounds memo.Table[*round]
}

// callOptions leave a second to put the terminal back.
var callOptions = onecall.Options{Linger: time.Second, Abandon: time.Second}

// A round is what has happened at one proxy since credentials were last
// accepted.
type round struct {
	given   []memo.Key
	refused int
	last    proxyauth.Credentials // given
}

// Credentials implements [proxyauth.CredentialsProvider].
func (p *Provider) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	if ctx.Err() != nil {
		return proxyauth.Credentials{}, p.failed(context.Cause(ctx))
	}
	if req.Doubted {
		return p.doubted(req)
	}
	return p.calls.Do(ctx, memo.Attempt(req), callOptions, func(ctx context.Context) (proxyauth.Credentials, error) {
		return p.ask(ctx, req)
	})
}

// doubted returns the last answer again: the proxy may have refused no more than the
// target of a request, which is no reason to ask a person.
func (p *Provider) doubted(req *proxyauth.CredentialsRequest) (c proxyauth.Credentials, err error) {
	p.update(req, func(r *round) { c = r.last })
	if c.Username == "" && c.Password.Reveal() == "" {
		return c, p.none("nobody has answered yet")
	}
	return c, nil
}

// Accepted implements [proxyauth.CredentialsObserver].
func (p *Provider) Accepted(_ context.Context, req *proxyauth.CredentialsRequest, _ proxyauth.Credentials) {
	p.update(req, func(r *round) { *r = round{last: r.last} })
}

// Rejected implements [proxyauth.CredentialsObserver].
func (p *Provider) Rejected(_ context.Context, req *proxyauth.CredentialsRequest, _ proxyauth.Credentials) {
	p.update(req, func(r *round) { r.refused++ })
}

// Reset lets the provider ask MaxAttempts times again for the proxy and user of
// req.
func (p *Provider) Reset(req *proxyauth.CredentialsRequest) {
	p.update(req, func(r *round) { *r = round{} })
}

// String returns the provider's name.
func (p *Provider) String() string { return "prompt" }

// update calls change with the round of req.
func (p *Provider) update(req *proxyauth.CredentialsRequest, change func(*round)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Without the realm: the proxy could bring a new one each time.
	key := memo.KeyOf(req.Proxy.String(), p.user(req))
	r, found := p.rounds.Get(key)
	if !found {
		r = new(round)
		p.rounds.Put(key, r)
	}
	change(r)
}

// refusals returns how many answers have been refused, as far as is known from
// either side.
func (p *Provider) refusals(req *proxyauth.CredentialsRequest) (n int) {
	p.update(req, func(r *round) {
		for _, c := range req.Rejected {
			if slices.Contains(r.given, memo.Answer(req, c)) {
				n++
			}
		}
		n = max(n, r.refused)
	})
	return n
}

func (p *Provider) user(req *proxyauth.CredentialsRequest) string {
	if req.UserInfo == nil {
		return p.Username
	}
	return cmp.Or(p.Username, req.UserInfo.Username)
}

// ask asks until it gets an answer that has not been refused before.
func (p *Provider) ask(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	for {
		refusals := p.refusals(req)
		if refusals >= MaxAttempts {
			return proxyauth.Credentials{}, p.none(fmt.Sprintf("%d answers were refused", refusals))
		}
		c, err := p.question(req, refusals).askOn(ctx, p.Device)
		if errors.Is(err, errNoTerminal) {
			return c, p.none(err.Error())
		} else if err != nil {
			return c, p.failed(err)
		}
		if !memo.Contains(req.Rejected, c) {
			p.update(req, func(r *round) {
				r.remember(memo.Answer(req, c))
				r.last = c
			})
			return c, nil
		}
		p.update(req, func(r *round) { r.refused = refusals + 1 })
	}
}

func (r *round) remember(key memo.Key) {
	// More can't be refused.
	if len(r.given) == MaxAttempts {
		r.given = r.given[1:]
	}
	r.given = append(r.given, key)
}

func (p *Provider) question(req *proxyauth.CredentialsRequest, refusals int) *question {
	return &question{
		proxy:   req.Proxy.Host,
		realm:   req.Realm,
		user:    p.user(req),
		refused: refusals > 0 || len(req.Rejected) > 0,
		attempt: refusals + 1,
	}
}

func (p *Provider) none(why string) error {
	return fmt.Errorf("%w: %v: %s", proxyauth.ErrNoCredentials, p, why)
}

func (p *Provider) failed(err error) error {
	if errors.Is(err, ErrCancelled) {
		return err
	}
	return fmt.Errorf("proxyauth: %v: %w", p, err)
}
