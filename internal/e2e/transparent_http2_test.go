package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"
)

var scriptedHTTP2 = func() *tls.Config {
	config := originConfig.Clone()
	config.NextProtos = []string{"h2"}
	return config
}()

// The parts of HTTP/2 that a script has to do with (RFC 9113, Sections 6 and 7).
const (
	frameData, frameHeaders, frameReset, frameSettings = 0, 1, 3, 4
	framePing, frameGoAway, frameWindow, frameMore     = 6, 7, 8, 9

	endStream, ack, endHeaders, priority = 1, 1, 4, 0x20

	noError, protocolError, internalError, refusedStream, cancel, calm, http11Required = 0, 1, 2, 7, 8, 11, 13
)

// A scriptedConn is a connection over which the origin server speaks HTTP/2, in a tunnel.
type scriptedConn struct {
	*scriptedProxy
	raw, conn net.Conn

	mu     sync.Mutex // guards what follows
	block  bytes.Buffer
	fields *hpack.Encoder

	bodies map[uint32]int // length of the body of each stream, of the reader
	head   []byte         // the header of a request as far as it is there, of the reader
}

func (p *scriptedProxy) serveHTTP2(raw, conn net.Conn) {
	c := &scriptedConn{scriptedProxy: p, raw: raw, conn: conn, bodies: make(map[uint32]int)}
	c.fields = hpack.NewEncoder(&c.block)
	decoder := hpack.NewDecoder(4096, nil)
	br := bufio.NewReader(conn)
	if _, err := br.Discard(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")); err != nil {
		return
	}
	c.write(frameSettings, 0, 0, nil)
	for {
		var head [9]byte
		if _, err := io.ReadFull(br, head[:]); err != nil {
			return
		}
		payload := make([]byte, binary.BigEndian.Uint32(head[:])>>8)
		if _, err := io.ReadFull(br, payload); err != nil {
			return
		}
		c.take(decoder, head[3], head[4], binary.BigEndian.Uint32(head[5:]), payload)
	}
}

// write writes a frame.
func (c *scriptedConn) write(kind, flags byte, stream uint32, payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeLocked(kind, flags, stream, payload)
}

func (c *scriptedConn) writeLocked(kind, flags byte, stream uint32, payload []byte) {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	head = binary.BigEndian.AppendUint32(append(head, flags), stream)
	c.conn.Write(append(head, payload...))
}

// take takes a frame of the client.
func (c *scriptedConn) take(decoder *hpack.Decoder, kind, flags byte, stream uint32, payload []byte) {
	switch {
	case kind == frameSettings && flags&ack == 0, kind == framePing && flags&ack == 0:
		if kind == frameSettings {
			payload = nil
		}
		c.write(kind, ack, 0, payload)
	case kind == frameReset:
		go c.brokenOff(binary.BigEndian.Uint32(payload))
	case kind == frameData:
		if c.bodies[stream] += len(payload); len(payload) > 0 {
			c.write(frameWindow, 0, 0, number(len(payload)))
			c.write(frameWindow, 0, stream, number(len(payload)))
		}
		if flags&endStream != 0 {
			c.record("body of %d bytes", c.bodies[stream])
		}
	case kind == frameHeaders, kind == frameMore:
		if kind == frameHeaders {
			c.head = nil
			if flags&priority != 0 {
				payload = payload[5:]
			}
		}
		if c.head = append(c.head, payload...); flags&endHeaders == 0 {
			return
		}
		fields, _ := decoder.DecodeFull(c.head)
		if n, known := c.bodies[stream]; known {
			c.record("body of %d bytes, trailer %v", n, fields)
			return
		}
		c.bodies[stream] = 0
		go c.answerHTTP2(stream, fields)
	}
}

// brokenOff notes that the client ends a stream, unless it ends the connection, too: net/http may
// or may not say so before.
func (c *scriptedConn) brokenOff(code uint32) {
	time.Sleep(time.Microsecond)
	c.scriptedProxy.mu.Lock()
	open := c.open[c.raw]
	c.scriptedProxy.mu.Unlock()
	if open {
		c.record("stream broken off: %d", code)
	}
}

func number(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

// answerHTTP2 plays the step of a request.
func (c *scriptedConn) answerHTTP2(id uint32, fields []hpack.HeaderField) {
	var lines []string
	header := make(http.Header)
	for _, f := range fields {
		lines = append(lines, f.Name+": "+f.Value)
		header.Add(f.Name, f.Value)
	}
	step := header.Get(stepID)
	if step == "" { // one of begin
		c.writeHeaders(id, endStream, ":status", "200")
		return
	}
	slices.Sort(lines) // net/http has no order
	i, _ := strconv.Atoi(step)
	c.scriptedProxy.mu.Lock()
	reused, again := c.served[c.raw], c.known[i]
	c.served[c.raw], c.known[i] = true, true
	c.scriptedProxy.mu.Unlock()
	c.record("reused %t: %s", reused, strings.Join(lines, "\n"))
	time.Sleep(time.Millisecond) // until the program has done what it does now
	if header.Get("Expect") != "" {
		c.writeHeaders(id, 0, ":status", "100")
		time.Sleep(time.Millisecond)
	}
	for _, event := range c.script.steps[i].answer.events {
		if event.once && again {
			continue // net/http would repeat the request for ever, or after a random time
		}
		event.do(c, id)
		time.Sleep(time.Millisecond)
		if event.last {
			return
		}
	}
}

func (c *scriptedConn) writeHeaders(stream uint32, flags byte, fields ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.block.Reset()
	for f := range slices.Chunk(fields, 2) {
		c.fields.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	c.writeLocked(frameHeaders, flags|endHeaders, stream, c.block.Bytes())
}

// An http2Event is something that the server does with a stream, or with its connection.
type http2Event struct {
	do   func(c *scriptedConn, id uint32)
	once bool // not if the request comes again
	last bool // nothing follows
}

// newHTTP2Answer returns what the server does with a request.
func (s *randomScript) newHTTP2Answer(method string) (events []http2Event) {
	add := func(do func(*scriptedConn, uint32)) { events = append(events, http2Event{do: do}) }
	disturb := func(n int) {
		if s.oneIn(n) {
			events = append(events, s.newHTTP2Fault())
		}
	}
	disturb(12)
	for range choose(s, 0, 1, 3) {
		add(func(c *scriptedConn, id uint32) { c.writeHeaders(id, 0, ":status", "103", "link", "</a>") })
	}
	status := choose(s, "200", "204", "206", "304", "302", "303", "307", "401", "407", "408", "421", "500", "503", "101", "999", "2x0", "")
	fields := []string{":status", status}
	if status == "" {
		fields = nil
	}
	switch status {
	case "302", "303", "307":
		fields = append(fields, "location", choose(s, "/next", "", "http://origin.example.com/"))
	case "407":
		fields = append(fields, "proxy-authenticate", choose(s, `Basic realm="lab"`, "NTLM", "Negotiate"))
	}
	body := strings.Repeat("body ", choose(s, 5, 0, 2000))
	if method == http.MethodHead || status == "204" || status == "304" {
		body = choose(s, "", body)
	}
	fields = append(fields, choose(s, []string{"content-length", fmt.Sprint(len(body))},
		nil, []string{"content-length", fmt.Sprint(len(body) + 1)}, []string{"content-length", "-1"}, []string{"content-length", "1", "content-length", "2"})...)
	fields = append(fields, choose(s, nil, []string{"set-cookie", "c=d"}, []string{"x-long", strings.Repeat("a", 3000)}, []string{"Upper", "v"},
		[]string{"connection", "close"}, []string{"transfer-encoding", "chunked"}, []string{"trailer", "checksum"}, []string{"bad name", "v"})...)
	end := choose(s, "with the body", "with nothing", "with the trailer", "never")
	add(func(c *scriptedConn, id uint32) {
		c.writeHeaders(id, flag(body == "" && end == "with the body"), fields...)
	})
	disturb(12)
	piece := choose(s, max(1, len(body)), 1000)
	if body != "" {
		add(func(c *scriptedConn, id uint32) {
			for text := body; text != ""; {
				part := text[:min(piece, len(text))]
				text = text[len(part):]
				c.write(frameData, flag(text == "" && end == "with the body"), id, []byte(part))
			}
		})
	}
	disturb(12)
	switch end {
	case "with nothing":
		add(func(c *scriptedConn, id uint32) { c.write(frameData, endStream, id, nil) })
	case "with the trailer":
		trailer := choose(s, []string{"checksum", "1", "other", "2"}, []string{":status", "200"}, []string{"Upper", "v"})
		add(func(c *scriptedConn, id uint32) { c.writeHeaders(id, endStream, trailer...) })
	}
	if s.oneIn(8) {
		add(func(*scriptedConn, uint32) { time.Sleep(10 * time.Millisecond) })
		disturb(1)
	}
	return events
}

// flag returns the flag for the end of a stream.
func flag(end bool) byte {
	if end {
		return endStream
	}
	return 0
}

// newHTTP2Fault returns something that may go wrong.
func (s *randomScript) newHTTP2Fault() http2Event {
	code := choose(s, noError, cancel, internalError, protocolError, calm, http11Required)
	frame := func(kind, flags byte, payload ...int) func(*scriptedConn, uint32) {
		var b []byte
		for _, n := range payload {
			b = append(b, number(n)...)
		}
		return func(c *scriptedConn, id uint32) { c.write(kind, flags, id, b) }
	}
	goAway := func(before uint32, code int) func(*scriptedConn, uint32) {
		return func(c *scriptedConn, id uint32) {
			c.write(frameGoAway, 0, 0, append(number(int(id-before)), number(code)...))
		}
	}
	streams := []byte{0, 3, 0, 0, 0, byte(s.IntN(2))} // SETTINGS_MAX_CONCURRENT_STREAMS
	faults := []http2Event{
		{do: frame(frameReset, 0, code), last: true},
		{do: frame(frameReset, 0, refusedStream), last: true},
		{do: goAway(0, noError)},
		{do: goAway(0, code)},
		{do: goAway(2, noError), last: true},
		{do: goAway(2, code), last: true},
		{do: func(c *scriptedConn, _ uint32) { c.write(frameSettings, 0, 0, streams) }},
		{do: func(c *scriptedConn, _ uint32) { c.write(framePing, 0, 0, make([]byte, 8)) }},
		{do: frame(99, 0, 1)},
		{do: func(c *scriptedConn, id uint32) { c.write(frameData, endStream, id+100, []byte("another stream")) }},
		{do: func(c *scriptedConn, _ uint32) { io.WriteString(c.conn, "HTTP/1.1 400 Bad Request\r\n\r\n") }},
		{do: func(c *scriptedConn, _ uint32) { c.conn.Close() }, last: true},
		{do: func(c *scriptedConn, _ uint32) { c.raw.Close() }, last: true},
		{do: func(c *scriptedConn, _ uint32) {
			c.raw.(interface{ SetLinger(int) error }).SetLinger(0)
			c.raw.Close()
		}, last: true},
		{do: func(*scriptedConn, uint32) {}, last: true}, // silent
	}
	fault := faults[s.IntN(len(faults))]
	fault.once = true
	return fault
}
