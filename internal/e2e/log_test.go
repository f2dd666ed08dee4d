package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A logbook is what a Logger has written.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// lines returns the lines since the last call, without their time.
func (b *logbook) lines() string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.text.Reset()
	return b.text.String()
}

// newLoggedLab returns a lab and its log, in slog's form of text.
func newLoggedLab(t testing.TB, level slog.Level, config testproxy.Config) (*lab, *logbook) {
	l, b := newLab(t, config), new(logbook)
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	l.rt.Logger = slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: level, ReplaceAttr: noTime}))
	return l, b
}

// lines joins lines, each ended.
func lines(text ...string) string { return strings.Join(append(text, ""), "\n") }

// TestLog states the lines of a request that is let through: all of them at Debug.
func TestLog(t *testing.T) {
	t.Parallel()
	const common = "proxy=http://proxy.example.com:3128 op=CONNECT target=origin.example.com:443 "
	bubble(t, "tunnelled", func(t *testing.T) {
		l, b := newLoggedLab(t, slog.LevelDebug, testproxy.Config{
			Auth: []testproxy.Mechanism{&testproxy.Digest{Realm: "lab"}, &testproxy.Basic{Realm: "lab"}},
			Fault: func(*testproxy.Leg) *testproxy.Action {
				time.Sleep(time.Second)
				return nil
			},
		})
		require.NoError(t, tunnel(t.Context(), l.rt, originHost))
		require.Equal(t, lines(
			`level=DEBUG msg="proxyauth: proxy chosen" proxy=http://proxy.example.com:3128 target=origin.example.com:443`,
			`level=DEBUG msg="proxyauth: leg sent" `+common+"leg=1 reused=false",
			`level=DEBUG msg="proxyauth: leg answered" `+common+"leg=1 reused=false status=407 duration=1s",
			`level=DEBUG msg="proxyauth: challenged" `+common+`leg=1 reused=false status=407 offered="Digest, Basic"`,
			`level=DEBUG msg="proxyauth: credentials asked" proxy=http://proxy.example.com:3128 scheme=Digest`,
			`level=DEBUG msg="proxyauth: leg sent" `+common+"scheme=Digest leg=2 reused=true",
			`level=DEBUG msg="proxyauth: leg answered" `+common+"scheme=Digest leg=2 reused=true status=200 duration=1s",
			`level=DEBUG msg="proxyauth: credentials accepted" proxy=http://proxy.example.com:3128 scheme=Digest`,
			`level=DEBUG msg="proxyauth: tunnel opened" `+common+"scheme=Digest leg=2 reused=true status=200 duration=2s",
		), b.lines())
	})
	bubble(t, "forwarded", func(t *testing.T) {
		l, b := newLoggedLab(t, slog.LevelDebug, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		l.get(httpOrigin + "/")
		b.lines()
		l.get(httpOrigin + "/path?query")
		const warm = "proxy=http://proxy.example.com:3128 op=forward target=origin.example.com scheme=Basic leg=1 reused=true"
		require.Equal(t, lines(
			`level=DEBUG msg="proxyauth: proxy chosen" proxy=http://proxy.example.com:3128 target=origin.example.com`,
			`level=DEBUG msg="proxyauth: leg sent" `+warm,
			`level=DEBUG msg="proxyauth: leg answered" `+warm+" status=200",
		), b.lines())
	})
}

// TestLogLevels logs nothing of what goes well above Debug, and failures at Warn.
func TestLogLevels(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		level  slog.Level
		passed bool
		failed bool
	}{
		{slog.LevelDebug, true, true},
		{slog.LevelInfo, false, true},
		{slog.LevelWarn, false, true},
		{slog.LevelError, false, false},
	} {
		for i, mechanism := range allMechanisms() {
			eachWay(t, tt.level.String()+" "+mechanism.Scheme(), func(t *testing.T, w way) {
				l, b := newLoggedLab(t, tt.level, testproxy.Config{Auth: allMechanisms()[i : i+1]})
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				passed := b.lines()
				require.Equal(t, tt.passed, passed != "", passed)
				require.NotContains(t, passed, "WARN")
				l.proxy.SetAuth(&testproxy.Basic{Realm: "other"})
				l.newConns()
				l.rt.Reset()
				l.rt.Schemes[len(l.rt.Schemes)-1] = mustFail{}
				require.Error(t, w.reach(t.Context(), l.rt, originHost))
				failed := b.lines()
				require.Equal(t, tt.failed, strings.Contains(failed, "level=WARN"), failed)
				if tt.failed {
					require.Equal(t, 1, strings.Count(failed, "level=WARN"))
					require.Contains(t, failed, `msg="proxyauth: failed" proxy=http://proxy.example.com:3128 target=origin.example.com`)
					require.Contains(t, failed, `cause=scheme_failed`)
					require.Contains(t, failed, `hint="No scheme that the proxy offers could be carried out`)
				}
			})
		}
	}
}

// mustFail is a Basic that can't be carried out.
type mustFail struct{ proxyauth.Scheme }

func (mustFail) Name() string { return "Basic" }

func (mustFail) NewSession(context.Context, proxyauth.Exchange) (proxyauth.Session, error) {
	return nil, errVault
}

// TestLogFailures logs each failure once, with cause and hint, for a hook as well
// as for a response.
func TestLogFailures(t *testing.T) {
	t.Parallel()
	for i, tt := range failures() {
		for _, w := range ways {
			if tt.only != "" && tt.only != w.method {
				continue
			}
			bubble(t, tt.desc+", "+w.desc, func(t *testing.T) {
				b := new(logbook)
				f := failures()[i]
				change := f.change
				f.change = func(l *lab) {
					if change != nil {
						change(l)
					}
					l.rt.Logger = slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelWarn}))
				}
				e := f.fail(t, w, 0)
				var entry struct{ Level, Msg, Proxy, Target, Cause, Error, Hint string }
				text := b.lines()
				require.NoError(t, json.Unmarshal([]byte(text), &entry), "one line: %s", text)
				require.Equal(t, "WARN", entry.Level)
				require.Equal(t, "proxyauth: failed", entry.Msg)
				require.Equal(t, e.Proxy, entry.Proxy)
				require.Equal(t, string(e.Cause), entry.Cause)
				require.Equal(t, e.Error(), entry.Error)
				require.Equal(t, e.Hint(), entry.Hint)
				require.NotRegexp(t, secret, text)
				require.NotRegexp(t, userName, text)
			})
		}
	}
}

// What comes from a peer can't break a line, nor put one in.
func TestLogIsPrintable(t *testing.T) {
	t.Parallel()
	eachWay(t, "", func(t *testing.T, w way) {
		var text strings.Builder
		for _, a := range []*testproxy.Action{
			{Status: 407, Challenges: []string{"B" + strings.Repeat("b", 5000), `C realm="` + strings.Repeat("c", 5000)}},
			{Status: 407, Challenges: []string{"A \x1b[31m"}},
			testproxy.Garbage("HTTP/1.1 \x1b[31m\nlevel=INFO\n\n"),
			testproxy.Garbage("HTTP/1.1 407 No\r\nlevel=INFO\u0085\u009b\r\n\r\n"),
		} {
			l, b := newLoggedLab(t, slog.LevelDebug, testproxy.Config{Fault: testproxy.Always(a)})
			l.rt.Logger = slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				require.Equal(t, -1, strings.IndexFunc(a.Value.String(), unicode.IsControl), a.String())
				require.Less(t, len(a.Value.String()), 2<<10)
				return a
			}}))
			require.Error(t, w.reach(t.Context(), l.rt, originHost))
			text.WriteString(b.lines())
		}
		require.Contains(t, text.String(), "level=WARN")
	})
	eachWay(t, "provider", func(t *testing.T, w way) {
		l, b := newLoggedLab(t, slog.LevelDebug, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		l.rt.Credentials = &witness{answer: func(*proxyauth.CredentialsRequest) (string, error) { return "", errors.Join(errVault, errVault) }}
		require.Error(t, w.reach(t.Context(), l.rt, originHost))
		require.NotContains(t, b.lines(), `\n`)
	})
}

// A proxy may echo what it was sent into an answer that is malformed, which
// net/http quotes.
func TestEchoIsNotQuoted(t *testing.T) {
	t.Parallel()
	const echo = "you sent Basic YW5uOnMzY3JldA=="
	framing := regexp.MustCompile("Transfer-Encoding|Content-Length")
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\n" + echo + "\r\n\r\n",
		"HTTP/1.1 " + echo + "\r\n\r\n",
		echo + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + echo + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: " + echo + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + echo + ": x\r\n\r\n",
	} {
		for _, body := range []bool{false, true} {
			eachWay(t, answer, func(t *testing.T, w way) {
				l, b := newLoggedLab(t, slog.LevelDebug, testproxy.Config{
					Auth:  []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}},
					Fault: testproxy.OnScheme("Basic", testproxy.Garbage(answer)),
				})
				var err error
				switch {
				case body && w.method == http.MethodGet:
					_, _, err = l.do(l.request(http.MethodPost, httpOrigin, unreplayable("body")))
				default:
					err = w.reach(t.Context(), l.rt, originHost)
				}
				if w.method == http.MethodConnect && framing.MatchString(answer) {
					require.NoError(t, err) // the tunnel is open, whatever its length
				} else {
					require.Error(t, err)
				}
				requireNoSecret(t, err)
				log := b.lines()
				require.NotEmpty(t, log)
				require.True(t, scanned.Text(t.Name(), log), log)
			})
		}
	}
}

// A Logger does not take the place of a Trace.
func TestLogAndTrace(t *testing.T) {
	t.Parallel()
	eachWay(t, "", func(t *testing.T, w way) {
		l, b := newLoggedLab(t, slog.LevelDebug, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.NTLM{}}})
		r := new(recorder)
		l.rt.Trace = r.trace()
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		require.NotEmpty(t, r.lines)
		require.Equal(t, 1+len(r.lines), strings.Count(b.lines(), "\n"), "and the proxy chosen")
		l.rt.Trace = &proxyauth.Trace{} // too late, and no harm
	})
}

// What the log says of requests to many origins tells them apart.
func TestLogTargets(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		l, b := newLoggedLab(t, slog.LevelDebug, testproxy.Config{})
		testproxy.StartOrigin(t, testproxy.OriginConfig{Network: l.network, Addr: "second.example.com:8080"})
		_, _, err := l.do(l.request(http.MethodGet, "http://second.example.com:8080/", nil))
		require.NoError(t, err)
		require.Contains(t, b.lines(), "target=second.example.com:8080 ")
	})
}
