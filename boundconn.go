package proxyauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// tokenLife is how long the closing authorization of a handshake may wait
	// for the request that carries it. Proxies give up on a handshake after a
	// minute or two, and a Kerberos authenticator has a time.
	tokenLife = 30 * time.Second

	// proofLife is the same while others wait for it to prove the
	// credentials: the request that it was made for may have been cancelled.
	proofLife = time.Second

	// lastWords is how long a failed write waits for an answer that tells why.
	lastWords = time.Second
)

// Reasons for which a connection is of no use before its first answer.
var (
	errMethodChanged = errors.New("proxyauth: another method has been chosen meanwhile")
	errElsewhere     = fmt.Errorf("%w: the proxy had asked nothing for another host", errHandshakeBroken)
	errFree          = errors.New("proxyauth: the proxy asks nothing for this host")
	errWithdrawn     = fmt.Errorf("%w: the proxy offers the scheme no longer", errHandshakeBroken)
	errCutOff        = fmt.Errorf("%w: the connection was closed", errHandshakeBroken)
	errUnanswered    = fmt.Errorf("%w before the request was answered", errCutOff)
	errAskedAgain    = fmt.Errorf("%w: the proxy does not finish it", errHandshakeBroken)
	errClosedEarly   = fmt.Errorf("%w: the proxy lets what opens the connection pass, and closes it", errHandshakeBroken)
)

// A boundConn is a connection for forwarded requests that authenticates itself.
// It puts the closing authorization into the first request, and looks at the
// first answer and at every 407: those end the use of the connection.
//
// Until its first answer has come, it fails with an *Error.
type boundConn struct {
	net.Conn
	ctx    context.Context
	p      *proxy
	method *method
	broken *Error      // what it fails with, but for Err
	flight *flight     // held until the first answer, or nil
	proof  bool        // pending proves a secret that the proxy has not accepted
	loss   sync.Once   // whether the proof was lost is settled
	spare  atomic.Bool // it was, and is not to be sent again at once
	expiry *time.Timer // nil once passed
	used   bool        // an answer has come over it before it was handed on

	// target is the URL of the host for which it was opened. It is astray if the
	// proxy may have asked nothing for that, so that nobody is authenticated on
	// the connection, and for another host it asks.
	target string
	astray bool

	mu      sync.Mutex
	pending string // the closing authorization
	expired bool   // before it was sent

	opened  atomic.Bool           // pending has been sent
	judged  atomic.Bool           // the first answer has been seen
	denied  atomic.Bool           // it was a 407
	verdict atomic.Pointer[error] // what has taken its place, if anything has
	settled chan struct{}         // closed then, or when there won't be one
	settle  func()

	// awaiting is set when a request begins, and cleared when it is clear that
	// the status of its answer is not a 407.
	awaiting atomic.Bool

	usage   usage
	answers // of the goroutine that reads
}

// newBoundConn returns the connection of o, which has passed already if auth is
// empty.
func newBoundConn(ctx context.Context, o *opening, auth string) *boundConn {
	kept := *o
	kept.wire, kept.flight = nil, nil
	c := &boundConn{
		Conn:    o.wire.raw(),
		ctx:     context.WithoutCancel(ctx),
		p:       o.p,
		method:  o.method,
		broken:  o.fail(CauseHandshakeBroken, nil),
		flight:  o.flight,
		proof:   auth != "" && o.proves(),
		used:    o.wire.used,
		pending: auth,
		settled: make(chan struct{}),
		answers: answers{opening: &kept},
	}
	if c.usage.single = o.oneLeg(); !c.usage.single {
		c.method.habit.bound.Store(true) // only a connection can tell one leg from another
	}
	c.settle = sync.OnceFunc(func() {
		c.land()
		close(c.settled)
	})
	if auth == "" {
		c.pass()
		return c
	}
	life := tokenLife
	if c.flight != nil {
		c.flight.hurry()
		life = proofLife
	}
	c.mu.Lock() // which expire waits for
	defer c.mu.Unlock()
	c.expiry = time.AfterFunc(life, c.expire)
	return c
}

// pass makes it a connection whose authorization has been sent and accepted.
func (c *boundConn) pass() {
	c.opened.Store(true)
	c.usage.requests.Store(1)
	c.conclude()
}

// scheme returns the scheme of the authorization that goes with the next request,
// empty if none does.
func (c *boundConn) scheme() string {
	if c.opened.Load() {
		return ""
	}
	return c.method.scheme.Name()
}

// expire closes a connection whose authorization has waited too long.
func (c *boundConn) expire() {
	c.mu.Lock()
	unsent := !c.opened.Load()
	c.expired = unsent
	c.mu.Unlock()
	if unsent {
		c.Close()
	}
}

func (c *boundConn) Close() error {
	if c.expiry != nil {
		c.expiry.Stop()
	}
	if c.opened.Load() && !c.judged.Load() {
		c.loseProof(true)
	}
	c.land()
	return c.Conn.Close()
}

// loseProof notes, once, that what proves the credentials has got no answer. left
// says that nobody waits for it any longer.
func (c *boundConn) loseProof(left bool) {
	c.loss.Do(func() {
		if c.proof && !c.p.accepts(c.method) {
			c.spare.Store(!c.p.loseProof(c.method, c.broken.Target, left))
		}
	})
}

// unanswered returns the reason of what fails because the request that opened the
// connection was not answered.
func (c *boundConn) unanswered() error {
	c.loseProof(false)
	if c.spare.Load() {
		return errProofLost
	}
	return errUnanswered
}

func (c *boundConn) land() {
	if c.flight != nil {
		c.flight.land()
	}
}

// Write splices the pending authorization in behind the first request line.
func (c *boundConn) Write(b []byte) (int, error) {
	if !c.opened.Load() {
		return c.writeFirst(b)
	}
	if beginsRequest(b) {
		if c.astray && !c.takes(b) {
			c.Close()
			return 0, c.failure(errElsewhere)
		}
		c.awaiting.Store(true)
		c.usage.begun(c.method.habit)
	}
	n, err := c.Conn.Write(b)
	return n, c.unwritten(err)
}

func (c *boundConn) writeFirst(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.unfit(); err != nil {
		return 0, err
	}
	eol := bytes.IndexByte(b, '\n') + 1
	if eol == 0 {
		n, err := c.Conn.Write(b)
		return n, c.unwritten(err)
	}
	line := authorizationField + ": " + c.pending + "\r\n"
	c.expiry.Stop()
	c.stray(b)
	c.pending = ""
	c.opened.Store(true)
	c.usage.begun(c.method.habit)
	n, err := c.Conn.Write(bytes.Join([][]byte{b[:eol], []byte(line), b[eol:]}, nil))
	return min(n, max(eol, n-len(line))), c.unwritten(err)
}

// unfit returns why the authorization is not to be sent: it is too old, or what
// it proves has been refused or replaced since it was made, or lost its proof.
func (c *boundConn) unfit() error {
	current, proved := c.p.current()
	switch {
	case c.expired:
		return c.failure(errCutOff)
	case current != c.method || c.method.lapsed() || !proved && c.flight == nil:
		e := c.failure(errMethodChanged)
		e.Cause = CauseSchemeFailed
		return e
	}
	return nil
}

func (c *boundConn) failure(err error) *Error {
	e := *c.broken
	e.Err = err
	return &e
}

// beginsRequest reports whether b, which is written, is the beginning of a
// request: the answer to one may come while its body is still being written.
func beginsRequest(b []byte) bool {
	line := string(b[:min(len(b), 64)])
	_, target, ok := strings.Cut(line, " ")
	return ok && strings.HasPrefix(target, "http://")
}

// stray notes whether the request that begins with b, which carries the authorization,
// goes to another host than what has opened the connection, at a proxy that asks
// nothing for some.
func (c *boundConn) stray(b []byte) {
	_, target, _ := bytes.Cut(b, []byte(" "))
	if bytes.HasPrefix(target, []byte(c.target)) || !c.p.free.any() {
		return
	}
	host, _, _ := bytes.Cut(bytes.TrimPrefix(target, []byte("http://")), []byte("/"))
	c.target = "http://" + string(host) + "/"
	c.astray, c.opening.astray = true, true
}

// takes reports whether the request that begins with b can go over a connection that
// is astray: it goes to the same host, or can be made again, having no body.
func (c *boundConn) takes(b []byte) bool {
	_, target, _ := bytes.Cut(b, []byte(" "))
	if bytes.HasPrefix(target, []byte(c.target)) {
		return true
	}
	head, _, complete := bytes.Cut(b, []byte("\r\n\r\n"))
	return complete && !bytes.Contains(head, []byte("\r\nContent-Length: ")) && !bytes.Contains(head, []byte("\r\nTransfer-Encoding: "))
}

// ReadFrom lets a file be sent by the system, as without the boundConn.
func (c *boundConn) ReadFrom(r io.Reader) (int64, error) {
	if !c.opened.Load() {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	if limited, ok := r.(*io.LimitedReader); ok {
		if held, ok := limited.R.(*heldBody); ok {
			bare := &io.LimitedReader{R: held.take(), N: limited.N}
			defer func() { limited.N = bare.N }()
			r = bare
		}
	}
	n, err := io.Copy(c.Conn, r)
	if isWriteError(err) {
		err = c.unwritten(err)
	}
	return n, err
}

// isWriteError tells an error of a connection from one of a body.
func isWriteError(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op == "read" {
		return false
	}
	_, ok = errors.AsType[errno](err)
	return ok || errors.Is(err, net.ErrClosed)
}

// unwritten returns what a write fails with. A proxy that does not like a request
// may answer and close the connection before it has read all of it; what has
// arrived is judged before the failed write counts.
func (c *boundConn) unwritten(err error) error {
	if verdict := c.verdict.Load(); err != nil && verdict != nil {
		return *verdict
	}
	if err == nil || c.judged.Load() && !c.denied.Load() || errors.Is(err, net.ErrClosed) {
		return err
	}
	timer := time.NewTimer(lastWords)
	defer timer.Stop()
	select {
	case <-c.settled:
	case <-timer.C:
	}
	verdict := c.verdict.Load()
	switch {
	case verdict != nil:
		return *verdict
	case c.p.refused.has(c.method.print):
		e := c.failure(err)
		e.Cause = CauseCredentialsRejected
		return e
	case c.judged.Load():
		return err
	}
	return c.failure(fmt.Errorf("%w: %w", c.unanswered(), err))
}
