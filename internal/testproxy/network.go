package testproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// maxBacklog is how many connections wait to be accepted before more are
// refused.
const maxBacklog = 4096

// A Network is a network of TCP-like connections inside the process. What waits
// on it waits for a condition, so that it works in a bubble of testing/synctest.
// It has no latency, and its names need no DNS.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*memListener
	holes     map[string]bool
	ports     int
}

// NewNetwork returns a network that nobody listens on.
func NewNetwork() *Network {
	return &Network{
		listeners: make(map[string]*memListener),
		holes:     make(map[string]bool),
		ports:     49151,
	}
}

// Listen listens on addr, a host of any name and a port, which is chosen if it
// is 0.
func (n *Network) Listen(addr string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if port == "0" {
		addr = n.freeAddr(host)
	}
	if n.listeners[addr] != nil {
		return nil, opError("listen", memAddr(addr), nil, errAddrInUse)
	}
	ln := &memListener{network: n, addr: memAddr(addr)}
	ln.cond.L = &ln.mu
	n.listeners[addr] = ln
	return ln, nil
}

func (n *Network) freeAddr(host string) string {
	n.ports++
	return net.JoinHostPort(host, fmt.Sprint(n.ports))
}

// Dial is [Network.DialContext] without a context.
func (n *Network) Dial(network, addr string) (net.Conn, error) {
	return n.DialContext(context.Background(), network, addr)
}

// DialContext connects to a listener. A host that nobody listens on does not
// exist, a port is refused. It fits http.Transport.DialContext.
func (n *Network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, opError("dial", nil, memAddr(addr), err)
	}
	n.mu.Lock()
	hole, ln, local := n.holes[addr], n.listeners[addr], n.freeAddr("127.0.0.1")
	err := n.unreachable(addr)
	n.mu.Unlock()
	switch {
	case hole:
		<-ctx.Done()
		return nil, opError("dial", nil, memAddr(addr), ctx.Err())
	case ln == nil:
		return nil, opError("dial", nil, memAddr(addr), err)
	}
	client, server := pipe(memAddr(local), memAddr(addr))
	if !ln.enqueue(server) {
		return nil, opError("dial", nil, memAddr(addr), errConnRefused)
	}
	return client, nil
}

// unreachable returns why nothing answers at addr.
func (n *Network) unreachable(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	for other := range n.listeners {
		if name, _, _ := net.SplitHostPort(other); name == host {
			return errConnRefused
		}
	}
	if net.ParseIP(host) != nil {
		return errConnRefused
	}
	return &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// Blackhole makes DialContext wait for the end of its context when it is asked
// for addr.
func (n *Network) Blackhole(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.holes[addr] = true
}

// Pipe returns the two ends of a connection.
func (n *Network) Pipe() (client, server net.Conn) {
	return pipe(memAddr("127.0.0.1:1"), memAddr("127.0.0.1:2"))
}

func (n *Network) remove(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.listeners, addr)
}

type memAddr string

func (memAddr) Network() string  { return "tcp" }
func (a memAddr) String() string { return string(a) }

type memListener struct {
	network *Network
	addr    memAddr
	mu      sync.Mutex
	cond    sync.Cond
	queue   []*memConn
	closed  bool
}

func (l *memListener) Addr() net.Addr { return l.addr }

func (l *memListener) enqueue(c *memConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.queue) >= maxBacklog {
		return false
	}
	l.queue = append(l.queue, c)
	l.cond.Signal()
	return true
}

func (l *memListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed && len(l.queue) == 0 {
		l.cond.Wait()
	}
	if l.closed {
		return nil, opError("accept", l.addr, nil, net.ErrClosed)
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	return c, nil
}

// Close refuses the connections that nobody has accepted.
func (l *memListener) Close() error {
	l.mu.Lock()
	queue := l.queue
	again := l.closed
	l.queue, l.closed = nil, true
	l.cond.Broadcast()
	l.mu.Unlock()
	if again {
		return opError("close", l.addr, nil, net.ErrClosed)
	}
	l.network.remove(string(l.addr))
	for _, c := range queue {
		c.SetLinger(0)
		c.Close()
	}
	return nil
}

// opError returns err in the form of package net.
func opError(op string, local, remote net.Addr, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = errTimeout{}
	}
	return &net.OpError{Op: op, Net: "tcp", Source: local, Addr: remote, Err: err}
}

// errTimeout is a context's deadline as net.Dialer reports it.
type errTimeout struct{}

func (errTimeout) Error() string   { return "i/o timeout" }
func (errTimeout) Timeout() bool   { return true }
func (errTimeout) Temporary() bool { return true }
func (errTimeout) Is(err error) bool {
	return err == context.DeadlineExceeded
}
