package e2e_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

// Each hook may be the only one, or be missing.
func TestTraceHooksMayBeNil(t *testing.T) {
	t.Parallel()
	for field := range reflect.TypeFor[proxyauth.Trace]().Fields() {
		if field.Name == "ProxyChosen" || field.Name == "Waiting" {
			continue
		}
		for i, mechanism := range allMechanisms() {
			eachWay(t, field.Name+" "+mechanism.Scheme(), func(t *testing.T, w way) {
				for _, alone := range []bool{true, false} {
					l, r := newTracedLab(t, testproxy.Config{Auth: allMechanisms()[i : i+1]})
					trace := reflect.ValueOf(l.rt.Trace).Elem()
					for f := range reflect.TypeFor[proxyauth.Trace]().Fields() {
						if (f.Name == field.Name) != alone {
							trace.FieldByIndex(f.Index).SetZero()
						}
					}
					for _, right := range []bool{true, false} {
						if !right {
							l.newConns()
							l.rt.Reset()
							l.users.SetPassword(user, "changed")
							l.proxy.SetAuth(mechanismFor(l, mechanism.Scheme()))
						}
						require.Equal(t, right, w.reach(t.Context(), l.rt, originHost) == nil)
					}
					for _, line := range r.lines {
						name, _, _ := strings.Cut(line, " ")
						require.Equal(t, alone, name == field.Name)
					}
					require.Equal(t, alone && field.Name == "TunnelOpened" && w.method == http.MethodGet, len(r.lines) == 0)
				}
			})
		}
	}
}

// mechanismFor returns the lab's mechanism for a scheme, made anew.
func mechanismFor(l *lab, scheme string) testproxy.Mechanism {
	m := mechanismOf(scheme)
	l.adopt(m)
	return m
}

// TestTraceOps traces what is sent in addition to a request: the question that
// precedes a body, another connection, another scheme.
func TestTraceOps(t *testing.T) {
	t.Parallel()
	bubble(t, "probe", func(t *testing.T) {
		l, r := newTracedLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Digest{Realm: "lab"}}})
		_, _, err := l.do(l.request(http.MethodPost, httpOrigin, unreplayable("body")))
		require.NoError(t, err)
		r.requireLines(t,
			"LegSent probe o leg 1",
			"LegAnswered probe o leg 1 -> 407",
			"Challenged probe o leg 1 offers [Digest] -> 407",
			"CredentialsAsked Digest",
			"LegSent forward o leg 2 Digest reused",
			"LegAnswered forward o leg 2 Digest reused -> 200",
			"Accepted Digest",
		)
	})
	bubble(t, "closed by the proxy", func(t *testing.T) {
		l, r := newTracedLab(t, testproxy.Config{
			Auth:  []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}},
			Fault: testproxy.On(407, testproxy.CloseOpenly()),
		})
		l.get(httpsOrigin + "/")
		r.requireLines(t,
			"LegSent CONNECT t leg 1",
			"LegAnswered CONNECT t leg 1 -> 407",
			"Challenged CONNECT t leg 1 offers [Basic] -> 407",
			"CredentialsAsked Basic",
			"LegSent CONNECT t leg 2 Basic",
			"LegAnswered CONNECT t leg 2 Basic -> 200",
			"Accepted Basic",
			"TunnelOpened CONNECT t leg 2 Basic -> 200",
		)
	})
	bubble(t, "fallback", func(t *testing.T) {
		l, r := newTracedLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.NTLM{}, &testproxy.Basic{Realm: "lab"}}})
		l.rt.Schemes = []proxyauth.Scheme{&ntlm.Scheme{PasswordIsHash: true}, basic.Scheme{}}
		l.get(httpOrigin + "/")
		r.requireLines(t,
			"LegSent forward o leg 1",
			"LegAnswered forward o leg 1 -> 407",
			"Challenged forward o leg 1 offers [NTLM Basic] -> 407",
			"CredentialsAsked NTLM",
			"CredentialsAsked Basic",
			"LegSent forward o leg 2 Basic reused",
			"LegAnswered forward o leg 2 Basic reused -> 200",
			"Accepted Basic",
		)
	})
	bubble(t, "rebound", func(t *testing.T) {
		m := &testproxy.NTLM{Requests: 2}
		l, r := newTracedLab(t, testproxy.Config{Auth: []testproxy.Mechanism{m}})
		l.get(httpOrigin + "/")
		l.get(httpOrigin + "/")
		r.lines, r.infos = nil, nil
		l.get(httpOrigin + "/")
		r.requireLines(t,
			"LegSent forward o leg 1 reused",
			"LegAnswered forward o leg 1 reused -> 407",
			"Challenged forward o leg 1 reused offers [NTLM] -> 407",
			"LegSent forward o leg 2 NTLM",
			"LegAnswered forward o leg 2 NTLM -> 407",
			"Challenged forward o leg 2 NTLM offers [NTLM] -> 407",
			"LegSent forward o leg 3 NTLM reused",
			"LegAnswered forward o leg 3 NTLM reused -> 200",
		)
	})
}

// TestTraceDurations has a proxy, an origin server and a provider that take their
// time.
func TestTraceDurations(t *testing.T) {
	t.Parallel()
	eachWay(t, "", func(t *testing.T, w way) {
		l, r := newTracedLab(t, testproxy.Config{
			Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}},
			Fault: func(leg *testproxy.Leg) *testproxy.Action {
				time.Sleep(map[int]time.Duration{407: time.Second, 200: 5 * time.Second}[leg.Status])
				return nil
			},
		})
		l.rt.Credentials = &witness{answer: func(*proxyauth.CredentialsRequest) (string, error) {
			time.Sleep(2 * time.Second)
			return password, nil
		}}
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		got := make(map[string][]time.Duration)
		for i, info := range r.infos {
			name, _, _ := strings.Cut(r.lines[i], " ")
			got[name] = append(got[name], info.Duration)
		}
		want := map[string][]time.Duration{
			"LegSent":          {0, 0},
			"LegAnswered":      {time.Second, 5 * time.Second},
			"Challenged":       {0},
			"CredentialsAsked": {2 * time.Second},
			"Accepted":         {0},
		}
		if w.method == http.MethodConnect {
			want["TunnelOpened"] = []time.Duration{8 * time.Second}
		}
		require.Equal(t, want, got)
	})
}

// A caller's own httptrace goes on working.
func TestTraceBesideHTTPTrace(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		l, _ := newTracedLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		got := 0
		req := l.request(http.MethodGet, httpOrigin, nil)
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { got++ }}))
		resp, _, err := l.do(req)
		require.NoError(t, err)
		require.Same(t, req, resp.Request)
		require.Equal(t, 2, got)
	})
}

// TestTraceAllocations lets those pay for a Trace who have one. What a Transport
// without costs is in budget_test.go.
func TestTraceAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn}))
	bases := map[string]func() *http.Transport{
		"Basic":  cannedProxy{`Basic realm="lab"`}.base,
		"Digest": cannedProxy{`Digest realm="lab", nonce="abc", qop="auth"`}.base,
		"NTLM":   cannedNTLM{}.base,
	}
	for scheme, base := range bases {
		t.Run(scheme, func(t *testing.T) {
			allocs := func(trace *proxyauth.Trace, log *slog.Logger) float64 {
				rt := wrapped(t, base())
				rt.Trace, rt.Logger = trace, log
				return testing.AllocsPerRun(500, getter(t, rt, httpOrigin))
			}
			hook := func(context.Context, proxyauth.TraceInfo) {}
			trace := &proxyauth.Trace{ProxyChosen: hook, LegSent: hook, LegAnswered: hook}
			without, empty, traced, logged := allocs(nil, nil), allocs(new(proxyauth.Trace), nil), allocs(trace, nil), allocs(nil, quiet)
			t.Logf("%v allocations, %v with a Trace, %v with a Logger at Warn", without, traced, logged)
			require.Equal(t, without, empty, "no hook is called")
			require.Less(t, without, traced)
			require.LessOrEqual(t, logged, traced, "what is not logged was made ready for it")
		})
	}
}
