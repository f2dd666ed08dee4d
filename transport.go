package proxyauth

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/lockout"
	"github.com/go-proxyauth/proxyauth/internal/notify"
	"github.com/go-proxyauth/proxyauth/internal/proxyaddr"
	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
	"github.com/go-proxyauth/proxyauth/internal/tunnelpool"
)

// A Transport is an [http.RoundTripper] that authenticates to the proxies that
// its Base goes through. Its fields must not be changed, and it must not be
// copied, once it has been used. It is safe for concurrent use.
type Transport struct {
	// Base is what requests are made with, nil means [http.DefaultTransport].
	// It must be an *http.Transport, which the Transport clones for each proxy;
	// anything that observes or changes requests belongs outside, around the
	// proxyauth.Transport. Base's Proxy function decides which proxy a request
	// takes. A request that takes none, or a SOCKS proxy, goes to Base itself,
	// which asks Proxy once more. So it must give the same answer for the same
	// request: one that takes turns belongs behind a choice that is made once
	// for each request, and kept in its context.
	//
	// All settings of Base keep their meaning, with these differences:
	//
	//   - Of TLSClientConfig, an https:// proxy is given only what
	//     ProxyTLSClientConfig says.
	//   - HTTP/2 that golang.org/x/net/http2 was told to do for Base is done by
	//     net/http in tunnels.
	//   - What was given to RegisterProtocol for http or https is used for requests
	//     without a proxy alone.
	//   - A proxy is spoken to in HTTP/1.1, also where Protocols has nothing but
	//     UnencryptedHTTP2.
	//   - OnProxyConnectResponse is called for the answer that ends an
	//     exchange, not for a 407 that is answered.
	//   - MaxIdleConns, MaxIdleConnsPerHost and MaxConnsPerHost hold for each
	//     pool of connections on its own. A proxy has two for each user info:
	//     one of tunnels, in which they count as in Base, and one of connections
	//     for forwarded requests, in which the proxy stands for all hosts. There
	//     a MaxIdleConnsPerHost of zero means MaxIdleConns, or 100 if that is
	//     zero as well. Forwarded requests with a Proxy-Authorization of the
	//     program's own have another pool like that. Base's own pool, without a
	//     proxy, is not affected.
	//   - Requests that callbacks of the Transport make with their context have
	//     connections of their own, which count for no limit.
	Base http.RoundTripper

	// Schemes are the authentication schemes that may be used, the strongest
	// first. The first one that the proxy offers as well is used. schemes.Default
	// returns a good list. An empty list is an error.
	Schemes []Scheme

	// Credentials supplies user name and password. Nil means the user info of
	// the proxy's URL, as in net/http.
	Credentials CredentialsProvider

	// ProxyTLSClientConfig configures TLS to https:// proxies. Nil means a
	// configuration with the RootCAs, versions, cipher suites, curves, Time,
	// Rand and KeyLogWriter of Base.TLSClientConfig. In particular,
	// InsecureSkipVerify and client certificates are meant for origin servers
	// and never apply to the proxy. NextProtos is ignored, since a proxy is
	// spoken to in HTTP/1.1. An empty ServerName means the proxy's host.
	//
	// If Base.DialTLSContext or DialTLS is set, it connects to https:// proxies
	// instead, as it does in net/http; it must not negotiate HTTP/2. If it returns
	// something else than a *tls.Conn, NTLM and Negotiate are not bound to the
	// proxy's certificate.
	ProxyTLSClientConfig *tls.Config

	// AllowProxy reports whether credentials may be sent to a proxy. Nil means
	// every proxy that Base chooses. It is called when a scheme is chosen and when
	// credentials that expire are renewed, with the request's context, which
	// requests that it makes itself must use, and with the proxy's URL, reduced to
	// scheme, host and port, which it must not change. It is called as well for a
	// forwarded request with a Proxy-Authorization of the program's own. It must be
	// safe for concurrent use.
	//
	// If the proxy comes from the network, by WPAD or a PAC file, or from an
	// environment that others set, use [AllowHosts].
	AllowProxy func(ctx context.Context, proxy *url.URL) bool

	// ForbidCleartext forbids schemes that reveal the secret, as Basic does,
	// to http:// proxies, also in a Proxy-Authorization of the program's own that
	// a forwarded request has. By default they are allowed, since many proxies
	// offer nothing else. The least algorithm of Digest is set in
	// digest.Scheme.
	ForbidCleartext bool

	// InsecureAllowDowngrade lets a weaker scheme be used with a proxy that has
	// offered or accepted a stronger one of Schemes, and likewise a weaker
	// algorithm of Digest. Without it that is an error, since somebody between
	// here and the proxy may have taken out the stronger one. A stronger scheme
	// that is still offered, and can't be carried out on this machine, is no
	// obstacle, unless the weaker one reveals the secret to an http:// proxy that
	// has accepted the stronger one.
	InsecureAllowDowngrade bool

	// Preemptive lets the first request at a proxy open the strongest scheme. It
	// saves a leg, and sends credentials to a proxy that has not asked for them, in
	// a scheme that it may not know. If a scheme can't be carried out here, for lack
	// of a ticket for example, the next one opens; where one needs a challenge first,
	// as Digest does, the proxy is asked after all.
	//
	// An answer to an authorization that the proxy has not asked for does not say
	// that the proxy has looked at it. So after a scheme of one leg, such as Basic,
	// the next request goes without, and the answer to its challenge decides. Some
	// proxies never send a challenge: they turn a CONNECT down with 401, 403 or an
	// empty 407, or close the connection. Then the other schemes open, one after the
	// other, but none that is weaker than the proxy has accepted.
	Preemptive bool

	// ErrorOn407 makes RoundTrip return the [*Error] in place of a 407 that it
	// can't answer to a request for an http:// URL, as it does for https:// URLs.
	// Then no caller takes the proxy's error page for the origin's. False
	// returns the 407: see [ResponseError].
	ErrorOn407 bool

	// LegTimeout limits connecting to the proxy, a CONNECT and its answer, and each
	// request that the Transport adds to authenticate. Zero means one minute,
	// negative no limit. It does not limit a forwarded request itself, but for one
	// that opens a handshake: if the proxy has not begun to answer by then, the
	// request is sent once more without authorization.
	LegTimeout time.Duration

	// Trace has hooks for what happens at proxies. Nil means none.
	Trace *Trace

	// Logger logs the same at [slog.LevelDebug], and failures with their hints at
	// [slog.LevelWarn], with the context of the request. Nil means no log.
	// Nothing secret is logged.
	Logger *slog.Logger

	once    sync.Once
	initErr error
	// A func, since package fmt follows a pointer where the verb is not one
	// for pointers, to what is known of the users of proxies.
	state func() *state
}

// A state is what a Transport works with once it has been used.
type state struct {
	base     *http.Transport
	schemes  []Scheme
	provider CredentialsProvider
	trace    tracer
	log      logger
	rules    policy
	proxyTLS *tls.Config
	timeout  time.Duration // zero means none
	proxies  table
	made     tunnelpool.Set
	secrets  lockout.Limiter
	notices  notify.Queue
	stats    statistics
}

const defaultLegTimeout = time.Minute

// use returns the Transport's state, or what is wrong with its configuration.
func (t *Transport) use() (*state, error) {
	t.once.Do(func() {
		var s *state
		s, t.initErr = t.newState()
		t.state = func() *state { return s }
	})
	return t.state(), t.initErr
}

func (t *Transport) newState() (*state, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	if _, ok := base.(*Transport); ok && t.Base == nil {
		return nil, errors.New("proxyauth: http.DefaultTransport has been replaced by a proxyauth.Transport; " +
			"set Transport.Base to the *http.Transport that it was before")
	}
	ht, ok := base.(*http.Transport)
	if !ok || ht == nil {
		return nil, fmt.Errorf("proxyauth: Transport.Base is a %T, not an *http.Transport; "+
			"put what instruments requests outside the proxyauth.Transport", base)
	}
	if len(t.Schemes) == 0 {
		return nil, errors.New("proxyauth: Transport.Schemes is empty; set it to schemes.Default()")
	}
	for i, scheme := range t.Schemes {
		if scheme == nil {
			return nil, fmt.Errorf("proxyauth: Transport.Schemes[%d] is nil", i)
		}
	}
	s := &state{
		base:     ht,
		schemes:  t.Schemes,
		provider: t.Credentials,
		log:      logger{t.Logger},
		rules: policy{
			allowProxy:     t.AllowProxy,
			forbidClear:    t.ForbidCleartext,
			allowDowngrade: t.InsecureAllowDowngrade,
			preemptive:     t.Preemptive,
			errorOn407:     t.ErrorOn407,
		},
		proxyTLS: proxyconn.ClientTLS(t.ProxyTLSClientConfig, ht.Clone().TLSClientConfig), // net/http may be about to set it
		timeout:  max(t.LegTimeout, 0),
	}
	s.trace = tracer{cmp.Or(t.Trace, new(Trace)), s}
	if t.Logger != nil {
		s.trace.Trace = s.log.trace(s.trace.Trace)
	}
	if t.LegTimeout == 0 {
		s.timeout = defaultLegTimeout
	}
	if s.provider == nil {
		s.provider = CredentialsFunc(userInfoCredentials)
	}
	return s, nil
}

// userInfoCredentials is the provider of a Transport that has none.
func userInfoCredentials(_ context.Context, req *CredentialsRequest) (Credentials, error) {
	if req.UserInfo == nil {
		return Credentials{}, fmt.Errorf("%w in the user info of the proxy's URL", ErrNoCredentials)
	}
	return *req.UserInfo, nil
}

// RoundTrip executes a request as [http.RoundTripper] says, answering the
// challenges of the proxy that it takes.
//
// If the proxy can't be satisfied,
//
//   - for an https:// URL the error is an [*Error];
//   - for an http:// URL the proxy's 407, if that was its last answer, is returned
//     as any other response, with its body, and [ResponseError] returns the
//     *Error. Of the body, up to 256 KiB are read, for 5 seconds at most. One that has
//     more, or has not ended by then, ends there with [io.ErrUnexpectedEOF].
//     With [Transport.ErrorOn407], and where the proxy gave no answer, the error is
//     the *Error.
//
// If the context of the request ends first, the error is the cause of that. A leg
// under way goes on for a minute at most if it belongs to a handshake, or sends a
// password that the proxy has not accepted yet: its answer decides for other requests. The error
// of a request that can't be written, whose body can't be read or is not as long as
// ContentLength says, or whose hook for 1xx answers fails, is that of net/http.
//
// A body is sent only once authentication is settled if it can't be had again from
// GetBody, has 64 KiB or more or an unknown length, or is to wait for 100 Continue;
// where nothing is known of the proxy, a GET of the same URL asks first. The body is
// closed on every path.
//
// A Proxy-Authorization field of the program's own is sent to a proxy that forwards
// the request, which is then not authenticated by the Transport; it never reaches an
// origin server. Of such requests Trace and Logger have the choice of the proxy
// alone, and Stats nothing. They share connections with each other and no other
// request. In the Trailer the field is an error.
//
// The hooks of [net/http/httptrace] are called as by net/http. A forwarded request that
// takes several legs at the proxy has those of each; a leg that goes on with a handshake
// asks for no connection. PutIdleConn is told of no error: a connection that is not kept is
// closed after it. A CONNECT calls those of its dial alone.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	s, err := t.use()
	if err != nil {
		closeBody(req)
		return nil, err
	}
	if hasAuthorization(req.Trailer) {
		closeBody(req)
		return nil, errTrailer
	}
	explained.Delete(req) // a program may send it again
	p, err := s.proxyFor(req)
	switch {
	case p == nil && (err == nil || err == errSOCKS):
		return roundTripWithout(s.base, req)
	case err != nil:
		closeBody(req)
		return nil, err
	}
	defer s.proxies.put(p)
	if req.URL.Scheme == "https" {
		return p.roundTripTunnel(req)
	}
	return p.forwardRequest(req)
}

// DialContext connects to addr, a host and a port, through the proxy that Base
// would use for https://addr, and returns the raw connection: for gRPC,
// WebSocket, SSH or a database. Where no proxy is to be used it connects
// directly, with Base's dial function. A SOCKS proxy is an error:
// golang.org/x/net/proxy dials through those.
//
// The network must be "tcp", "tcp4" or "tcp6"; behind a proxy it makes no
// difference. The connection belongs to the program: it counts for no limit, and
// neither CloseIdleConnections nor new credentials close it. Through an https:// proxy
// it has the limits of a [tls.Conn]: a Write that times out is the last. If there is no
// tunnel, the error is an [*Error], or that of the context, if it has ended.
func (t *Transport) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	s, err := t.use()
	if err != nil {
		return nil, err
	}
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, net.UnknownNetworkError(network)
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, err
	}
	req := (&http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "https", Host: addr}, Host: addr}).WithContext(ctx)
	p, err := s.proxyFor(req)
	switch {
	case err == errSOCKS:
		return nil, errors.New("proxyauth: DialContext through a SOCKS proxy; use golang.org/x/net/proxy")
	case err != nil:
		return nil, err
	case p == nil:
		return proxyconn.DialBase(ctx, s.base, network, addr)
	}
	defer s.proxies.put(p)
	return p.dialTunnel(ctx, network, addr)
}

// CloseIdleConnections closes the connections that are not in use, to proxies
// and Base's own.
func (t *Transport) CloseIdleConnections() {
	s, err := t.use()
	if err != nil {
		return
	}
	for _, p := range s.proxies.all() {
		p.closeIdle()
	}
	s.made.CloseIdle()
	s.base.CloseIdleConnections()
}

// Check returns what is wrong with the configuration, nil if nothing is. It sends
// nothing. Without it, the first request returns the same error. The Transport counts
// as used afterwards.
func (t *Transport) Check() error {
	s, err := t.use()
	if err != nil {
		return err
	}
	if !s.readsEnvironment() {
		return nil
	}
	return proxyaddr.CheckEnvironment()
}

// Reset forgets everything that has been learned about proxies, the refused
// credentials, pauses and denied targets included, and closes idle connections to
// them; schemes that are a [Resetter] are reset as well. Requests under way go on,
// and their answers say nothing of the credentials afterwards, except that a refusal
// denies its target.
func (t *Transport) Reset() {
	s, err := t.use()
	if err != nil {
		return
	}
	s.secrets.Reset()
	for _, scheme := range s.schemes {
		if f, ok := scheme.(Resetter); ok {
			f.Reset()
		}
	}
	for _, p := range s.proxies.clear() {
		p.closeIdle()
	}
}

// roundTripWithout sends req without its Proxy-Authorization: an origin server
// is next to read it.
func roundTripWithout(rt http.RoundTripper, req *http.Request) (*http.Response, error) {
	out := req
	if hasAuthorization(req.Header) {
		clone := *req
		clone.Header = req.Header.Clone()
		maps.DeleteFunc(clone.Header, func(key string, _ []string) bool { return isAuthorization(key) })
		out = &clone
	}
	resp, err := rt.RoundTrip(out)
	if resp != nil {
		resp.Request = req // of one with a body, net/http's HTTP/2 returns a copy
	}
	return resp, err
}

const (
	authorizationField = "Proxy-Authorization"
	challengeField     = "Proxy-Authenticate"
)

// errTrailer refuses what no trailer may have (RFC 9110, Section 6.5.1). It can't be
// taken out as from the header, since the caller sets a Trailer's values while the
// body is sent.
var errTrailer = errors.New("proxyauth: Proxy-Authorization in the Trailer of a request")

// hasAuthorization reports whether h has a Proxy-Authorization under any spelling:
// net/http sends a key as it is.
func hasAuthorization(h http.Header) bool {
	for key := range h {
		if isAuthorization(key) {
			return true
		}
	}
	return false
}

func isAuthorization(key string) bool {
	return len(key) == len(authorizationField) && strings.EqualFold(key, authorizationField)
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}
