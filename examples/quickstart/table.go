package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/go-proxyauth/proxyauth"
)

// A table prints what goes over the wire, a line a leg.
type table struct {
	mu   sync.Mutex
	w    io.Writer
	legs int // of the request under way
}

func (t *table) head(title string) {
	fmt.Fprintf(t.w, "\n%s\n%s\n", title, strings.Repeat("=", len(title)))
}

// request begins the lines of a request.
func (t *table) request(state, target string) {
	fmt.Fprintf(t.w, "\n  %s: GET %s\n", state, target)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.legs = 0
}

// trace returns hooks that print a line for each leg.
func (t *table) trace() *proxyauth.Trace {
	return &proxyauth.Trace{LegAnswered: t.leg}
}

func (t *table) leg(_ context.Context, info proxyauth.TraceInfo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.legs++
	scheme := "no authorization"
	if info.Scheme != "" {
		scheme = info.Scheme
	}
	conn := "new connection"
	if info.Reused {
		conn = "same connection"
	}
	answer := fmt.Sprintf("%d %s", info.Status, http.StatusText(info.Status))
	if info.Err != nil {
		answer = "no answer"
	}
	fmt.Fprintf(t.w, "    leg %d  %-8s %-16s %-16s -> %s\n", t.legs, info.Op, scheme, conn, answer)
}

// response ends the lines of a request.
func (t *table) response(resp *http.Response) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.legs == 0 {
		fmt.Fprintf(t.w, "    no leg: the tunnel is open\n")
	}
	fmt.Fprintf(t.w, "    answer of the origin server: %s over %s\n", resp.Status, resp.Proto)
}
