// Metrics visits pages through the proxy of the environment again and again, and
// serves what its Transport has counted:
//
//	metrics -listen 127.0.0.1:9100 -every 30s https://example.com/
//
// Prometheus finds the counters at /metrics, package expvar has them at
// /debug/vars. A rise of challenges in proportion to legs says that something at
// the proxy has changed, before a user does:
//
//	rate(proxyauth_challenges_total[5m]) / rate(proxyauth_legs_total[5m]) > 0.5
package main

import (
	"context"
	"errors"
	"expvar"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9100", "address to serve the counters at")
	every := flag.Duration("every", 30*time.Second, "time between two visits")
	flag.Parse()
	if flag.NArg() == 0 || *every <= 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *listen, *every, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen string, every time.Duration, urls []string) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	transport := newTransport(http.DefaultTransport)
	publish(transport)
	server := &http.Server{Handler: handler(transport), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	go visitRegularly(ctx, &http.Client{Transport: transport, Timeout: every}, every, urls)
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// newTransport returns a Transport around base that logs failures, with hints.
func newTransport(base http.RoundTripper) *proxyauth.Transport {
	return &proxyauth.Transport{Base: base, Schemes: schemes.Default(), Logger: slog.Default()}
}

// publish shows the counters of transport to package expvar. It must be called
// once.
func publish(transport *proxyauth.Transport) {
	expvar.Publish("proxyauth", expvar.Func(func() any { return transport.Stats() }))
}

// handler serves the counters in both forms.
func handler(transport *proxyauth.Transport) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /debug/vars", expvar.Handler())
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		io.WriteString(w, prometheus(transport.Stats()))
	})
	return mux
}

func visitRegularly(ctx context.Context, client *http.Client, every time.Duration, urls []string) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		for _, url := range urls {
			if err := visit(ctx, client, url); err != nil && ctx.Err() == nil {
				slog.Error("visit", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// visit requires an answer of the origin server, whatever it is.
func visit(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if e, ok := proxyauth.ResponseError(resp); ok {
		return e
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
