//lint:file-ignore SA1019 The deprecated dial functions of a Transport keep working.

package proxyconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
)

var (
	// ErrNoTLS is wrapped by the error of [Dialer.Dial] for an https:// proxy that
	// answers the TLS handshake with something else.
	ErrNoTLS = errors.New("the proxy does not speak TLS")

	// ErrTLSTimeout is the error of [Dialer.Dial] after the TLSHandshakeTimeout of
	// the base. It is a net.Error for which Timeout is true.
	ErrTLSTimeout error = tlsTimeout{}
)

type tlsTimeout struct{}

func (tlsTimeout) Error() string   { return "timeout of the TLS handshake with the proxy" }
func (tlsTimeout) Timeout() bool   { return true }
func (tlsTimeout) Temporary() bool { return true }

// A Dialer opens connections to a proxy as its Base would. It is safe for concurrent
// use if it is not changed.
type Dialer struct {
	// Base gives the functions to dial with and TLSHandshakeTimeout. For an https://
	// proxy its DialTLSContext or DialTLS takes the place of all that TLS says.
	Base *http.Transport

	// Proxy has the scheme http or https, and a host with a port.
	Proxy *url.URL

	// TLS is the configuration for an https:// proxy, see [ClientTLS]. An empty
	// ServerName means the proxy's host; nil means ClientTLS(nil, nil).
	TLS *tls.Config
}

// Dial connects to the proxy, with TLS if it is an https:// proxy. The state is nil
// without TLS, and for connections of Base's DialTLSContext that are no *tls.Conn.
// The hooks of httptrace in ctx are called for the TLS handshake, too.
// Errors of Base's functions, of net.Dialer and of crypto/tls are returned as they are,
// but for [ErrNoTLS] and [ErrTLSTimeout]; the end of ctx is returned as its cause.
func (d *Dialer) Dial(ctx context.Context) (net.Conn, *tls.ConnectionState, error) {
	if d.Proxy.Scheme != "https" {
		conn, err := DialBase(ctx, d.Base, "tcp", d.Proxy.Host)
		return conn, nil, err
	}
	conn, err := d.dialTLS(ctx)
	if err != nil {
		return nil, nil, err
	}
	if c, ok := conn.(*tls.Conn); ok {
		return d.handshake(ctx, c)
	}
	return conn, nil, nil
}

// dialTLS returns a connection whose TLS handshake may not have happened yet.
func (d *Dialer) dialTLS(ctx context.Context) (net.Conn, error) {
	if d.Base.DialTLSContext != nil || d.Base.DialTLS != nil {
		return dial(ctx, d.Base.DialTLSContext, d.Base.DialTLS, "tcp", d.Proxy.Host)
	}
	conn, err := DialBase(ctx, d.Base, "tcp", d.Proxy.Host)
	if err != nil {
		return nil, err
	}
	cfg := d.TLS.Clone()
	if cfg == nil {
		cfg = ClientTLS(nil, nil)
	}
	if cfg.ServerName == "" {
		cfg.ServerName = d.Proxy.Hostname()
	}
	return tls.Client(conn, cfg), nil
}

// handshake closes conn on errors.
func (d *Dialer) handshake(ctx context.Context, conn *tls.Conn) (net.Conn, *tls.ConnectionState, error) {
	if timeout := d.Base.TLSHandshakeTimeout; timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, ErrTLSTimeout)
		defer cancel()
	}
	if err := handshakeTraced(ctx, conn); err != nil {
		conn.NetConn().Close() // without a farewell, which may block
		return nil, nil, handshakeError(ctx, err)
	}
	state := conn.ConnectionState()
	return conn, &state, nil
}

// handshakeTraced calls the hooks of httptrace, as net/http does.
func handshakeTraced(ctx context.Context, conn *tls.Conn) error {
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	err := conn.HandshakeContext(ctx)
	if trace != nil && trace.TLSHandshakeDone != nil {
		var state tls.ConnectionState
		if err == nil {
			state = conn.ConnectionState()
		}
		trace.TLSHandshakeDone(state, err)
	}
	return err
}

func handshakeError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return fmt.Errorf("%w: %w", ErrNoTLS, err)
	}
	return err
}

// DialBase connects to addr as base would: with its DialContext, its Dial, or a
// net.Dialer. The end of ctx ends the call, though Dial knows nothing of it.
func DialBase(ctx context.Context, base *http.Transport, network, addr string) (net.Conn, error) {
	if base.DialContext == nil && base.Dial == nil {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	return dial(ctx, base.DialContext, base.Dial, network, addr)
}

type (
	dialContextFunc = func(ctx context.Context, network, addr string) (net.Conn, error)
	dialFunc        = func(network, addr string) (net.Conn, error)
)

// dial calls withContext or, if that is nil, without.
func dial(ctx context.Context, withContext dialContextFunc, without dialFunc, network, addr string) (conn net.Conn, err error) {
	if withContext != nil {
		conn, err = withContext(ctx, network, addr)
	} else {
		conn, err = dialUntil(ctx, without, network, addr)
	}
	if conn == nil && err == nil {
		err = errors.New("the dial function of the base Transport returned (nil, nil)")
	}
	return conn, err
}

// dialUntil calls f until ctx ends. A connection that comes later is closed.
func dialUntil(ctx context.Context, f dialFunc, network, addr string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	go func() {
		conn, err := f(network, addr)
		select {
		case results <- result{conn, err}:
		case <-ctx.Done():
			if conn != nil {
				conn.Close()
			}
		}
	}()
	select {
	case r := <-results:
		return r.conn, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// ClientTLS returns the configuration of TLS to proxies: a clone of own or, if that is
// nil, what in base is not about origin servers. Sessions and trust are kept apart
// from those of origin servers (CVE-2021-22890): base's InsecureSkipVerify, ServerName,
// certificates, verification functions and session cache are not taken over.
func ClientTLS(own, base *tls.Config) *tls.Config {
	cfg := new(tls.Config)
	switch {
	case own != nil:
		cfg = own.Clone()
	case base != nil:
		cfg = &tls.Config{
			Rand:             base.Rand,
			Time:             base.Time,
			RootCAs:          base.RootCAs,
			CipherSuites:     base.CipherSuites,
			MinVersion:       base.MinVersion,
			MaxVersion:       base.MaxVersion,
			CurvePreferences: base.CurvePreferences,
			KeyLogWriter:     base.KeyLogWriter,
		}
	}
	if cfg.ClientSessionCache == nil {
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	// Apache picks HTTP/2 where it is offered, which nothing here speaks
	// (golang/go#26479).
	cfg.NextProtos = []string{"http/1.1"}
	return cfg
}
