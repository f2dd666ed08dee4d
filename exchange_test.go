package proxyauth

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/lockout"
)

// An event is something that happens to an exchange, and what comes next.
type event struct {
	desc string
	do   func(*exchange) step // nil means that it changes nothing
	want step
}

var errReset = errors.New("connection reset")

func ask() event {
	return event{"a leg without authorization", func(x *exchange) step { x.sent(asking); return stepAsk }, stepAsk}
}

func ride() event {
	return event{"a leg on an authenticated connection", func(x *exchange) step { x.sent(riding); return stepAuthorize }, stepAuthorize}
}

func guess() event {
	return event{"a guess", func(x *exchange) step { x.guessing = true; return stepAuthorize }, stepAuthorize}
}

func begin(asked, continues bool) event {
	return event{"a session", func(x *exchange) step { x.began(0, asked, continues); return stepAuthorize }, stepAuthorize}
}

func send(a Authorization) event {
	return event{"an authorization", func(x *exchange) step { x.authorized(a); return stepAuthorize }, stepAuthorize}
}

func challenge(want step) event {
	return event{"407 with a challenge of the scheme", func(x *exchange) step { return x.challenged(true, false) }, want}
}

func otherChallenge(want step) event {
	return event{"407 with challenges of other schemes", func(x *exchange) step { return x.challenged(false, false) }, want}
}

func bare407(want step) event {
	return event{"407 without a challenge", func(x *exchange) step { return x.challenged(false, true) }, want}
}

func next(n Next, want step) event {
	return event{"the session says " + n.String(), func(x *exchange) step { return x.continued(n, nil) }, want}
}

func schemeFails(want step) event {
	return event{"the session fails", func(x *exchange) step { return x.continued(GoOn, ErrUnsupportedChallenge) }, want}
}

func outlive(want step) event {
	return event{"the credentials have expired", func(x *exchange) step { return x.outlived() }, want}
}

func status(code int, want step) event {
	return event{http.StatusText(code), func(x *exchange) step { return x.answered(code, false) }, want}
}

func withhold() event {
	return event{"turned down without a challenge", (*exchange).withheld, stepAuthorize}
}

func probePasses(want step) event {
	return event{"a probe passes", func(x *exchange) step { return x.probePassed() }, want}
}

func lose(l loss, want step) event {
	l.err = errReset
	return event{"no answer", func(x *exchange) step { return x.lost(l) }, want}
}

// Each row is one exchange: what happens, what the exchange does next, what the last answer
// says of the secret, and how many legs it took.
func TestExchange(t *testing.T) {
	first := Authorization{Value: "NTLM 1", More: true}
	last := Authorization{Value: "NTLM 3"}
	ticket := Authorization{Value: "Negotiate t", Ticket: true}
	for _, tt := range []struct {
		desc    string
		connect bool
		events  []event
		outcome lockout.Outcome
		legs    int
		cause   Cause
		err     error
	}{
		{desc: "no authentication", events: []event{ask(), status(200, stepPass)}, legs: 1},
		{desc: "Basic, cold", events: []event{
			ask(), challenge(stepChoose), begin(true, false), send(last), status(200, stepPass),
		}, outcome: lockout.Accepted, legs: 2},
		{desc: "Basic, warm", events: []event{
			begin(false, false), send(last), status(200, stepPass),
		}, outcome: lockout.AcceptedUnasked, legs: 1},
		{desc: "Basic, refused", events: []event{
			ask(), challenge(stepChoose), begin(true, false), send(last), challenge(stepRefused),
		}, outcome: lockout.Refused, legs: 2},
		{desc: "Basic, refused with a challenge of a scheme that is not enabled", events: []event{
			ask(), challenge(stepChoose), begin(true, false), send(last), otherChallenge(stepRefused),
		}, outcome: lockout.Refused, legs: 2},
		{desc: "Basic, an origin server that fails", events: []event{
			ask(), challenge(stepChoose), begin(true, false), send(last), status(502, stepPass),
		}, outcome: lockout.NoVerdict, legs: 2},
		{desc: "Basic, unasked, of a proxy that wants another scheme", events: []event{
			begin(false, false), send(last), otherChallenge(stepChoose),
		}, legs: 1},
		{desc: "Basic, unasked, and no challenge", events: []event{
			guess(), begin(false, false), send(last), bare407(stepAsk), ask(), bare407(stepChoose),
		}, legs: 2},
		{desc: "Basic, warm, and the 407 of an origin server", events: []event{
			begin(false, false), send(last), bare407(stepFail),
		}, outcome: lockout.Lost, legs: 1, cause: CauseNoChallenge},
		{desc: "tinyproxy refuses a CONNECT", connect: true, events: []event{
			ask(), challenge(stepChoose), begin(true, false), send(last), status(401, stepRefused),
		}, outcome: lockout.Refused, legs: 2},
		{desc: "tinyproxy does not know the scheme of a CONNECT", connect: true, events: []event{
			begin(false, false), send(last), status(401, stepAsk),
		}, legs: 1},
		{desc: "Basic, after a CONNECT that is turned down without a challenge", connect: true, events: []event{
			ask(), withhold(), begin(false, false), send(last), status(200, stepPass),
		}, outcome: lockout.Accepted, legs: 2},
		{desc: "Basic, and the target is denied", connect: true, events: []event{
			ask(), withhold(), begin(false, false), send(last), status(403, stepPass),
		}, outcome: lockout.Lost, legs: 2},
		{desc: "Basic, and the credentials are refused without a challenge", connect: true, events: []event{
			ask(), withhold(), begin(false, false), send(last), bare407(stepRefused),
		}, outcome: lockout.Refused, legs: 2},
		{desc: "Digest, a nonce that is stale", events: []event{
			begin(false, true), send(last), challenge(stepContinue), next(Stale, stepAuthorize), send(last), status(200, stepPass),
		}, outcome: lockout.Accepted, legs: 2},
		{desc: "Digest, a nonce that is forgotten, as Apache does", events: []event{
			begin(false, true), send(last), challenge(stepContinue), next(Refused, stepAuthorize),
			begin(true, true), send(last), status(200, stepPass),
		}, outcome: lockout.Accepted, legs: 2},
		{desc: "Digest, refused after a stale nonce", events: []event{
			begin(false, true), send(last), challenge(stepContinue), next(Stale, stepAuthorize), send(last),
			challenge(stepContinue), next(Refused, stepRefused),
		}, outcome: lockout.Refused, legs: 2},
		{desc: "Digest, a remembered nonce and the one in its place are stale", events: []event{
			begin(false, true), send(last), challenge(stepContinue), next(Stale, stepAuthorize),
			send(last), challenge(stepContinue), next(Stale, stepFail),
		}, outcome: lockout.Lost, legs: 2, cause: CauseHandshakeBroken, err: errStale},
		{desc: "NTLM, closed before the last message", events: []event{
			begin(false, true), send(first), challenge(stepContinue), next(GoOn, stepAuthorize),
			send(last), lose(loss{unsent: true, safe: true}, stepAuthorize),
		}, legs: 2},
		{desc: "Digest, stale for ever", events: []event{
			ask(), challenge(stepChoose), begin(true, true), send(last), challenge(stepContinue), next(Stale, stepAuthorize),
			send(last), challenge(stepContinue), next(Stale, stepFail),
		}, outcome: lockout.Lost, legs: 3, cause: CauseHandshakeBroken, err: errStale},
		{desc: "NTLM, cold", events: []event{
			ask(), challenge(stepChoose), begin(true, true), send(first), challenge(stepContinue), next(GoOn, stepAuthorize),
			send(last), status(200, stepPass),
		}, outcome: lockout.Accepted, legs: 3},
		{desc: "NTLM, new connection", events: []event{
			begin(false, true), send(first), challenge(stepContinue), next(GoOn, stepAuthorize), send(last), status(404, stepPass),
		}, outcome: lockout.Accepted, legs: 2},
		{desc: "NTLM, same connection", events: []event{ride(), status(200, stepPass)}, legs: 1},
		{desc: "NTLM, an exempt host", events: []event{begin(false, true), send(first), status(200, stepPass)}, legs: 1},
		{desc: "NTLM, refused", events: []event{
			begin(false, true), send(first), challenge(stepContinue), next(GoOn, stepAuthorize), send(last),
			challenge(stepContinue), next(Refused, stepRefused),
		}, outcome: lockout.Refused, legs: 2},
		{desc: "NTLM, a connection that has lost its authentication", events: []event{
			ride(), challenge(stepChoose), begin(true, true), send(first), challenge(stepContinue), next(GoOn, stepAuthorize),
			send(last), status(200, stepPass),
		}, outcome: lockout.Accepted, legs: 3},
		{desc: "NTLM, an origin server's 407 on an authenticated connection", events: []event{ride(), bare407(stepFail)}, legs: 1, cause: CauseNoChallenge},
		{desc: "NTLM, a password that expires in the handshake", events: []event{
			begin(false, true), send(first), challenge(stepContinue), next(GoOn, stepAuthorize), outlive(stepRenew),
			begin(false, true), send(first), challenge(stepContinue), next(GoOn, stepAuthorize), send(last), status(200, stepPass),
		}, outcome: lockout.Accepted, legs: 3},
		{desc: "passwords that expire at once", events: []event{
			ask(), challenge(stepChoose), begin(true, false), outlive(stepRenew), begin(true, false), outlive(stepRenew),
			begin(true, false), outlive(stepRenew), begin(true, false), outlive(stepChoose),
		}, legs: 1},
		{desc: "NTLM, closed at the first message", events: []event{
			begin(false, true), send(first), lose(loss{}, stepAuthorize), begin(false, true), send(first), lose(loss{}, stepChoose),
		}, legs: 2},
		{desc: "NTLM, other schemes in answer to the first message", events: []event{
			ask(), challenge(stepChoose), begin(true, true), send(first), otherChallenge(stepAsk),
			ask(), challenge(stepChoose), begin(true, true), send(first), otherChallenge(stepChoose),
		}, legs: 4},
		{desc: "NTLM, closed at the last message", events: []event{
			begin(false, true), send(first), challenge(stepContinue), next(GoOn, stepAuthorize),
			send(last), lose(loss{race: true, safe: true}, stepAuthorize),
		}, outcome: lockout.Lost, legs: 2, err: errReset},
		{desc: "NTLM, closed at the last message twice", events: []event{
			begin(false, true), send(first), challenge(stepContinue), next(GoOn, stepAuthorize),
			send(last), lose(loss{race: true, safe: true}, stepAuthorize),
			begin(false, true), send(first), challenge(stepContinue), next(GoOn, stepAuthorize),
			send(last), lose(loss{race: true, safe: true}, stepFail),
		}, outcome: lockout.Lost, legs: 4, cause: CauseHandshakeBroken},
		{desc: "NTLM, closed at the last message with a request that must not be sent twice", events: []event{
			begin(false, true), send(first), challenge(stepContinue), next(GoOn, stepAuthorize),
			send(last), lose(loss{race: true}, stepFail),
		}, outcome: lockout.Lost, legs: 2, cause: CauseHandshakeBroken},
		{desc: "NTLM, no answer in time to a first message that nobody asked for", events: []event{
			begin(false, true), send(first), lose(loss{safe: true, late: true}, stepAsk), ask(), status(200, stepPass),
		}, legs: 2},
		{desc: "NTLM, no answer in time to the first message", events: []event{
			ask(), challenge(stepChoose), begin(true, true), send(first), lose(loss{safe: true, late: true}, stepAuthorize),
		}, legs: 2},
		{desc: "NTLM, a challenge after the last message", events: []event{
			begin(false, true), send(first), challenge(stepContinue), next(GoOn, stepAuthorize), send(last),
			challenge(stepContinue), next(Broken, stepAuthorize),
		}, outcome: lockout.Lost, legs: 2, err: errCircles},
		{desc: "NTLM, a message that can't be parsed", events: []event{
			begin(false, true), send(first), challenge(stepContinue), schemeFails(stepChoose),
		}, legs: 1},
		{desc: "NTLM, a challenge after the last message that can't be taken", events: []event{
			begin(false, true), send(first), challenge(stepContinue), next(GoOn, stepAuthorize), send(last),
			challenge(stepContinue), schemeFails(stepChoose),
		}, outcome: lockout.Lost, legs: 2},
		{desc: "Kerberos, cold", events: []event{
			ask(), challenge(stepChoose), begin(true, true), send(ticket), status(200, stepPass),
		}, outcome: lockout.Accepted, legs: 2},
		{desc: "Kerberos, new connection", events: []event{
			begin(false, true), send(ticket), status(200, stepPass),
		}, outcome: lockout.AcceptedUnasked, legs: 1},
		{desc: "Kerberos, the proxy's key has changed", events: []event{
			begin(false, true), send(ticket), challenge(stepContinue), next(Broken, stepAuthorize),
			begin(true, true), send(ticket), status(200, stepPass),
		}, outcome: lockout.Accepted, legs: 2},
		{desc: "Kerberos, a ticket refused twice", events: []event{
			ask(), challenge(stepChoose), begin(true, true), send(ticket), challenge(stepContinue), next(Refused, stepAuthorize),
			begin(true, true), send(ticket), challenge(stepContinue), next(Refused, stepRefused),
		}, outcome: lockout.Refused, legs: 3},
		{desc: "Kerberos, a ticket refused twice, and NTLM", events: []event{
			ask(), challenge(stepChoose), begin(true, true), send(ticket), challenge(stepContinue), next(Broken, stepAuthorize),
			begin(true, true), send(ticket), challenge(stepContinue), next(Broken, stepAuthorize),
			begin(true, true), send(first), challenge(stepContinue), next(GoOn, stepAuthorize), send(last), status(200, stepPass),
		}, outcome: lockout.Accepted, legs: 5},
		{desc: "Kerberos, a ticket refused twice, and NTLM twice without an answer", events: []event{
			ask(), challenge(stepChoose), begin(true, true), send(ticket), challenge(stepContinue), next(Broken, stepAuthorize),
			begin(true, true), send(ticket), challenge(stepContinue), next(Broken, stepAuthorize),
			begin(true, true), send(first), challenge(stepContinue), next(Broken, stepAuthorize),
			begin(true, true), send(first), challenge(stepContinue), next(Broken, stepRefused),
		}, legs: 5},
		{desc: "Kerberos, the origin server's 407 with the proxy's last token", events: []event{
			begin(false, true), send(ticket), challenge(stepContinue), next(Complete, stepFail),
		}, outcome: lockout.Accepted, legs: 1, cause: CauseNoChallenge, err: errOrigin407},
		{desc: "a kept connection that was closed in the same moment", events: []event{
			ride(), lose(loss{race: true, safe: true}, stepAuthorize), ride(), status(200, stepPass),
		}, legs: 2},
		{desc: "the same, and a request that must not be sent twice", events: []event{
			ride(), lose(loss{race: true}, stepFail),
		}, legs: 1, err: errReset},
		{desc: "the same, and nothing was written", events: []event{
			ride(), lose(loss{unsent: true}, stepAuthorize), ride(), status(200, stepPass),
		}, legs: 2},
		{desc: "something that is no proxy", events: []event{ask(), lose(loss{alien: CauseNotAProxy}, stepFail)}, legs: 1, cause: CauseNotAProxy, err: errReset},
		{desc: "a body that was lost, and a challenge to the probe after it", events: []event{
			ask(), lose(loss{probe: true}, stepAsk), ask(), challenge(stepChoose), begin(true, false), send(last), status(200, stepPass),
		}, outcome: lockout.Accepted, legs: 3, err: errReset},
		{desc: "a body that was lost, and a probe that passes", events: []event{
			ask(), lose(loss{probe: true}, stepAsk), ask(), probePasses(stepFail),
		}, legs: 2, err: errReset},
		{desc: "a probe without an answer", events: []event{
			ask(), lose(loss{added: true, safe: true}, stepAsk), ask(), lose(loss{added: true, safe: true}, stepFail),
		}, legs: 2, err: errReset},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			x := exchange{connect: tt.connect}
			for i, e := range tt.events {
				require.Equal(t, e.want, e.do(&x), "event %d: %s", i, e.desc)
			}
			require.Equal(t, tt.outcome, x.outcome)
			require.Equal(t, tt.legs, x.legs)
			require.Equal(t, tt.cause, x.cause)
			require.Equal(t, tt.err, x.err)
		})
	}
}

// No peer keeps an exchange going: whatever it answers, there is an end.
func TestExchangeEnds(t *testing.T) {
	for _, n := range []Next{GoOn, Stale, Refused, Broken} {
		x := exchange{}
		legs := 0
		for s := stepAuthorize; s != stepFail && s != stepRefused && s != stepChoose; legs++ {
			if x.turns == 0 || x.anew {
				x.began(0, true, true)
			}
			x.authorized(Authorization{Value: "x y"})
			if s = x.challenged(true, false); s == stepContinue {
				s = x.continued(n, nil)
			}
			require.Less(t, legs, 10, n)
		}
	}
}
