package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-proxyauth/proxyauth"
)

// A metric has one value for each proxy.
type metric struct {
	name, help string
	value      func(proxyauth.ProxyStats) uint64
}

var counters = []metric{
	{"requests", "Forwarded requests and tunnels.", func(s proxyauth.ProxyStats) uint64 { return s.Requests }},
	{"legs", "Requests sent to the proxy for them.", func(s proxyauth.ProxyStats) uint64 { return s.Legs }},
	{"challenges", "Answers with status 407.", func(s proxyauth.ProxyStats) uint64 { return s.Challenges }},
	{"handshakes", "Authentications begun.", func(s proxyauth.ProxyStats) uint64 { return s.Handshakes }},
	{"rejections", "Credentials refused.", func(s proxyauth.ProxyStats) uint64 { return s.Rejections }},
}

var gauges = []metric{
	{"waiting", "Requests that wait until their credentials may be sent.", func(s proxyauth.ProxyStats) uint64 { return uint64(s.Waiting) }},
	{"doubted", "Credentials that were accepted and have been refused or lost since.", func(s proxyauth.ProxyStats) uint64 { return uint64(s.Doubted) }},
	{"paused", "Credentials that got no answer and are not sent for a while.", func(s proxyauth.ProxyStats) uint64 { return uint64(s.Paused) }},
	{"refused", "Credentials that are not sent since they were refused.", func(s proxyauth.ProxyStats) uint64 { return uint64(s.Refused) }},
}

// label escapes the value of a label.
var label = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// prometheus returns stats in the text format of Prometheus, version 0.0.4. The
// metrics of no proxy have their help and type at least.
func prometheus(stats []proxyauth.ProxyStats) string {
	var b strings.Builder
	write := func(m metric, name, kind string) {
		head(&b, name, m.help, kind)
		for _, s := range stats {
			fmt.Fprintf(&b, "%s{proxy=\"%s\"} %d\n", name, label.Replace(s.Proxy), m.value(s))
		}
	}
	for _, m := range counters {
		write(m, "proxyauth_"+m.name+"_total", "counter")
	}
	for _, m := range gauges {
		write(m, "proxyauth_"+m.name, "gauge")
	}
	head(&b, "proxyauth_failures_total", "Requests that did not get through, by cause.", "counter")
	for _, s := range stats {
		for _, cause := range slices.Sorted(maps.Keys(s.Failures)) {
			fmt.Fprintf(&b, "proxyauth_failures_total{proxy=\"%s\",cause=\"%s\"} %d\n",
				label.Replace(s.Proxy), label.Replace(string(cause)), s.Failures[cause])
		}
	}
	return b.String()
}

func head(b *strings.Builder, name, help, kind string) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}
