package proxyauth

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// maxBoundHead bounds the header of an answer that is examined.
const maxBoundHead = 256 << 10

var errHeadTooLong = errors.New("proxyauth: header of the answer is too long")

// answers is what a boundConn knows of what it reads.
type answers struct {
	opening *opening // until the first answer has been judged
	held    []byte   // the beginning of an answer's head
	ready   []byte   // what has been examined and not returned yet
	err     error    // what comes after it
}

// Read returns what the proxy sends, once it has examined the head of an answer
// where that is called for.
func (c *boundConn) Read(b []byte) (int, error) {
	for {
		if len(c.ready) > 0 {
			n := copy(b, c.ready)
			c.ready = c.ready[n:]
			return n, nil
		}
		if c.err != nil {
			return 0, c.err
		}
		n, err := c.Conn.Read(b)
		switch {
		case n == 0 && (err == nil || errors.Is(err, os.ErrDeadlineExceeded)):
			return 0, err
		case n == 0:
			c.ended(err)
		case c.concerns(b[:n]):
			c.held = append(c.held, b[:n]...)
			c.examine()
		default:
			return n, err
		}
	}
}

// concerns reports whether data is, or may be, part of a head to be examined.
func (c *boundConn) concerns(data []byte) bool {
	switch {
	case len(c.held) > 0:
		return true
	case !c.judged.Load():
		// What a proxy sends unasked, such as a 408, is net/http's business.
		return c.opened.Load()
	case !c.awaiting.Load():
		return false
	}
	matters := mayMatter(data)
	if !matters {
		c.awaiting.Store(false)
	}
	return matters
}

// mayMatter reports whether a head that begins with data is one of a 407, or of
// an informational answer that another follows, as far as can be seen.
func mayMatter(data []byte) bool {
	code, ok := statusCode(data)
	return ok && (bytes.HasPrefix([]byte("407"), code) || code[0] == '1')
}

// release passes on the first n bytes of what is held.
func (c *boundConn) release(n int) {
	c.ready = append(c.ready, c.held[:n]...)
	c.held = c.held[n:]
}

// fail passes on what is held and then, or in its place, err.
func (c *boundConn) fail(err error) {
	c.err = err
	c.settle()
}

// ended takes the end of the connection.
func (c *boundConn) ended(err error) {
	if _, isHTTP := statusCode(c.held); c.judged.Load() || !isHTTP {
		c.release(len(c.held))
	}
	if !c.judged.Load() {
		lost := errCutOff
		if c.opened.Load() {
			lost = c.unanswered()
		}
		err = c.failure(fmt.Errorf("%w: %w", lost, err))
	}
	c.fail(err)
}

// examine judges the heads that are held, as far as they are complete.
func (c *boundConn) examine() {
	for len(c.held) > 0 {
		if c.judged.Load() && !mayMatter(c.held) {
			c.awaiting.Store(false)
			c.release(len(c.held))
			return
		}
		end := headEnd(c.held)
		switch {
		case end < 0 && len(c.held) >= maxBoundHead:
			c.Close()
			c.fail(errHeadTooLong)
			return
		case end < 0:
			return
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(c.held[:end])), nil)
		switch {
		case err != nil:
			// net/http says what is wrong with it.
			c.conclude()
			c.release(len(c.held))
		case resp.StatusCode/100 == 1 && resp.StatusCode != http.StatusSwitchingProtocols:
			c.release(end)
		default:
			c.judge(resp)
			return
		}
	}
}

// conclude notes that the answer to the request under way has been seen.
func (c *boundConn) conclude() {
	if c.opening != nil {
		c.usage.answered.Store(time.Now().UnixNano())
	}
	c.opening = nil
	c.judged.Store(true)
	c.awaiting.Store(false)
	c.settle()
}

// judge takes the final answer, whose head is held.
func (c *boundConn) judge(resp *http.Response) {
	defer c.conclude()
	c.loss.Do(func() {}) // it was answered
	refused := resp.StatusCode == http.StatusProxyAuthRequired
	if o := c.opening; o != nil {
		c.denied.Store(refused)
		if err := c.judgeFirst(o, resp, refused); err != nil {
			c.verdict.Store(&err)
			c.Close()
			c.fail(err)
			return
		}
	}
	if refused {
		if c.opening == nil && len(resp.Header[challengeField]) > 0 {
			c.usage.askedAgain(c.method.habit)
		}
		// Nothing more can be done on this connection: net/http is not to
		// use it again.
		c.held = endConnection(c.held)
	}
	c.release(len(c.held))
}

// judgeFirst takes the answer to the closing authorization. The error is an *Error
// that takes the answer's place.
func (c *boundConn) judgeFirst(o *opening, resp *http.Response, refused bool) error {
	ctx, cancel := c.p.withTimeout(c.ctx)
	defer cancel()
	if !refused {
		return o.accepted(ctx, resp)
	}
	// What is to be done about a refusal is decided where the request is.
	info := o.info(opForward)
	err := o.challenged(ctx, resp)
	if errors.Is(err, errComplete) {
		c.held = withoutChallenges(c.held)
		return nil
	}
	if len(resp.Header[challengeField]) == 0 || c.p.refused.has(c.method.print) {
		return nil
	}
	c.p.challenged(ctx, info, resp)
	if o.method == nil {
		return o.fail(CauseSchemeFailed, nil)
	}
	return o.fail(CauseHandshakeBroken, errAskedAgain)
}

// withoutChallenges returns data, which begins with the head of an answer, without what
// the proxy has added to an origin server's 407.
func withoutChallenges(data []byte) []byte {
	end := headEnd(data)
	var kept []byte
	skip := false
	for line := range bytes.Lines(data[:end]) {
		if folded := line[0] == ' ' || line[0] == '\t'; !folded {
			name, _, _ := bytes.Cut(line, []byte(":"))
			skip = strings.EqualFold(string(name), challengeField)
		}
		if !skip {
			kept = append(kept, line...)
		}
	}
	return append(kept, data[end:]...)
}
