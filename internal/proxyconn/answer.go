package proxyconn

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// defaultMaxHead bounds the header of an answer as net/http does.
	defaultMaxHead = 10 << 20

	// maxInformational bounds the 1xx answers before the final one.
	maxInformational = 8

	// maxKept is how much is kept of the body of a refusal. squid's error pages
	// have 3 KB.
	maxKept = 256 << 10

	// maxRead is how much of such a body is read so that the connection can be
	// used again. A handshake costs less than more.
	maxRead = 512 << 10

	// bodyTime bounds the wait for such a body.
	bodyTime = 5 * time.Second

	// quietTime ends a body without length where the next leg must go over the same
	// connection.
	quietTime = 100 * time.Millisecond
)

var (
	// ErrNotHTTP is the error for an answer that is no HTTP/1, or has a header or a
	// framing that can't be parsed.
	ErrNotHTTP = errors.New("the answer is not HTTP")

	// ErrTLSAnswer is the error for an answer that is TLS. It is an ErrNotHTTP.
	ErrTLSAnswer error = tlsAnswer{}

	// ErrHeadTooLong is the error for a header that is longer than Leg.MaxHead.
	ErrHeadTooLong = errors.New("the header of the answer is too long")

	// ErrInformational is the error for too many 1xx answers.
	ErrInformational = errors.New("too many informational answers")
)

type tlsAnswer struct{}

func (tlsAnswer) Error() string { return "the answer is not HTTP, but TLS" }
func (tlsAnswer) Unwrap() error { return ErrNotHTTP }

// exchange sends data, which is req, and reads the answer.
func (c *Conn) exchange(leg Leg, req *http.Request, data []byte) (*http.Response, error) {
	if err := c.unasked(); err != nil {
		return nil, err
	}
	n, writeErr := c.conn.Write(data)
	c.progress.Written = n > 0
	// A proxy may answer before it has read all, and reset the connection: what has
	// arrived counts more than a failed write.
	head, resp, err := c.readFinal(req, leg.maxHead())
	switch {
	case err != nil:
		return nil, cmp.Or(writeErr, err)
	case resp.StatusCode/100 == 2:
		c.phase = open
		return resp, writeErr
	}
	c.served = true
	return c.refusal(leg, head, resp, writeErr == nil)
}

// unasked fails if something has come since the last answer: the rest of its body, or
// the end of the connection. Nothing is to be sent then.
func (c *Conn) unasked() error {
	if len(c.filling) == 0 {
		return nil
	}
	return cmp.Or(c.filled(), ErrNotHTTP)
}

func (l *Leg) maxHead() int64 {
	if l.MaxHead > 0 {
		return l.MaxHead
	}
	return defaultMaxHead
}

// readFinal returns the first answer that is not informational, without its framing,
// and the bytes of its header. These have at most limit bytes, together with those
// before.
func (c *Conn) readFinal(req *http.Request, limit int64) (head []byte, resp *http.Response, err error) {
	for range maxInformational + 1 {
		if head, err = c.readHead(limit); err != nil {
			return nil, nil, err
		}
		resp, err = parseHead(head, req)
		// A 101 ends HTTP on the connection, and is not to be skipped.
		if err != nil || resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols {
			return head, resp, err
		}
		limit -= int64(len(head))
	}
	return nil, nil, ErrInformational
}

// readHead reads up to the first blank line.
func (c *Conn) readHead(limit int64) (head []byte, err error) {
	if err := c.checkStart(); err != nil {
		return nil, err
	}
	for start := 0; ; {
		part, err := c.br.ReadSlice('\n')
		head = append(head, part...)
		switch {
		case int64(len(head)) > limit:
			return nil, ErrHeadTooLong
		case err == bufio.ErrBufferFull:
			continue
		case err != nil:
			return nil, noEOF(err)
		}
		if line := head[start:]; string(line) == "\n" || string(line) == "\r\n" {
			return head, nil
		}
		start = len(head)
	}
}

// checkStart fails as soon as an answer can't be HTTP, instead of waiting for the end
// of a line that may never come.
func (c *Conn) checkStart() error {
	if err := c.filled(); err != nil {
		return err
	}
	const version = "HTTP/"
	start, err := c.br.Peek(len(version))
	c.progress.Read = c.progress.Read || len(start) > 0
	switch {
	case bytes.HasPrefix(start, []byte{0x15, 3}): // an alert (RFC 8446, Section 5.1)
		return ErrTLSAnswer
	case !strings.HasPrefix(version, string(start)):
		return ErrNotHTTP
	case len(start) > 0:
		return noEOF(err)
	}
	return err
}

// noEOF returns err for a place where no end is expected.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseHead returns the answer that head begins, without its body. Close tells what
// Connection says.
func parseHead(head []byte, req *http.Request) (*http.Response, error) {
	in := bufio.NewReader(bytes.NewReader(withoutFraming(head)))
	// An answer to a HEAD does not say by its framing that the connection ends.
	resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodHead})
	if err != nil {
		return nil, ErrNotHTTP // err may quote what the proxy has echoed
	}
	resp.Request, resp.ContentLength = req, 0
	return resp, nil
}

// withoutFraming returns head without the fields that tell the length of a body.
func withoutFraming(head []byte) []byte {
	var kept []byte
	drop := false
	for line := range bytes.Lines(head) {
		if folded := line[0] == ' ' || line[0] == '\t'; !folded {
			name, _, _ := strings.Cut(string(line), ":")
			drop = strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "Transfer-Encoding")
		}
		if !drop {
			kept = append(kept, line...)
		}
	}
	return kept
}

// refusal returns the answer that head begins, which is no 2xx, with its body. The
// connection is closed if it can't be used again.
func (c *Conn) refusal(leg Leg, head []byte, parsed *http.Response, keep bool) (*http.Response, error) {
	in := bufio.NewReader(io.MultiReader(bytes.NewReader(head), c.br))
	resp, err := http.ReadResponse(in, parsed.Request)
	if err != nil {
		return nil, ErrNotHTTP
	}
	keep = keep && persists(parsed)
	timer := time.AfterFunc(bodyTime, c.abort)
	var whole bool
	switch {
	case resp.ContentLength >= 0 || len(resp.TransferEncoding) > 0:
		whole = keepBody(resp)
	case keep && leg.Bound != nil && leg.Bound(resp):
		whole = c.keepUntilQuiet(resp)
	default:
		early, _ := c.br.Peek(c.br.Buffered())
		resp.Body = newBody(bytes.Clone(early), false)
	}
	timely := timer.Stop()
	// What follows the body was not asked for, and must not pass for the answer to
	// the next leg. A read that is under way has found nothing.
	more := c.filling == nil && in.Buffered()+c.br.Buffered() > 0
	if !keep || !whole || !timely || more {
		c.end()
	}
	return resp, nil
}

// persists reports whether the proxy says that it keeps the connection open. squid 2
// says so in Proxy-Connection alone, which is in no standard (RFC 9112, Appendix C.2.2).
func persists(resp *http.Response) bool {
	switch field := resp.Header["Proxy-Connection"]; {
	case resp.StatusCode == http.StatusSwitchingProtocols || hasToken(field, "close"):
		return false
	case !resp.Close:
		return true
	case resp.ProtoAtLeast(1, 1) || hasToken(resp.Header["Connection"], "close"):
		return false
	default:
		return hasToken(field, "keep-alive")
	}
}

// hasToken reports whether a field that is a list of tokens has token.
func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}
