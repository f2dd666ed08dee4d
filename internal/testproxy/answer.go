package testproxy

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// An answer is what the proxy is about to send, before faults.
type answer struct {
	proto  string
	status int
	reason string
	header http.Header
	body   io.Reader // nil if there is none
	length int64     // of body, -1 if unknown
	close  bool      // the connection is closed afterwards, and the answer says so
	quiet  bool      // the answer does not say so
	drop   bool      // there is no answer at all
}

// page returns an answer of the proxy's own, with a body for people.
func page(status int) *answer {
	a := newAnswer(status)
	a.header.Set("Content-Type", "text/plain; charset=utf-8")
	a.setBody(fmt.Sprintf("testproxy: %d %s\n", status, a.reason))
	return a
}

func newAnswer(status int) *answer {
	return &answer{
		proto:  "HTTP/1.1",
		status: status,
		reason: cmp.Or(http.StatusText(status), "Unknown"),
		header: make(http.Header),
	}
}

func (a *answer) setBody(text string) {
	a.body, a.length = strings.NewReader(text), int64(len(text))
}

func (a *answer) add(h http.Header) {
	for name, values := range h {
		a.header[name] = append(a.header[name], values...)
	}
}

// misbehave applies what the fault says of status, challenges and body.
func (a *answer) misbehave(f *Action) {
	if f.Status != 0 {
		a.status = f.Status
		a.reason = cmp.Or(http.StatusText(f.Status), "Unknown")
	}
	a.reason = cmp.Or(f.Reason, a.reason)
	a.proto = cmp.Or(f.Proto, a.proto)
	if f.Challenges != nil {
		a.header["Proxy-Authenticate"] = f.Challenges
	}
	a.close = a.close || f.SayClose
	a.quiet = f.Close || f.Reset
	switch {
	case f.Empty:
		a.setBody("")
	case f.Body != "":
		a.setBody(f.Body)
	case f.Fill > 0:
		a.body, a.length = io.LimitReader(filler{}, f.Fill), f.Fill
	case f.Fill < 0:
		a.body, a.length = filler{}, -1
	}
}

// bodiless reports whether the answer to method ends with its header, whatever
// that says (RFC 9112, Section 6.3).
func (a *answer) bodiless(method string) bool {
	return method == http.MethodHead || a.status/100 == 1 || a.status == http.StatusNoContent ||
		a.status == http.StatusNotModified || method == http.MethodConnect && successful(a.status)
}

// frame chooses how the body's end is told and says so in the header.
func (a *answer) frame(req *http.Request, f *Action) Framing {
	old := !req.ProtoAtLeast(1, 1) || a.proto == "HTTP/1.0"
	framing := f.Framing
	if framing == FramingAuto && a.length < 0 {
		framing = FramingChunked
		if old {
			framing = FramingClose
		}
	}
	if a.bodiless(req.Method) && !(f.BodyToHead && req.Method == http.MethodHead) {
		a.body = nil
	}
	a.close = a.close || old && !f.Keep || req.Close || framing == FramingClose
	a.frameHeader(req, framing)
	return framing
}

func (a *answer) frameHeader(req *http.Request, framing Framing) {
	switch {
	case a.bodiless(req.Method) && req.Method != http.MethodHead:
		return
	case framing == FramingClose:
		a.header.Del("Content-Length")
	case framing == FramingChunked:
		a.header.Del("Content-Length")
		a.header.Set("Transfer-Encoding", "chunked")
	case framing == FramingAuto && a.length >= 0:
		a.header.Set("Content-Length", strconv.FormatInt(a.length, 10))
	}
	if a.close && !a.quiet {
		a.header.Set("Connection", "close")
	}
}

// override applies the fault's header, after all that the proxy would say.
func (a *answer) override(h http.Header) {
	for name, values := range h {
		if len(values) == 0 {
			delete(a.header, name)
			continue
		}
		a.header[name] = slices.Clone(values)
	}
}

func (a *answer) statusLine() string {
	return fmt.Sprintf("%s %03d %s\r\n", a.proto, a.status, a.reason)
}

func (a *answer) fields() string {
	var b bytes.Buffer
	a.header.Write(&b)
	return b.String()
}
