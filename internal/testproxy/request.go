package testproxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
)

const (
	// maxHeadBytes bounds a request's head. Kerberos tokens with many groups
	// take up to 64 KiB of it.
	maxHeadBytes = 1 << 20

	// maxBufferedBody bounds a body that has to be known before it is passed
	// on, for auth-int.
	maxBufferedBody = 64 << 20
)

var (
	errHeadTooLarge = errors.New("request head too large")
	errBodyTooLarge = errors.New("body too large for auth-int")
)

// readHead reads a request's head, with the empty line that ends it. It returns
// what has come so far together with an error.
func readHead(r *bufio.Reader) (string, error) {
	var head []byte
	for len(head) <= maxHeadBytes {
		part, err := r.ReadSlice('\n')
		head = append(head, part...)
		if err != nil && err != bufio.ErrBufferFull {
			return string(head), err
		}
		if endsHead(head) {
			return string(head), nil
		}
	}
	return string(head), errHeadTooLarge
}

func endsHead(head []byte) bool {
	rest, ok := bytes.CutSuffix(head, []byte("\n"))
	if !ok {
		return false
	}
	rest = bytes.TrimSuffix(rest, []byte("\r"))
	return len(rest) == 0 || rest[len(rest)-1] == '\n'
}

// parseHead parses a head on its own, so that its body stays unread in the
// connection.
func parseHead(head string) (*http.Request, error) {
	return http.ReadRequest(bufio.NewReaderSize(strings.NewReader(head), min(len(head), 4<<10)))
}

// rawField returns the values of a field as they stand in head, which ReadRequest
// does not tell of Host.
func rawField(head, name string) []string {
	var values []string
	for line := range strings.SplitSeq(head, "\n") {
		field, value, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(field, name) {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}

// A requestBody reads a request's body from the connection.
type requestBody struct {
	src     io.Reader
	trailer *bufio.Reader // where the trailer follows a chunked body, else nil
	count   func(n int)
	onRead  func() // called before the first byte is read
	err     error  // of an earlier Read
}

// newRequestBody returns the body of req, whose bytes come from r. It is nil if
// there is none.
func newRequestBody(req *http.Request, r *bufio.Reader, count func(int)) *requestBody {
	switch {
	case len(req.TransferEncoding) > 0:
		return &requestBody{src: httputil.NewChunkedReader(r), trailer: r, count: count}
	case req.ContentLength > 0:
		return &requestBody{src: &io.LimitedReader{R: r, N: req.ContentLength}, count: count}
	}
	return nil
}

func (b *requestBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	b.prompt()
	n, err := b.src.Read(p)
	b.count(n)
	if err == io.EOF {
		err = b.end()
	}
	b.err = err
	return n, err
}

// prompt makes a client send the body that waits to be told to.
func (b *requestBody) prompt() {
	if b.onRead != nil {
		b.onRead()
		b.onRead = nil
	}
}

// end tells the end of the body from the end of the connection.
func (b *requestBody) end() error {
	if l, ok := b.src.(*io.LimitedReader); ok && l.N > 0 {
		return io.ErrUnexpectedEOF
	}
	if b.trailer == nil {
		return io.EOF
	}
	return skipTrailer(b.trailer)
}

func skipTrailer(r *bufio.Reader) error {
	for read := 0; read <= maxHeadBytes; {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return io.EOF
		}
		read += len(line)
	}
	return errHeadTooLarge
}

// buffer reads the whole body, which can then be read once more.
func (b *requestBody) buffer() ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(b, maxBufferedBody+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxBufferedBody:
		return nil, errBodyTooLarge
	}
	*b = requestBody{src: bytes.NewReader(data), count: func(int) {}}
	return data, nil
}

// drain reads up to limit bytes of what is left of the body. It reports whether
// that was less than limit, and the end of the body.
func (b *requestBody) drain(limit int64) bool {
	if b == nil {
		return true
	}
	n, err := io.Copy(io.Discard, io.LimitReader(b, limit))
	return err == nil && n < limit
}
