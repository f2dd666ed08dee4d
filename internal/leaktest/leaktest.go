// Package leaktest finds goroutines that tests leave behind.
package leaktest

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"time"
)

// grace is how long goroutines have to end by themselves.
const grace = 10 * time.Second

// Run runs the tests of m, which is a *testing.M, and returns the exit code: that of
// the tests or, if they pass and goroutines of this module or of net/http are left
// that don't end within ten seconds, 1. It prints their stacks.
func Run(m interface{ Run() int }) (code int) {
	readDNSConfig()
	return run(m.Run, grace)
}

// readDNSConfig has package net make the channel that guards its configuration, which it
// does at the first lookup: one in a bubble of testing/synctest would keep all others out.
func readDNSConfig() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := net.Resolver{PreferGo: true}
	_, _ = r.LookupTXT(ctx, "localhost.")
}

func run(tests func() int, grace time.Duration) (code int) {
	code = tests()
	left := ours()
	for end := time.Now().Add(grace); len(left) > 0 && time.Now().Before(end); left = ours() {
		time.Sleep(10 * time.Millisecond)
	}
	if code != 0 || len(left) == 0 {
		return code
	}
	fmt.Fprintf(os.Stderr, "%d goroutines leaked:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
	return 1
}

// ours returns the stacks of all goroutines of this module and of net/http but the
// one that asks.
func ours() (stacks []string) {
	buf := make([]byte, 1<<20)
	all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	for _, stack := range all[1:] {
		if strings.Contains(stack, "go-proxyauth/proxyauth") || strings.Contains(stack, "net/http.") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}
