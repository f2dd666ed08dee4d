package proxyauth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/connpool"
	"github.com/go-proxyauth/proxyauth/internal/floor"
	"github.com/go-proxyauth/proxyauth/internal/lockout"
	"github.com/go-proxyauth/proxyauth/internal/onecall"
)

// A login is a scheme together with the credentials for it.
type login struct {
	scheme  Scheme
	rank    int // of the scheme in Transport.Schemes: less is stronger
	props   SchemeProperties
	creds   Credentials
	tickets bool                // the provider has no credentials: the scheme uses its own
	req     *CredentialsRequest // what the provider was asked
	secret  *lockout.Handle
	bound   connpool.Want // asks for connections that l has authenticated, or may

	// Guarded by site.mu.
	accepted bool    // by the proxy, now or once
	session  Session // the last that was accepted, of a scheme that binds no connection

	byTicket atomic.Bool // a ticket was accepted the last time

	*conduct
}

// A conduct is how a proxy treats a scheme that binds connections. A login and its renewals
// have one in common.
type conduct struct {
	wantsEach  atomic.Bool // it wants an authorization with each request all the same
	keepsBound atomic.Bool // it has let a request pass on a connection that one ticket had authenticated
	goesOn     atomic.Bool // it has gone on after what could have been the last authorization
}

// A question is one that the provider is asked once, however many requests want to
// know.
type question struct {
	rank     int
	before   *login // whose credentials are to be replaced, or nil
	doubted  bool   // they were refused
	refusals int
}

// A failedAsk is a question that the provider failed to answer.
type failedAsk struct {
	question
	err error
	at  time.Time
	n   int // counts them, from 1
}

// sameUser reports whether connections that are authenticated for l may serve other.
func (l *login) sameUser(other *login) bool {
	return l == other || other != nil && l.creds.Username == other.creds.Username && l.tickets == other.tickets
}

// sameSecret reports whether l and other have the same credentials.
func (l *login) sameSecret(other *login) bool {
	return l.tickets == other.tickets && sameCredentials(l.creds, other.creds)
}

func sameCredentials(a, b Credentials) bool {
	return a.Username == b.Username && a.Password.Reveal() == b.Password.Reveal()
}

// knownRefused reports whether the provider was told that the credentials are refused
// before it returned them.
func (l *login) knownRefused() bool {
	return slices.ContainsFunc(l.req.Rejected, func(c Credentials) bool { return sameCredentials(c, l.creds) })
}

// expired reports whether the credentials may no longer be sent, by the wall clock.
func (l *login) expired() bool {
	return !l.creds.Expires.IsZero() && !time.Now().Round(0).Before(l.creds.Expires.Round(0))
}

// binds reports whether l authenticates connections.
func (l *login) binds() bool { return l.props.BindsConnection && !l.wantsEach.Load() }

// settled reports whether l has been accepted and may be sent without being asked for. A nil
// login is not.
func (l *login) settled() bool {
	return l != nil && (l.secret.State() == lockout.Trusted || l.byTicket.Load())
}

// expectsTicket reports whether the next authorization of l may put no secret at stake, and
// so need no turn.
func (l *login) expectsTicket() bool { return l.props.Ambient || l.byTicket.Load() }

// usable returns l, or in its place a login with credentials that have not expired; nil if
// there is none.
func (p *proxy) usable(ctx context.Context, l *login) (*login, error) {
	if l == nil || !l.expired() {
		return l, nil
	}
	next, err := p.renewal(ctx, l)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		p.drop(l)
		return nil, nil // the challenge shows what may be used
	}
	return next, nil
}

// renewal returns a login in place of l, whose credentials have expired.
func (p *proxy) renewal(ctx context.Context, l *login) (*login, error) {
	if err := p.permits(ctx, l.scheme); err != nil {
		return nil, err
	}
	return p.replacement(ctx, l, false)
}

// replacement returns a login in place of l, whose credentials have expired or, with
// doubted set, worked and are refused now. It is in use, unless the provider returns
// the doubted ones again.
func (p *proxy) replacement(ctx context.Context, l *login, doubted bool) (*login, error) {
	q := question{rank: l.rank, before: l, doubted: doubted}
	return p.asks.Do(ctx, q, onecall.Options{}, func(ctx context.Context) (*login, error) {
		if next := p.current(); next != nil && next != l && next.rank == l.rank && !next.expired() && !(doubted && l.sameSecret(next)) {
			return next, nil // by a call that has just ended
		}
		next, err := p.askNow(ctx, l.rank, l.req.Realm, doubted)
		if err == nil && !(doubted && l.sameSecret(next)) {
			next = p.renew(l, next)
		}
		return next, err
	})
}

// renew puts next in the place of l, of which it is the renewal, and returns the login in use.
func (p *proxy) renew(l, next *login) *login {
	p.mu.Lock()
	if l.sameSecret(next) {
		next.accepted, next.session = l.accepted, l.session
		next.byTicket.Store(l.byTicket.Load())
	}
	p.mu.Unlock()
	next.conduct = l.conduct
	return p.use(next)
}

// choose returns the login for the strongest scheme that is offered and may be used.
func (d *driver) choose(ctx context.Context) (*login, error) {
	p := d.p
	if l := p.current(); l != nil && len(d.own(l.scheme)) > 0 && d.failed(l.rank) == nil && !l.expired() && l.settled() && !p.strongerDue(l) {
		return l, nil
	}
	for rank, scheme := range p.schemes {
		own := d.own(scheme)
		if len(own) == 0 || d.failed(rank) != nil {
			continue
		}
		if err := d.floorForbids(rank); err != nil {
			return nil, err
		}
		if err := p.permits(ctx, scheme); err != nil {
			d.exclude(rank, err, true)
			continue
		}
		l, err := p.loginFor(ctx, rank, own[0].Params["realm"], d.unanswered)
		switch {
		case err == nil:
			return l, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case kindOf(err).is(noCredentials):
			d.exclude(rank, err, true)
		default:
			d.exclude(rank, err, true)
			return nil, d.error(CauseNoCredentials, nil)
		}
	}
	return nil, d.error(d.verdict(), nil)
}

// guess opens the strongest scheme that needs no challenge, and when called again the
// next one, but none that is weaker than the site has offered or accepted.
func (d *driver) guess(ctx context.Context) (step, error) {
	for ; d.guessed < len(d.p.schemes); d.guessed++ {
		if d.floorForbids(d.guessed) != nil || d.p.permits(ctx, d.p.schemes[d.guessed]) != nil {
			continue // the proxy is asked
		}
		l, err := d.p.loginFor(d.reqCtx, d.guessed, "", d.unanswered)
		if err == nil {
			var s Session
			s, err = l.scheme.NewSession(ctx, d.terms(l, nil))
			closeSession(s)
			if err != nil {
				d.p.drop(l)
			}
		}
		switch {
		case err == nil:
			d.guessed++
			d.login, d.anew, d.guessing = l, true, true
			return stepAuthorize, nil
		case d.reqCtx.Err() != nil:
			return stepFail, context.Cause(d.reqCtx)
		case kindOf(err).is(challengeRequired):
			d.guessed++
			return stepAsk, nil
		}
	}
	return stepAsk, nil
}

// strongerDue reports whether a stronger scheme than that of l, which could not be
// carried out, is to be tried again.
func (p *proxy) strongerDue(l *login) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.rank <= p.floor.Strongest() || time.Now().Before(p.stronger) {
		return false
	}
	p.stronger = time.Now().Add(strongerEvery)
	return true
}

// loginFor returns the login to use for the scheme with a rank: the one in use, or one with
// what the provider says, which is in use then. The provider is asked once for all who ask
// the same. If it fails, that is the answer as well to a request that began before, and
// waited for the one that asked: unanswered is how often it had failed then.
func (p *proxy) loginFor(ctx context.Context, rank int, realm string, unanswered int) (*login, error) {
	if l := p.currentFor(rank); l != nil {
		return l, nil
	}
	p.mu.Lock()
	q := question{rank: rank, refusals: len(p.refusals)}
	last := p.failed
	p.mu.Unlock()
	if last.question == q && last.n > unanswered && time.Since(last.at) < firstContact {
		return nil, last.err
	}
	return p.asks.Do(ctx, q, onecall.Options{}, func(ctx context.Context) (*login, error) {
		if l := p.currentFor(rank); l != nil {
			return l, nil // by a call that has just ended
		}
		l, err := p.askNow(ctx, rank, realm, false)
		switch {
		case err == nil:
			l = p.use(l)
		case ctx.Err() == nil:
			p.mu.Lock()
			p.failed = failedAsk{q, err, time.Now(), p.failed.n + 1}
			p.mu.Unlock()
		}
		return l, err
	})
}

// currentFor returns the login in use if it is one for the scheme with a rank that may be
// sent, nil otherwise.
func (p *proxy) currentFor(rank int) *login {
	l := p.current()
	if l == nil || l.rank != rank || l.expired() || l.secret.State() == lockout.Barred {
		return nil
	}
	return l
}

var errExpired = fmt.Errorf("%w: they have expired before they could be sent", ErrNoCredentials)

func (p *proxy) askNow(ctx context.Context, rank int, realm string, doubted bool) (*login, error) {
	scheme := p.schemes[rank]
	req := &CredentialsRequest{Proxy: p.shownURL(), UserInfo: p.user, Scheme: scheme.Name(), Realm: realm, Doubted: doubted}
	p.mu.Lock()
	req.Rejected = append(req.Rejected, p.refusals...)
	p.mu.Unlock()
	p.notices.Wait(ctx)
	start := time.Now()
	creds, err := p.provider.Credentials(inCallback(ctx, p.state), req)
	p.trace.call(ctx, p.trace.CredentialsAsked, TraceInfo{Proxy: p.name, Scheme: req.Scheme, Duration: time.Since(start), Err: err})
	l := &login{scheme: scheme, rank: rank, props: properties(scheme), creds: creds, req: req, conduct: new(conduct)}
	switch {
	case err != nil && !(l.props.Ambient && kindOf(err).is(noCredentials)):
		return nil, err
	case err != nil:
		l.tickets, l.creds = true, Credentials{}
	case l.expired():
		return nil, errExpired
	}
	l.secret, l.bound = p.secretOf(l), boundTo(l)
	return l, nil
}

// secretOf returns what is known of the secret of l. A logon without one is counted
// by proxy, scheme and user.
func (p *proxy) secretOf(l *login) *lockout.Handle {
	s := lockout.Secret{Proxy: p.address, User: l.creds.Username, Password: "password:" + l.creds.Password.Reveal()}
	if l.tickets {
		s.Password = "scheme:" + strings.ToLower(l.scheme.Name())
	}
	return p.secrets.Handle(s)
}

// own returns the challenges at hand that are for scheme.
func (d *driver) own(scheme Scheme) []Challenge {
	var own []Challenge
	for _, c := range d.challenges {
		if strings.EqualFold(c.Scheme, scheme.Name()) {
			own = append(own, c)
		}
	}
	return own
}

// ranks returns the ranks of the schemes that are offered.
func (d *driver) ranks() []int {
	var ranks []int
	for rank, scheme := range d.p.schemes {
		if len(d.own(scheme)) > 0 {
			ranks = append(ranks, rank)
		}
	}
	return ranks
}

// howFailed returns how the scheme with a rank has failed.
func (d *driver) howFailed(rank int) floor.Failure {
	switch f := d.failed(rank); {
	case f == nil:
		return floor.None
	case f.local:
		return floor.Local
	case f.kind.is(unsupported | challengeRequired):
		return floor.Beyond
	}
	return floor.Peer
}

// floorForbids returns an error if the scheme with a rank is weaker than the site has
// offered or accepted.
func (d *driver) floorForbids(rank int) error {
	if d.p.rules.allowDowngrade {
		return nil
	}
	d.p.mu.Lock()
	defer d.p.mu.Unlock()
	scheme := d.p.schemes[rank]
	reveals := d.p.url.Scheme == "http" && properties(scheme).RevealsSecret
	if !d.p.floor.Forbids(rank, reveals, func(r int) bool { return len(d.own(d.p.schemes[r])) > 0 }, d.howFailed) {
		return nil
	}
	if d.rejected != nil { // by the stronger one
		d.note(d.rejected.rank, d.p.refusalOf(d.rejected), false)
		return d.error(CauseCredentialsRejected, nil)
	}
	if f := d.peerFailure(); f != nil {
		return d.error(CauseHandshakeBroken, nil)
	}
	return d.error(CausePolicyForbids, errDowngrade)
}

// peerFailure returns a failure that was the proxy's doing, nil if there is none.
func (d *driver) peerFailure() *failure {
	for i := range d.failures {
		if f := &d.failures[i]; !f.local && f.kind.is(broken) {
			return f
		}
	}
	return nil
}

// weaker reports whether a is weaker than what the scheme has sent to the site before.
func (d *driver) weaker(a Authorization) bool {
	if d.p.rules.allowDowngrade {
		return false
	}
	d.p.mu.Lock()
	defer d.p.mu.Unlock()
	return d.p.floor.Weaker(d.login.rank, a.Strength, !a.Ticket && a.Fallback == nil, d.asked && !a.More)
}
