package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-proxyauth/proxyauth"
)

// metrics are the counters with one value for each proxy.
var metrics = []struct {
	name, help string
	value      func(proxyauth.ProxyStats) uint64
}{
	{"requests", "Forwarded requests and tunnels.", func(s proxyauth.ProxyStats) uint64 { return s.Requests }},
	{"legs", "Requests sent to the proxy for them.", func(s proxyauth.ProxyStats) uint64 { return s.Legs }},
	{"challenges", "Answers with status 407.", func(s proxyauth.ProxyStats) uint64 { return s.Challenges }},
	{"handshakes", "Authentications begun.", func(s proxyauth.ProxyStats) uint64 { return s.Handshakes }},
	{"rejections", "Credentials refused.", func(s proxyauth.ProxyStats) uint64 { return s.Rejections }},
}

// label escapes the value of a label.
var label = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// prometheus returns stats in the text format of Prometheus, version 0.0.4. The
// metrics of no proxy have their help and type at least.
func prometheus(stats []proxyauth.ProxyStats) string {
	var b strings.Builder
	for _, m := range metrics {
		head(&b, m.name, m.help)
		for _, s := range stats {
			fmt.Fprintf(&b, "proxyauth_%s_total{proxy=\"%s\"} %d\n", m.name, label.Replace(s.Proxy), m.value(s))
		}
	}
	head(&b, "failures", "Requests that did not get through, by cause.")
	for _, s := range stats {
		for _, cause := range slices.Sorted(maps.Keys(s.Failures)) {
			fmt.Fprintf(&b, "proxyauth_failures_total{proxy=\"%s\",cause=\"%s\"} %d\n",
				label.Replace(s.Proxy), label.Replace(string(cause)), s.Failures[cause])
		}
	}
	return b.String()
}

func head(b *strings.Builder, name, help string) {
	fmt.Fprintf(b, "# HELP proxyauth_%s_total %s\n# TYPE proxyauth_%s_total counter\n", name, help, name)
}
