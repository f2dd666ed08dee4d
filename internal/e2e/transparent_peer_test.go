package e2e_test

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
)

// A scriptedProxy plays the part of the proxy in a script, and of the origin server behind
// it. It believes any authorization of its scheme.
type scriptedProxy struct {
	script *randomScript
	scheme string // none if empty
	ntlm   *ntlmserver.Server
	start  time.Time

	mu     sync.Mutex
	seen   []string          // what of the requests is not authentication
	served map[net.Conn]bool // connections that have carried a step
	known  map[int]bool      // steps whose request has come
	open   map[net.Conn]bool
}

// stepID is the field by which the proxy knows which step a request belongs to.
const stepID = "Step"

func (p *scriptedProxy) serve(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.open[conn] = true
		p.mu.Unlock()
		go func() {
			p.serveConn(conn)
			conn.Close()
			p.mu.Lock()
			delete(p.open, conn)
			p.mu.Unlock()
		}()
	}
}

// hangUp closes all connections, and returns how many there were.
func (p *scriptedProxy) hangUp() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		conn.Close()
	}
	return len(p.open)
}

func (p *scriptedProxy) record(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, fmt.Sprintf("proxy, %v: ", time.Since(p.start))+fmt.Sprintf(format, args...))
}

func (p *scriptedProxy) serveConn(raw net.Conn) {
	conn := raw
	if p.script.tlsProxy {
		conn = tls.Server(raw, scriptedProxyTLS)
	}
	a := &scriptedAuth{proxy: p}
	for br := bufio.NewReader(conn); ; {
		head, req, next := readRequest(br)
		if req == nil {
			return
		}
		br = next
		switch challenge, tunnel := a.challenge(req), req.Method == http.MethodConnect; {
		case challenge != "":
			io.Copy(io.Discard, req.Body)
			io.WriteString(conn, "HTTP/1.1 407 No\r\nProxy-Authenticate: "+challenge+"\r\nContent-Length: 0\r\n\r\n")
		case tunnel:
			p.record("%s", head)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
			if p.script.http2 {
				p.serveHTTP2(raw, tls.Server(&readConn{conn, br}, scriptedHTTP2))
				return
			}
			conn = tls.Server(&readConn{conn, br}, originConfig)
			br, a.done = bufio.NewReader(conn), true
		case req.Header.Get(stepID) == "": // a probe, or one of begin
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		default:
			if !p.answer(raw, conn, req, head) {
				return
			}
		}
	}
}

var scriptedProxyTLS = ca.ServerConfig("proxy.example.com")

// A readConn is a connection that is read by another reader.
type readConn struct {
	net.Conn
	r io.Reader
}

func (c *readConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// readRequest returns the next request, nil if there is none, its head but for what only a
// Transport sends, and the reader of its body and what follows.
func readRequest(br *bufio.Reader) (head []byte, req *http.Request, next *bufio.Reader) {
	var all []byte
	for !bytes.HasSuffix(all, []byte("\r\n\r\n")) {
		line, err := br.ReadSlice('\n')
		if all = append(all, line...); err != nil && err != bufio.ErrBufferFull {
			return nil, nil, nil
		}
	}
	for line := range bytes.Lines(all) {
		if !bytes.HasPrefix(line, []byte("Proxy-Authorization: ")) && string(line) != "Proxy-Connection: keep-alive\r\n" {
			head = append(head, line...)
		}
	}
	next = bufio.NewReader(io.MultiReader(bytes.NewReader(all), br))
	req, _ = http.ReadRequest(next)
	return head, req, next
}

// answer plays the step of a request, and reports whether the connection is kept.
func (p *scriptedProxy) answer(raw, conn net.Conn, req *http.Request, head []byte) bool {
	p.mu.Lock()
	reused := p.served[raw]
	p.served[raw] = true
	p.mu.Unlock()
	p.record("reused %t: %s", reused, head)
	time.Sleep(time.Millisecond) // until the program has done what it does now
	i, _ := strconv.Atoi(req.Header.Get(stepID))
	a := p.script.steps[i].answer
	if req.Header.Get("Expect") != "" {
		io.WriteString(conn, cont)
	}
	n, err := io.Copy(io.Discard, req.Body)
	if err != nil {
		p.record("body broken off")
		return false
	}
	p.record("body of %d bytes, trailer %v", n, req.Trailer)
	for part := range slices.Chunk([]byte(a.text), max(1, cmp.Or(a.piece, len(a.text)))) {
		conn.Write(part)
	}
	time.Sleep(time.Millisecond)
	switch {
	case a.after == "silent":
		io.Copy(io.Discard, raw)
	case a.after == "reset":
		raw.(interface{ SetLinger(int) error }).SetLinger(0)
	case a.later == "closed":
		time.Sleep(10 * time.Millisecond)
	case a.after == "kept":
		if a.later != "" {
			time.Sleep(10 * time.Millisecond)
			io.WriteString(conn, a.later)
		}
		return true
	}
	return false
}

// A scriptedAuth is what the proxy knows of the authentication of a connection.
type scriptedAuth struct {
	proxy *scriptedProxy
	ntlm  *ntlmserver.Context
	done  bool // no request needs it any more
}

// challenge returns the challenge to a request, or "" if it may pass.
func (a *scriptedAuth) challenge(req *http.Request) string {
	scheme, token, _ := strings.Cut(req.Header.Get("Proxy-Authorization"), " ")
	switch want := a.proxy.scheme; {
	case want == "" || a.done:
		return ""
	case want == "Basic" && scheme != want:
		return `Basic realm="lab"`
	case want == "Digest" && scheme != want:
		return `Digest realm="lab", nonce="abc", qop="auth", algorithm=SHA-256`
	case want != "NTLM":
		return ""
	case scheme != want:
		return want
	}
	if a.ntlm == nil {
		var binding []byte
		if a.proxy.script.tlsProxy {
			binding = ntlmserver.ServerEndPoint(scriptedProxyTLS.Certificates[0].Leaf)
		}
		a.ntlm = a.proxy.ntlm.NewContext(binding)
	}
	in, _ := base64.StdEncoding.DecodeString(token)
	out, done, err := a.ntlm.Accept(in)
	if err != nil {
		return "NTLM"
	}
	if a.done = done; done {
		return ""
	}
	return "NTLM " + base64.StdEncoding.EncodeToString(out)
}
