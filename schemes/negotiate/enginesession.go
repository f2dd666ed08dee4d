package negotiate

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/spnego"
)

// An engineSession is one exchange with the tokens of an [Engine]. Its first token is
// made with it, so that something else can be tried where the engine fails.
type engineSession struct {
	scheme  *Scheme
	ex      proxyauth.Exchange
	target  Target
	context Context // nil if there is none

	legs     int
	pending  []byte // the next token, nil if there is none
	ntlm     bool   // the last token is one of NTLM, whatever the engine says
	done     bool   // the context is established
	verified bool   // by a token of the proxy
}

var (
	_ proxyauth.Continuer = (*engineSession)(nil)
	_ proxyauth.Verifier  = (*engineSession)(nil)
	_ io.Closer           = (*engineSession)(nil)
)

// newEngineSession begins an exchange with the scheme's engine.
func (s *Scheme) newEngineSession(ctx context.Context, ex proxyauth.Exchange, binding []byte) (*engineSession, error) {
	host := s.host(ctx, ex.Proxy)
	target := Target{Host: host, SPN: s.spn(ex.Proxy, host), User: ex.Credentials.Username, Bindings: slices.Clone(binding)}
	if ex.Credentials.Password.Reveal() != "" {
		target.Password = ex.Credentials.Password.Reveal
	}
	e := &engineSession{scheme: s, ex: ex, target: target}
	if err := e.begin(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

// Format writes "Negotiate session", whatever the verb: a session holds keys.
func (e *engineSession) Format(f fmt.State, verb rune) { io.WriteString(f, "Negotiate session") }

// Close closes the context, wherever the exchange is.
func (e *engineSession) Close() error {
	if e.context == nil {
		return nil
	}
	context := e.context
	e.context = nil
	return context.Close()
}

// begin makes the opening token, with a new context.
func (e *engineSession) begin(ctx context.Context) error {
	e.Close()
	e.legs, e.pending, e.ntlm, e.done, e.verified = 0, nil, false, false, false
	begun := false
	defer func() {
		if !begun { // it failed, or the engine has panicked
			e.Close()
		}
	}()
	context, err := e.scheme.Engine.NewContext(ctx, e.target)
	if err == nil && context == nil {
		err = errors.New("proxyauth: negotiate: the engine has neither a context nor an error")
	}
	if err == nil {
		e.context = context
		err = e.step(ctx, nil)
	}
	if err == nil && e.pending == nil {
		err = errors.New("proxyauth: negotiate: the engine has no token to begin with")
	}
	begun = err == nil
	return explained(err, e.target.SPN)
}

// step gives a token to the context and keeps its answer for the next leg.
func (e *engineSession) step(ctx context.Context, in []byte) error {
	if e.context == nil {
		return errClosed
	}
	out, done, err := e.context.Step(ctx, in)
	if err != nil {
		return err
	}
	if len(out) > 0 {
		kind, _ := spnego.KindOf(out)
		e.ntlm = kind == spnego.KindNTLM
	}
	if err := e.permits(); err != nil {
		return err
	}
	if len(out) > 0 {
		e.pending = out
	}
	e.done = done
	e.verified = e.verified || in != nil && done && e.kerberos()
	return nil
}

// permits returns an error if the mechanism must not be used with the proxy.
func (e *engineSession) permits() error {
	s := e.scheme
	switch {
	case e.kerberos():
		return nil
	case s.DisableNTLM, s.RequireMutual:
		return errNTLMDisabled
	case e.target.Password != nil, e.ex.Proxy.Scheme == "https", e.ex.Named, s.InsecureLogonNTLM:
		return nil
	}
	return errLogonNTLM
}

func (e *engineSession) kerberos() bool { return !e.ntlm && e.context.Mechanism() == MechanismKerberos }

// Authorization returns the next token. After the last one it begins the
// exchange anew, for a proxy that wants a token for each request.
func (e *engineSession) Authorization(ctx context.Context, _ proxyauth.Leg) (proxyauth.Authorization, error) {
	if e.pending == nil {
		if err := e.begin(ctx); err != nil {
			return proxyauth.Authorization{}, err
		}
	}
	a := proxyauth.Authorization{
		Value:        name + " " + base64.StdEncoding.EncodeToString(e.pending),
		More:         !e.done,
		Strength:     strengthNTLM,
		ChannelBound: e.target.Bindings != nil,
	}
	if e.kerberos() {
		// The token that comes back is for verification alone.
		a.Ticket, a.More, a.Strength = true, false, strengthKerberos
	}
	e.pending = nil
	e.legs++
	return a, nil
}

// Continue implements [proxyauth.Continuer], as that of a session without an engine
// does.
func (e *engineSession) Continue(ctx context.Context, challenges []proxyauth.Challenge) (proxyauth.Next, error) {
	next, err := e.proceed(ctx, challengeToken(challenges))
	return next, explained(err, e.target.SPN)
}

func (e *engineSession) proceed(ctx context.Context, text string) (proxyauth.Next, error) {
	switch {
	case e.legs == 0 || e.context == nil:
		return proxyauth.GoOn, errors.New("proxyauth: negotiate: Continue before Authorization")
	case e.legs >= maxLegs:
		return proxyauth.Broken, errLegs
	}
	kerberos := e.kerberos()
	sent := e.done && !kerberos // the last message of NTLM was
	next, err := e.take(ctx, text, kerberos)
	if sent && (err != nil || next == proxyauth.Broken) {
		return proxyauth.Refused, nil
	}
	return next, err
}

func (e *engineSession) take(ctx context.Context, text string, kerberos bool) (proxyauth.Next, error) {
	switch {
	case text == "" && kerberos:
		return e.refused(errTicketRefused)
	case text == "":
		return proxyauth.Broken, errNoAnswer
	}
	token, err := decode(text)
	if err == nil {
		err = e.step(ctx, token)
	}
	switch {
	case err != nil && kerberos && errors.Is(explained(err, ""), TicketRefused):
		return e.refused(err)
	case err != nil:
		return proxyauth.GoOn, err
	case e.pending != nil:
		return proxyauth.GoOn, nil
	case e.verified:
		return proxyauth.Complete, nil
	case kerberos:
		return e.refused(errTicketRefused)
	}
	return proxyauth.Broken, errNoAnswer
}

// refused takes the refusal of the ticket. Where there is a password, a new session
// does without the engine.
func (e *engineSession) refused(err error) (proxyauth.Next, error) {
	err = bound(err, e.target.Bindings)
	if !e.scheme.allowsNTLM(e.ex) {
		return proxyauth.Refused, err
	}
	e.scheme.proxies.add(memoryKey(e.ex))
	return proxyauth.Broken, err
}

// Verify examines the answer of a proxy that has let the request pass, as that of a
// session without an engine does.
func (e *engineSession) Verify(resp *http.Response) error {
	return explained(e.verify(resp), e.target.SPN)
}

// lastStep is how long an engine may take for the proxy's last token, with the answer in hand.
const lastStep = 10 * time.Second

func (e *engineSession) verify(resp *http.Response) error {
	if e.context == nil {
		return errClosed
	}
	if text := finalToken(resp.Header); text != "" && !e.done {
		token, err := decode(text)
		if err == nil {
			ctx, cancel := context.WithTimeout(context.Background(), lastStep)
			defer cancel()
			err = e.step(ctx, token)
		}
		if err != nil {
			return notVerified{err}
		}
	}
	if e.scheme.RequireMutual && !e.verified {
		return notVerified{errNoMutual}
	}
	return nil
}
