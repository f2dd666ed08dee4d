package testproxy

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"hash"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
)

// OriginConfig says how an [Origin] behaves.
type OriginConfig struct {
	// Handler answers the requests. Nil means one that reads the body and
	// answers "hello from METHOD PATH".
	Handler http.Handler

	// TLS makes it an https:// origin that speaks HTTP/1.1 and HTTP/2.
	TLS *tls.Config

	// Network is where it listens. Nil means loopback.
	Network *Network

	// Addr is the address to listen on. Empty means a free port of 127.0.0.1
	// or, in a Network, port 80 or 443 of origin.example.com.
	Addr string
}

// An Origin is a server that remembers what has reached it.
type Origin struct {
	config OriginConfig
	addr   string
	server *http.Server
	wg     sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	requests []*originRequest
}

// An OriginRequest is a request that has reached an [Origin].
type OriginRequest struct {
	Method, URI, Host, Proto string
	Header                   http.Header

	// BodyBytes is the length, and BodySHA256 the hash in hex, of what the
	// handler has read of the body.
	BodyBytes  int64
	BodySHA256 string
}

type originRequest struct {
	OriginRequest
	hash hash.Hash
}

// StartOrigin runs an origin until the test ends.
func StartOrigin(tb TB, config OriginConfig) *Origin {
	tb.Helper()
	o, err := OpenOrigin(config)
	if err != nil {
		tb.Fatalf("testproxy: %v", err)
	}
	tb.Cleanup(func() { o.Close() })
	return o
}

// OpenOrigin runs an origin until [Origin.Close].
func OpenOrigin(config OriginConfig) (*Origin, error) {
	name := "origin.example.com:80"
	if config.TLS != nil {
		name = "origin.example.com:443"
	}
	ln, err := listen(config.Network, config.Addr, name)
	if err != nil {
		return nil, err
	}
	o := &Origin{config: config, addr: ln.Addr().String()}
	o.server = &http.Server{
		Handler:   http.HandlerFunc(o.serve),
		ConnState: o.track,
		TLSConfig: config.TLS.Clone(),
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	o.wg.Go(func() { o.listenOn(ln) })
	return o, nil
}

func (o *Origin) listenOn(ln net.Listener) {
	if o.config.TLS == nil {
		o.server.Serve(ln)
		return
	}
	o.server.ServeTLS(ln, "", "")
}

// track lets Close wait for the goroutines of the connections.
func (o *Origin) track(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		o.wg.Add(1)
		o.refuseIfClosed(conn)
	case http.StateClosed, http.StateHijacked:
		o.wg.Done()
	}
}

// refuseIfClosed closes a connection that was accepted just when the server was
// closed, which net/http then misses.
func (o *Origin) refuseIfClosed(conn net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		conn.Close()
	}
}

// Close ends the origin and all of its connections, and waits for its handlers
// over HTTP/1.1.
func (o *Origin) Close() error {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	err := o.server.Close()
	o.wg.Wait()
	return err
}

// Addr returns the address that the origin listens on.
func (o *Origin) Addr() string { return o.addr }

// URL returns the origin's URL, with the port only if it is not the scheme's
// own, and without a path.
func (o *Origin) URL() string {
	scheme, own := "http", "80"
	if o.config.TLS != nil {
		scheme, own = "https", "443"
	}
	if host, port, _ := net.SplitHostPort(o.addr); port == own {
		return scheme + "://" + host
	}
	return scheme + "://" + o.addr
}

// Requests returns the requests since the last [Origin.Reset].
func (o *Origin) Requests() []OriginRequest {
	o.mu.Lock()
	defer o.mu.Unlock()
	requests := make([]OriginRequest, len(o.requests))
	for i, r := range o.requests {
		requests[i] = r.OriginRequest
		requests[i].BodySHA256 = hex.EncodeToString(r.hash.Sum(nil))
	}
	return requests
}

// Reset forgets all requests.
func (o *Origin) Reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests = nil
}

func (o *Origin) serve(w http.ResponseWriter, r *http.Request) {
	record := &originRequest{hash: sha256.New(), OriginRequest: OriginRequest{
		Method: r.Method, URI: r.RequestURI, Host: r.Host, Proto: r.Proto, Header: r.Header.Clone(),
	}}
	o.mu.Lock()
	o.requests = append(o.requests, record)
	o.mu.Unlock()
	r.Body = &hashedBody{ReadCloser: r.Body, origin: o, record: record}
	if o.config.Handler == nil {
		hello(w, r)
		return
	}
	o.config.Handler.ServeHTTP(w, r)
}

func hello(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	io.WriteString(w, "hello from "+r.Method+" "+r.URL.Path)
}

// A hashedBody puts what is read of a body on record.
type hashedBody struct {
	io.ReadCloser
	origin *Origin
	record *originRequest
}

func (b *hashedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.origin.mu.Lock()
	defer b.origin.mu.Unlock()
	b.record.hash.Write(p[:n])
	b.record.BodyBytes += int64(n)
	return n, err
}
