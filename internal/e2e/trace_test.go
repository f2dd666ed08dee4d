package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A recorder writes down what the hooks of a Trace are told.
type recorder struct {
	mu    sync.Mutex
	lines []string
	infos []proxyauth.TraceInfo
}

// trace returns a Trace with all hooks but ProxyChosen, which has a test of its own.
func (r *recorder) trace() *proxyauth.Trace {
	trace := new(proxyauth.Trace)
	for field, hook := range reflect.ValueOf(trace).Elem().Fields() {
		if field.Name == "ProxyChosen" {
			continue
		}
		hook.Set(reflect.ValueOf(func(_ context.Context, info proxyauth.TraceInfo) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.lines = append(r.lines, field.Name+lineOf(info))
			r.infos = append(r.infos, info)
		}))
	}
	return trace
}

// lineOf returns the fields of info that are set, but for the proxy and the time.
func lineOf(info proxyauth.TraceInfo) string {
	var b strings.Builder
	add := func(set bool, format string, value any) {
		if set {
			fmt.Fprintf(&b, " "+format, value)
		}
	}
	add(info.Op != "", "%s", info.Op)
	add(info.Target != "", "%s", info.Target)
	add(info.Leg != 0, "leg %d", info.Leg)
	add(info.Scheme != "", "%s", info.Scheme)
	add(info.Reused, "%s", "reused")
	add(len(info.Offered) > 0, "offers %v", info.Offered)
	add(info.Status != 0, "-> %d", info.Status)
	add(info.Err != nil, "error %v", info.Err)
	return b.String()
}

// requireLines requires the lines since the last call, with o and t for the origin
// server as it is called in a request and in a CONNECT.
func (r *recorder) requireLines(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.lines {
		r.lines[i] = strings.ReplaceAll(r.lines[i], " origin.example.com:443", " t")
		r.lines[i] = strings.ReplaceAll(r.lines[i], " origin.example.com", " o")
	}
	require.Equal(t, strings.Join(want, "\n"), strings.Join(r.lines, "\n"))
	for _, info := range r.infos {
		require.Equal(t, "http://proxy.example.com:3128", info.Proxy)
		requireNoSecret(t, info)
		requireNoSecret(t, info.Err)
	}
	r.lines, r.infos = nil, nil
}

// newTracedLab returns a lab and what is told of it.
func newTracedLab(t testing.TB, config testproxy.Config) (*lab, *recorder) {
	l, r := newLab(t, config), new(recorder)
	l.rt.Trace = r.trace()
	return l, r
}

// traced has the lines of a request to a proxy that is not known, one on the same
// connection, and one on a new connection.
var traced = []struct {
	scheme              string
	way                 way
	cold, warm, newConn []string
}{
	{
		"Basic", forwarded,
		[]string{
			"LegSent forward o leg 1",
			"LegAnswered forward o leg 1 -> 407",
			"Challenged forward o leg 1 offers [Basic] -> 407",
			"CredentialsAsked Basic",
			"LegSent forward o leg 2 Basic reused",
			"LegAnswered forward o leg 2 Basic reused -> 200",
			"Accepted Basic",
		},
		[]string{"LegSent forward o leg 1 Basic reused", "LegAnswered forward o leg 1 Basic reused -> 200"},
		[]string{"LegSent forward o leg 1 Basic", "LegAnswered forward o leg 1 Basic -> 200"},
	}, {
		"Digest", forwarded,
		[]string{
			"LegSent forward o leg 1",
			"LegAnswered forward o leg 1 -> 407",
			"Challenged forward o leg 1 offers [Digest] -> 407",
			"CredentialsAsked Digest",
			"LegSent forward o leg 2 Digest reused",
			"LegAnswered forward o leg 2 Digest reused -> 200",
			"Accepted Digest",
		},
		[]string{"LegSent forward o leg 1 Digest reused", "LegAnswered forward o leg 1 Digest reused -> 200"},
		[]string{"LegSent forward o leg 1 Digest", "LegAnswered forward o leg 1 Digest -> 200"},
	}, {
		"NTLM", forwarded,
		[]string{
			"LegSent forward o leg 1",
			"LegAnswered forward o leg 1 -> 407",
			"Challenged forward o leg 1 offers [NTLM] -> 407",
			"CredentialsAsked NTLM",
			"LegSent forward o leg 2 NTLM reused",
			"LegAnswered forward o leg 2 NTLM reused -> 407",
			"Challenged forward o leg 2 NTLM reused offers [NTLM] -> 407",
			"LegSent forward o leg 3 NTLM reused",
			"LegAnswered forward o leg 3 NTLM reused -> 200",
			"Accepted NTLM",
		},
		[]string{"LegSent forward o leg 1 reused", "LegAnswered forward o leg 1 reused -> 200"},
		[]string{
			"LegSent forward o leg 1 NTLM",
			"LegAnswered forward o leg 1 NTLM -> 407",
			"Challenged forward o leg 1 NTLM offers [NTLM] -> 407",
			"LegSent forward o leg 2 NTLM reused",
			"LegAnswered forward o leg 2 NTLM reused -> 200",
		},
	}, {
		"Basic", tunnelled,
		[]string{
			"LegSent CONNECT t leg 1",
			"LegAnswered CONNECT t leg 1 -> 407",
			"Challenged CONNECT t leg 1 offers [Basic] -> 407",
			"CredentialsAsked Basic",
			"LegSent CONNECT t leg 2 Basic reused",
			"LegAnswered CONNECT t leg 2 Basic reused -> 200",
			"Accepted Basic",
			"TunnelOpened CONNECT t leg 2 Basic reused -> 200",
		},
		nil,
		[]string{"LegSent CONNECT t leg 1 Basic", "LegAnswered CONNECT t leg 1 Basic -> 200", "TunnelOpened CONNECT t leg 1 Basic -> 200"},
	}, {
		"Digest", tunnelled,
		[]string{
			"LegSent CONNECT t leg 1",
			"LegAnswered CONNECT t leg 1 -> 407",
			"Challenged CONNECT t leg 1 offers [Digest] -> 407",
			"CredentialsAsked Digest",
			"LegSent CONNECT t leg 2 Digest reused",
			"LegAnswered CONNECT t leg 2 Digest reused -> 200",
			"Accepted Digest",
			"TunnelOpened CONNECT t leg 2 Digest reused -> 200",
		},
		nil,
		[]string{"LegSent CONNECT t leg 1 Digest", "LegAnswered CONNECT t leg 1 Digest -> 200", "TunnelOpened CONNECT t leg 1 Digest -> 200"},
	}, {
		"NTLM", tunnelled,
		[]string{
			"LegSent CONNECT t leg 1",
			"LegAnswered CONNECT t leg 1 -> 407",
			"Challenged CONNECT t leg 1 offers [NTLM] -> 407",
			"CredentialsAsked NTLM",
			"LegSent CONNECT t leg 2 NTLM reused",
			"LegAnswered CONNECT t leg 2 NTLM reused -> 407",
			"Challenged CONNECT t leg 2 NTLM reused offers [NTLM] -> 407",
			"LegSent CONNECT t leg 3 NTLM reused",
			"LegAnswered CONNECT t leg 3 NTLM reused -> 200",
			"Accepted NTLM",
			"TunnelOpened CONNECT t leg 3 NTLM reused -> 200",
		},
		nil,
		[]string{
			"LegSent CONNECT t leg 1 NTLM",
			"LegAnswered CONNECT t leg 1 NTLM -> 407",
			"Challenged CONNECT t leg 1 NTLM offers [NTLM] -> 407",
			"LegSent CONNECT t leg 2 NTLM reused",
			"LegAnswered CONNECT t leg 2 NTLM reused -> 200",
			"TunnelOpened CONNECT t leg 2 NTLM reused -> 200",
		},
	},
}

// TestTrace states which hooks are called, in which order, and what they are told.
func TestTrace(t *testing.T) {
	t.Parallel()
	for _, tt := range traced {
		bubble(t, tt.scheme+", "+tt.way.desc, func(t *testing.T) {
			l, r := newTracedLab(t, testproxy.Config{Auth: []testproxy.Mechanism{mechanismOf(tt.scheme)}})
			l.get(tt.way.target("/"))
			r.requireLines(t, tt.cold...)
			l.get(tt.way.target("/"))
			r.requireLines(t, tt.warm...)
			l.hangUp()
			l.get(tt.way.target("/"))
			r.requireLines(t, tt.newConn...)
		})
	}
}

// mechanismOf returns the proxy's side of a scheme.
func mechanismOf(scheme string) testproxy.Mechanism {
	for _, m := range allMechanisms() {
		if m.Scheme() == scheme {
			return m
		}
	}
	panic(scheme)
}

// TestTraceRefusal traces a wrong password, and the request after it, of which the
// password is no longer sent.
func TestTraceRefusal(t *testing.T) {
	t.Parallel()
	const rejected = "error proxyauth: credentials rejected"
	for _, tt := range []struct {
		scheme      string
		way         way
		first, then []string // from the authorization on; from the challenge on
	}{
		{
			"Basic", forwarded,
			[]string{
				"LegSent forward o leg 2 Basic reused",
				"LegAnswered forward o leg 2 Basic reused -> 407",
				"Challenged forward o leg 2 Basic reused offers [Basic] -> 407",
				"Refused Basic " + rejected,
			},
			[]string{"CredentialsAsked Basic"},
		}, {
			"Digest", tunnelled,
			[]string{
				"LegSent CONNECT t leg 2 Digest reused",
				"LegAnswered CONNECT t leg 2 Digest reused -> 407",
				"Challenged CONNECT t leg 2 Digest reused offers [Digest] -> 407",
				"Refused Digest " + rejected,
			},
			[]string{"CredentialsAsked Digest"},
		}, {
			"NTLM", forwarded,
			[]string{
				"LegSent forward o leg 2 NTLM reused",
				"LegAnswered forward o leg 2 NTLM reused -> 407",
				"Challenged forward o leg 2 NTLM reused offers [NTLM] -> 407",
				"LegSent forward o leg 3 NTLM reused",
				"LegAnswered forward o leg 3 NTLM reused -> 407",
				"Challenged forward o leg 3 NTLM reused offers [NTLM] -> 407",
				"Refused NTLM " + rejected,
			},
			[]string{"CredentialsAsked NTLM"},
		}, {
			"NTLM", tunnelled,
			[]string{
				"LegSent CONNECT t leg 2 NTLM reused",
				"LegAnswered CONNECT t leg 2 NTLM reused -> 407",
				"Challenged CONNECT t leg 2 NTLM reused offers [NTLM] -> 407",
				"LegSent CONNECT t leg 3 NTLM reused",
				"LegAnswered CONNECT t leg 3 NTLM reused -> 407",
				"Challenged CONNECT t leg 3 NTLM reused offers [NTLM] -> 407",
				"Refused NTLM " + rejected,
			},
			[]string{"CredentialsAsked NTLM"},
		},
	} {
		bubble(t, tt.scheme+", "+tt.way.desc, func(t *testing.T) {
			op, target := tt.way.method, "t"
			if tt.way.method == http.MethodGet {
				op, target = "forward", "o"
			}
			begin := []string{
				fmt.Sprintf("LegSent %s %s leg 1", op, target),
				fmt.Sprintf("LegAnswered %s %s leg 1 -> 407", op, target),
				fmt.Sprintf("Challenged %s %s leg 1 offers [%s] -> 407", op, target, tt.scheme),
				"CredentialsAsked " + tt.scheme,
			}
			l, r := newTracedLab(t, testproxy.Config{Auth: []testproxy.Mechanism{mechanismOf(tt.scheme)}})
			l.rt.Credentials = &witness{answer: untilRejected(wrongPassword)}
			requireCause(t, proxyauth.CauseCredentialsRejected, tt.way.reach(t.Context(), l.rt, originHost))
			// The provider is asked again, and has nothing new to say.
			r.requireLines(t, append(append(begin, tt.first...), tt.then...)...)
		})
	}
}

// TestTraceFailures traces what does not come to an answer.
func TestTraceFailures(t *testing.T) {
	t.Parallel()
	eachWay(t, "provider", func(t *testing.T, w way) {
		l, r := newTracedLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		l.rt.Credentials = &witness{answer: func(*proxyauth.CredentialsRequest) (string, error) { return "", errVault }}
		require.Error(t, w.reach(t.Context(), l.rt, originHost))
		require.ErrorIs(t, r.infos[len(r.infos)-1].Err, errVault)
		require.Equal(t, "CredentialsAsked Basic error vault is sealed", r.lines[len(r.lines)-1])
	})
	eachWay(t, "unreachable", func(t *testing.T, w way) {
		l, r := newTracedLab(t, testproxy.Config{})
		l.proxy.Close()
		require.Error(t, w.reach(t.Context(), l.rt, originHost))
		r.requireLines(t) // no leg
	})
	eachWay(t, "no answer", func(t *testing.T, w way) {
		l, r := newTracedLab(t, testproxy.Config{Fault: testproxy.Always(testproxy.DropAt(testproxy.OnRequest))})
		require.Error(t, w.reach(t.Context(), l.rt, originHost))
		require.Len(t, r.infos, 2)
		require.True(t, strings.HasPrefix(r.lines[0], "LegSent "))
		require.True(t, strings.HasPrefix(r.lines[1], "LegAnswered "))
		require.Error(t, r.infos[1].Err)
		require.Zero(t, r.infos[1].Status)
	})
	eachWay(t, "cancelled", func(t *testing.T, w way) {
		l, r := newTracedLab(t, testproxy.Config{Fault: testproxy.Always(testproxy.StallAt(testproxy.OnRequest))})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		require.Error(t, w.reach(ctx, l.rt, originHost))
		require.Equal(t, 3*time.Second, r.infos[1].Duration)
		require.True(t, errors.Is(r.infos[1].Err, context.DeadlineExceeded), "%v", r.infos[1].Err)
	})
}
