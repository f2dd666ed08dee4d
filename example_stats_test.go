package proxyauth_test

import (
	"expvar"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/schemes"
)

// visitTwice makes two requests through transport.
func visitTwice(transport *proxyauth.Transport) {
	client := &http.Client{Transport: transport}
	for range 2 {
		resp, err := client.Get("http://origin.example.com/")
		if err != nil {
			fmt.Println(err)
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	client.CloseIdleConnections()
}

// The counters fit package expvar. In a program,
//
//	expvar.Publish("proxyauth", expvar.Func(func() any { return transport.Stats() }))
//
// shows them at /debug/vars.
func ExampleTransport_Stats() {
	proxy := digestProxy()
	defer proxy.Close()
	transport := &proxyauth.Transport{
		Base:        proxy.Base(),
		Schemes:     schemes.Default(),
		Credentials: credentials.Static("ann", "s3cret"),
	}
	counters := expvar.Func(func() any { return transport.Stats() })

	visitTwice(transport)
	fmt.Println(counters)
	// Output:
	// [{"proxy":"http://proxy.example.com:3128","requests":2,"legs":3,"challenges":1,"handshakes":1,"rejections":0,"failures":{},"waiting":0,"doubted":0,"paused":0,"refused":0}]
}

// writeMetrics writes the counters in the text format of Prometheus.
func writeMetrics(w io.Writer, stats []proxyauth.ProxyStats) {
	label := strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	for _, m := range []struct {
		name  string
		value func(proxyauth.ProxyStats) uint64
	}{
		{"legs", func(s proxyauth.ProxyStats) uint64 { return s.Legs }},
		{"challenges", func(s proxyauth.ProxyStats) uint64 { return s.Challenges }},
	} {
		fmt.Fprintf(w, "# TYPE proxyauth_%s_total counter\n", m.name)
		for _, s := range stats {
			fmt.Fprintf(w, "proxyauth_%s_total{proxy=\"%s\"} %d\n", m.name, label.Replace(s.Proxy), m.value(s))
		}
	}
	fmt.Fprintln(w, "# TYPE proxyauth_failures_total counter")
	for _, s := range stats {
		for _, cause := range slices.Sorted(maps.Keys(s.Failures)) {
			fmt.Fprintf(w, "proxyauth_failures_total{proxy=\"%s\",cause=\"%s\"} %d\n", label.Replace(s.Proxy), cause, s.Failures[cause])
		}
	}
}

// Nor does it take more than a loop to write them for Prometheus. A rise of
// challenges in proportion to legs is worth an alarm: it comes before users call.
// The whole program is in examples/metrics.
func ExampleTransport_Stats_prometheus() {
	proxy := digestProxy()
	defer proxy.Close()
	transport := &proxyauth.Transport{
		Base:        proxy.Base(),
		Schemes:     schemes.Default(),
		Credentials: credentials.Static("ann", "wrong"),
	}
	visitTwice(transport)
	writeMetrics(os.Stdout, transport.Stats())
	// Output:
	// # TYPE proxyauth_legs_total counter
	// proxyauth_legs_total{proxy="http://proxy.example.com:3128"} 3
	// # TYPE proxyauth_challenges_total counter
	// proxyauth_challenges_total{proxy="http://proxy.example.com:3128"} 3
	// # TYPE proxyauth_failures_total counter
	// proxyauth_failures_total{proxy="http://proxy.example.com:3128",cause="credentials_rejected"} 2
}
