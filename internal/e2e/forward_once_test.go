package e2e_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A POST whose answer is lost is not sent again, whatever is known of the host.
func TestPostActsOnce(t *testing.T) {
	t.Parallel()
	own := "Basic " + base64.StdEncoding.EncodeToString([]byte("bob:hunter2"))
	dropped := testproxy.OnLeg(func(leg *testproxy.Leg) bool { return leg.Method == http.MethodPost }, testproxy.DropAt(testproxy.BeforeAnswer))
	for _, tt := range []struct {
		desc   string
		size   int
		first  string // a GET before
		change func(l *lab, req *http.Request)
	}{
		{"exempt", 10, freeHost, nil},
		{"exempt, long", 100_000, freeHost, nil},
		{"exempt, long, cold", 100_000, "", nil},
		{"exempt, cold", 10, "", nil},
		{"exempt, login known", 10, originHost, nil},
		{"exempt, login known, long", 100_000, originHost, nil},
		{"the caller's authorization", 10, "", func(_ *lab, req *http.Request) { req.Header.Set("Proxy-Authorization", own) }},
		{"the caller's authorization, login known", 10, originHost, func(_ *lab, req *http.Request) { req.Header.Set("Proxy-Authorization", own) }},
	} {
		for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
			holds(t, tt.desc+", "+scheme, func(t testing.TB) {
				l := newLab(t, testproxy.Config{
					Auth:      []testproxy.Mechanism{mechanismOf(scheme)},
					Hosts:     otherHosts,
					Anonymous: func(target string) bool { return strings.Contains(target, freeHost) },
				})
				if tt.first != "" {
					require.NoError(t, fetch(t.Context(), l.rt, originHost))
					require.NoError(t, fetch(t.Context(), l.rt, tt.first))
				}
				l.hangUp()
				l.proxy.SetFault(dropped)
				req := l.request(http.MethodPost, "http://"+freeHost+"/act", strings.NewReader(strings.Repeat("x", tt.size)))
				if tt.change != nil {
					tt.change(l, req)
				}
				_, _, err := l.do(req)
				require.Error(t, err)
				if e, ok := errors.AsType[*proxyauth.Error](err); ok {
					require.Zero(t, e.Status, "the answer to a probe is not one to the request")
				}
				n := 0
				for _, r := range l.origin.Requests() {
					if r.Method == http.MethodPost {
						n++
					}
				}
				require.LessOrEqual(t, n, 1)
			})
		}
	}
}

// The body of a request that its caller authenticates is closed on every path.
func TestBodyOfCallersRequestIsClosed(t *testing.T) {
	t.Parallel()
	own := "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:wrong"))
	for desc, fault := range map[string]testproxy.Fault{
		"refused": nil,
		"dropped": testproxy.Always(testproxy.DropAt(testproxy.OnRequest)),
		"early":   testproxy.Always(&testproxy.Action{RefusedBody: testproxy.AnswerThenClose}),
		"garbage": testproxy.Always(testproxy.Garbage("SSH-2.0\r\n")),
	} {
		for _, expect := range []bool{false, true} {
			for _, replayable := range []bool{false, true} {
				holds(t, fmt.Sprint(desc, expect, replayable), func(t testing.TB) {
					l, _ := newCaseLab(t, password, &testproxy.Basic{Realm: "lab"})
					l.base.ExpectContinueTimeout = time.Hour
					l.proxy.SetFault(fault)
					req, open := l.tracked(t.Context(), forwarded, replayable)
					req.Header.Set("Proxy-Authorization", own)
					if expect {
						req.Header.Set("Expect", "100-continue")
					}
					resp, err := l.rt.RoundTrip(req)
					if err == nil {
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
					time.Sleep(time.Second)
					require.Zero(t, open.Load())
				})
			}
		}
	}
}
