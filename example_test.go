package proxyauth_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
)

// An exampleProxy is a proxy for the examples, on a network in memory, and the
// origin servers http:// and https://origin.example.com behind it.
type exampleProxy struct {
	*testproxy.Proxy
	network *testproxy.Network
	origins []*testproxy.Origin
}

func startProxy(auth ...testproxy.Mechanism) *exampleProxy {
	p := &exampleProxy{network: testproxy.NewNetwork()}
	for _, config := range []testproxy.OriginConfig{{Network: p.network}, {Network: p.network, TLS: ca.ServerConfig("origin.example.com")}} {
		origin, err := testproxy.OpenOrigin(config)
		if err != nil {
			panic(err)
		}
		p.origins = append(p.origins, origin)
	}
	var err error
	if p.Proxy, err = testproxy.Open(testproxy.Config{Network: p.network, Auth: auth}); err != nil {
		panic(err)
	}
	return p
}

// Base returns an http.Transport that goes through the proxy.
func (p *exampleProxy) Base() *http.Transport {
	return &http.Transport{
		Proxy:           http.ProxyURL(p.URL()),
		DialContext:     p.network.DialContext,
		TLSClientConfig: ca.ClientConfig(),
	}
}

// PrintLegs prints what the proxy has seen.
func (p *exampleProxy) PrintLegs() {
	for _, leg := range p.Transcript() {
		_, leg, _ = strings.Cut(leg, " ")
		fmt.Println(leg)
	}
}

func (p *exampleProxy) Close() {
	p.Proxy.Close()
	for _, origin := range p.origins {
		origin.Close()
	}
}

// A bearerProxy is the proxy's side of Bearer.
type bearerProxy struct{ token string }

func (bearerProxy) Scheme() string                     { return "Bearer" }
func (bearerProxy) Challenge(*testproxy.Conn) []string { return []string{`Bearer realm="example"`} }
func (p bearerProxy) Verify(r *testproxy.Request) testproxy.Verdict {
	if r.Credentials == p.token {
		return testproxy.Accept("somebody")
	}
	return testproxy.Reject()
}

func digestProxy() *exampleProxy {
	users := &testproxy.Accounts{Passwords: map[string]string{"ann": "s3cret"}}
	return startProxy(&testproxy.Digest{Accounts: users, Realm: "example"}, &testproxy.Basic{Accounts: users, Realm: "example"})
}

// Wrapped once, the transport gets all requests through the proxy: with the
// strongest scheme that both sides know, and after the first with no leg more than
// without authentication.
func ExampleTransport() {
	proxy := digestProxy()
	defer proxy.Close()

	client := &http.Client{Transport: &proxyauth.Transport{
		Base:        proxy.Base(), // http.DefaultTransport, as a rule
		Schemes:     schemes.Default(),
		Credentials: credentials.Static("ann", "s3cret"),
	}}
	for _, target := range []string{"http://origin.example.com/a", "http://origin.example.com/b", "https://origin.example.com/"} {
		resp, err := client.Get(target)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Println(resp.Status, string(body))
	}
	client.CloseIdleConnections()
	proxy.PrintLegs()
	// Output:
	// 200 OK hello from GET /a
	// 200 OK hello from GET /b
	// 200 OK hello from GET /
	// GET http://origin.example.com/a -> 407
	// GET http://origin.example.com/a Digest -> 200
	// GET http://origin.example.com/b Digest -> 200
	// CONNECT origin.example.com:443 Digest -> 200
}

// DialContext gives whatever speaks over TCP a connection through the proxy.
func ExampleTransport_DialContext() {
	proxy := digestProxy()
	defer proxy.Close()

	transport := &proxyauth.Transport{
		Base:        proxy.Base(),
		Schemes:     []proxyauth.Scheme{digest.Scheme{}},
		Credentials: credentials.Static("ann", "s3cret"),
	}
	conn, err := transport.DialContext(context.Background(), "tcp", "origin.example.com:80")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	io.WriteString(conn, "GET /raw HTTP/1.0\r\n\r\n")
	line, _ := bufio.NewReader(conn).ReadString('\n')
	fmt.Println(strings.TrimSpace(line))
	// Output: HTTP/1.0 200 OK
}

// A request for an http:// URL that the proxy did not let pass ends with the
// proxy's 407, as everywhere in net/http; what it was for is in the response. For
// an https:// URL it is an error.
func ExampleResponseError() {
	proxy := digestProxy()
	defer proxy.Close()

	client := &http.Client{Transport: &proxyauth.Transport{
		Base:        proxy.Base(),
		Schemes:     []proxyauth.Scheme{digest.Scheme{}, basic.Scheme{}},
		Credentials: credentials.Static("ann", "wrong"),
	}}
	resp, err := client.Get("http://origin.example.com/")
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	if e, ok := proxyauth.ResponseError(resp); ok {
		fmt.Println(resp.StatusCode, e)
	}

	_, err = client.Get("https://origin.example.com/")
	if e, ok := errors.AsType[*proxyauth.Error](err); ok {
		fmt.Println(e.Cause)
	}
	// Output:
	// 407 proxyauth: forward origin.example.com via http://proxy.example.com:3128: credentials rejected (status 407): Digest: credentials rejected
	// credentials_rejected
}

// A logger is what programs wrap around an http.Transport.
type logger struct{ next http.RoundTripper }

func (l logger) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(req)
	if err == nil {
		fmt.Println(req.Method, req.URL.Path, resp.StatusCode)
	}
	return resp, err
}

// Base has to be the *http.Transport itself, of which the Transport makes its own.
// What observes requests belongs around the Transport, where it sees each of them
// once.
func Example_incorrect() {
	proxy := digestProxy()
	defer proxy.Close()

	wrong := &proxyauth.Transport{
		Base:        logger{proxy.Base()},
		Schemes:     schemes.Default(),
		Credentials: credentials.Static("ann", "s3cret"),
	}
	_, err := (&http.Client{Transport: wrong}).Get("http://origin.example.com/a")
	fmt.Println(err)

	right := logger{&proxyauth.Transport{
		Base:        proxy.Base(),
		Schemes:     schemes.Default(),
		Credentials: credentials.Static("ann", "s3cret"),
	}}
	resp, err := (&http.Client{Transport: right}).Get("http://origin.example.com/b")
	if err == nil {
		resp.Body.Close()
	}
	// Output:
	// Get "http://origin.example.com/a": proxyauth: Transport.Base is a proxyauth_test.logger, not an *http.Transport; put what instruments requests outside the proxyauth.Transport
	// GET /b 200
}
