// Quickstart shows what goes over the wire between a program and a proxy that
// asks for authentication.
//
// With no arguments it starts a proxy and two origin servers of its own on
// loopback, and goes through them with one scheme after the other:
//
//	go run ./examples/quickstart
//
// With a real proxy it fetches a URL twice:
//
//	go run ./examples/quickstart -proxy http://proxy.example.com:3128 -user ann https://example.com/
//
// The password is taken from the proxy's URL, the environment variable PROXY_PASSWORD, a
// netrc file or the keyring, or asked for at the terminal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials/defaults"
	"github.com/go-proxyauth/proxyauth/schemes"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "quickstart:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	proxy := flags.String("proxy", "", "URL of the proxy; without it, one is started")
	user := flags.String("user", "", `user name, such as ann or CORP\ann`)
	if err := flags.Parse(args); err != nil {
		return err
	}
	out := &table{w: stdout}
	switch {
	case *proxy == "" && flags.NArg() == 0:
		return demo(ctx, out)
	case *proxy == "" || flags.NArg() != 1:
		return errors.New("usage: quickstart [-proxy URL [-user NAME] URL]")
	}
	u, err := url.Parse(*proxy)
	if err != nil || u.Host == "" {
		return errors.New("the proxy's URL is not of the form http://host:port")
	}
	if *user != "" {
		u.User = url.User(*user)
	}
	return visit(ctx, out, u, flags.Arg(0))
}

// visit fetches a URL through a real proxy, with whatever scheme that asks for.
func visit(ctx context.Context, out *table, proxy *url.URL, target string) error {
	rt := &proxyauth.Transport{
		Base:        through(proxy),
		Schemes:     schemes.Default(),
		Credentials: defaults.Provider(),
		Trace:       out.trace(),
	}
	defer rt.CloseIdleConnections()
	out.head(fmt.Sprintf("Proxy %s", proxy.Redacted()))
	if err := twice(ctx, out, rt, target); err != nil {
		return fmt.Errorf("%w\n%s", err, askDoctor)
	}
	return nil
}

// askDoctor is what to do about a real proxy that does not let a request through.
const askDoctor = "To find out more: go run github.com/go-proxyauth/proxyauth/cmd/proxyauth doctor -proxy URL -user NAME URL"

// through returns net/http's default transport with a proxy of its own.
func through(proxy *url.URL) *http.Transport {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.Proxy = http.ProxyURL(proxy)
	return base
}

// twice fetches target cold, when nothing is known of the proxy, and again.
func twice(ctx context.Context, out *table, rt *proxyauth.Transport, target string) error {
	for _, state := range []string{"cold", "warm"} {
		out.request(state, target)
		if err := fetch(ctx, out, rt, target); err != nil {
			return err
		}
	}
	return nil
}

func fetch(ctx context.Context, out *table, rt http.RoundTripper, target string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: rt}).Do(req)
	if err != nil {
		return explain(err)
	}
	defer resp.Body.Close()
	if e, ok := proxyauth.ResponseError(resp); ok {
		return explain(e)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	out.response(resp)
	return nil
}

// explain adds to an error what fixes it.
func explain(err error) error {
	if e, ok := errors.AsType[*proxyauth.Error](err); ok {
		return fmt.Errorf("%w\n%s", e, e.Hint())
	}
	return err
}
