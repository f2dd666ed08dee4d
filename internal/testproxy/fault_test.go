package testproxy_test

import (
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/stretchr/testify/require"
)

const (
	request = "GET " + target + " HTTP/1.1\r\nHost: origin.example.com\r\n\r\n"
	page407 = "testproxy: 407 Proxy Authentication Required\n"
	head407 = "HTTP/1.1 407 Proxy Authentication Required\r\n"
	fields  = "Content-Length: 45\r\nContent-Type: text/plain; charset=utf-8\r\n"
	lab     = "Proxy-Authenticate: Basic realm=\"lab\"\r\n"
)

// Each of these answers ends with the connection, or the test ends it.
func TestFault_bytesOfARefusal(t *testing.T) {
	for _, test := range []struct {
		desc       string
		action     *testproxy.Action
		want       string
		open       bool // it stays open
		transcript string
	}{
		{
			desc: "none",
			want: head407 + fields + lab + "\r\n" + page407,
			open: true,
		}, {
			desc:   "close silently",
			action: testproxy.CloseSilently(),
			want:   head407 + fields + lab + "\r\n" + page407,
		}, {
			desc:   "close openly",
			action: testproxy.CloseOpenly(),
			want:   head407 + "Connection: close\r\n" + fields + lab + "\r\n" + page407,
		}, {
			desc:   "HTTP/1.0 without length",
			action: testproxy.HTTP10(),
			want: "HTTP/1.0 407 Proxy Authentication Required\r\nConnection: close\r\n" +
				"Content-Type: text/plain; charset=utf-8\r\n" + lab + "\r\n" + page407,
		}, {
			desc:   "HTTP/1.0, kept",
			action: &testproxy.Action{Proto: "HTTP/1.0", Keep: true},
			want:   "HTTP/1.0 407 Proxy Authentication Required\r\n" + fields + lab + "\r\n" + page407,
			open:   true,
		}, {
			desc:   "chunked",
			action: testproxy.Chunked(),
			want: head407 + "Content-Type: text/plain; charset=utf-8\r\n" + lab + "Transfer-Encoding: chunked\r\n\r\n" +
				"2d\r\n" + page407 + "\r\n0\r\n\r\n",
			open: true,
		}, {
			desc:   "no challenge",
			action: testproxy.Offer(),
			want:   head407 + fields + "\r\n" + page407,
			open:   true,
		}, {
			desc:   "empty challenge",
			action: testproxy.Offer(""),
			want:   head407 + fields + "Proxy-Authenticate: \r\n\r\n" + page407,
			open:   true,
		}, {
			desc:   "many challenges",
			action: testproxy.ManyChallenges(3, "X"),
			want:   head407 + fields + strings.Repeat("Proxy-Authenticate: X\r\n", 3) + "\r\n" + page407,
			open:   true,
		}, {
			desc:   "1xx",
			action: testproxy.Interim(2, "103 Early Hints"),
			want:   strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 2) + head407 + fields + lab + "\r\n" + page407,
			open:   true,
		}, {
			desc:   "another status",
			action: testproxy.Refuse(403, "no"),
			want: "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nContent-Type: text/plain; charset=utf-8\r\n" +
				lab + "\r\nno",
			open: true,
		}, {
			desc:   "a lie about the length, and a field removed",
			action: &testproxy.Action{Header: http.Header{"Content-Length": {"9"}, "Content-Type": nil}},
			want:   head407 + "Content-Length: 9\r\n" + lab + "\r\n" + page407,
			open:   true,
		}, {
			desc:       "garbage",
			action:     testproxy.Garbage("SSH-2.0-x\r\n"),
			want:       "SSH-2.0-x\r\n",
			transcript: "raw",
		}, {
			desc:       "drop after the request",
			action:     testproxy.DropAt(testproxy.OnRequest),
			transcript: "dropped",
		}, {
			desc:       "drop before the answer",
			action:     testproxy.DropAt(testproxy.BeforeAnswer),
			transcript: "dropped",
		}, {
			desc:   "drop in the status line",
			action: testproxy.DropAt(testproxy.InStatusLine),
			want:   "HTTP/1.1 407 Proxy Aut",
		}, {
			desc:   "drop in the header",
			action: testproxy.DropAt(testproxy.InHeader),
			want:   head407 + (fields + lab)[:len(fields+lab)/2],
		}, {
			desc:   "drop after the header",
			action: testproxy.DropAt(testproxy.AfterHeader),
			want:   head407 + fields + lab + "\r\n",
		}, {
			desc:   "drop in the body",
			action: testproxy.DropAt(testproxy.InBody),
			want:   head407 + fields + lab + "\r\n" + page407[:22],
		}, {
			desc:   "drop after the answer",
			action: testproxy.DropAt(testproxy.AfterAnswer),
			want:   head407 + fields + lab + "\r\n" + page407,
		}, {
			desc:       "stall after the request",
			action:     testproxy.StallAt(testproxy.OnRequest),
			open:       true,
			transcript: "stalled",
		}, {
			desc:   "stall in the status line",
			action: testproxy.StallAt(testproxy.InStatusLine),
			want:   "HTTP/1.1 407 Proxy Aut",
			open:   true,
		}, {
			desc:   "stall in the body",
			action: testproxy.StallAt(testproxy.InBody),
			want:   head407 + fields + lab + "\r\n" + page407[:22],
			open:   true,
		},
	} {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, testproxy.Config{Fault: testproxy.On(407, test.action)})
				c := w.dial()
				c.send(request)
				synctest.Wait()
				require.Equal(t, test.open, w.proxy.Conns()[0].Open)
				c.SetReadDeadline(time.Now().Add(time.Second))
				got, err := c.rest()
				require.Equal(t, test.want, got)
				require.Equal(t, test.open, err != nil, "an open connection is read until the deadline")
				if test.transcript != "" {
					require.Equal(t, []string{"c1 GET http://origin.example.com/ -> " + test.transcript}, w.proxy.Transcript())
				}
				c.Close()
				synctest.Wait()
				require.False(t, w.proxy.Conns()[0].Open, "a stalled connection ends with the client's")
			})
		})
	}
}

func TestFault_reset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testproxy.Config{Fault: testproxy.Always(testproxy.ResetAt(testproxy.OnRequest))})
		c := w.dial()
		c.send(request)
		_, err := c.rest()
		require.ErrorIs(t, err, syscall.ECONNRESET)
	})
}

// What does not end is read in part.
func TestFault_endless(t *testing.T) {
	for _, test := range []struct {
		desc   string
		action *testproxy.Action
	}{
		{"body", testproxy.EndlessBody()},
		{"header", testproxy.EndlessHeader()},
		{"1xx", testproxy.Interim(-1, "102 Processing")},
	} {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, testproxy.Config{Fault: testproxy.Always(test.action)})
				c := w.dial()
				c.send(request)
				_, err := io.CopyN(io.Discard, c, 1<<20)
				require.NoError(t, err)
			})
		})
	}
}

func TestFault_largeBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testproxy.Config{Fault: testproxy.Always(testproxy.LargeBody(1 << 20))})
		require.Len(t, text(t, w.dial().get("")), 1<<20)
	})
}

func TestFault_keepsAcceptedRequestsFromTheTarget(t *testing.T) {
	for _, test := range []struct {
		desc    string
		action  *testproxy.Action
		reaches int
	}{
		{"refused", testproxy.Refuse(403, "no"), 0},
		{"dropped on request", testproxy.DropAt(testproxy.OnRequest), 0},
		{"dropped before the answer", testproxy.DropAt(testproxy.BeforeAnswer), 1},
		{"closed after it", testproxy.CloseOpenly(), 1},
		{"garbage", testproxy.Garbage("?"), 0},
	} {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, testproxy.Config{Fault: testproxy.On(200, test.action)})
				w.dial().send(strings.Replace(request, "\r\n\r\n", "\r\n"+basic+"\r\n", 1))
				synctest.Wait()
				require.Len(t, w.origin.Requests(), test.reaches)
			})
		})
	}
}

func TestFault_connect(t *testing.T) {
	const hello = "GET / HTTP/1.1\r\nHost: origin.example.com\r\nConnection: close\r\n\r\n"
	for _, test := range []struct {
		desc   string
		action *testproxy.Action
		want   string // head and what is behind it
		tunnel bool
	}{
		{
			desc:   "none",
			want:   "HTTP/1.1 200 Connection established\r\n\r\n",
			tunnel: true,
		}, {
			desc:   "201 with garbage and early bytes",
			action: testproxy.Connected(201, http.Header{"Content-Length": {"5"}, "Transfer-Encoding": {"chunked"}}, "early"),
			want:   "HTTP/1.1 201 Created\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nearly",
			tunnel: true,
		}, {
			desc:   "299",
			action: testproxy.Connected(299, nil, ""),
			want:   "HTTP/1.1 299 Unknown\r\n\r\n",
			tunnel: true,
		}, {
			desc:   "HTTP/1.0",
			action: &testproxy.Action{Proto: "HTTP/1.0"},
			want:   "HTTP/1.0 200 Connection established\r\n\r\n",
			tunnel: true,
		}, {
			desc:   "stall after 200",
			action: testproxy.StallAt(testproxy.AfterAnswer),
			want:   "HTTP/1.1 200 Connection established\r\n\r\n",
		}, {
			desc:   "401",
			action: testproxy.Refuse(401, "no"),
			want:   "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nno",
		},
	} {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, testproxy.Config{Fault: testproxy.On(200, test.action)})
				c := w.dial()
				c.send("CONNECT origin.example.com:80 HTTP/1.1\r\nHost: origin.example.com:80\r\n" + basic + "\r\n")
				got := make([]byte, len(test.want))
				// One Read suffices, since all of it comes in one write.
				n, err := c.Read(got)
				require.NoError(t, err)
				require.Equal(t, test.want, string(got[:n]))
				c.send(hello)
				synctest.Wait()
				require.Equal(t, test.tunnel, len(w.origin.Requests()) == 1)
			})
		})
	}
}

func TestFault_bodyOfARefusedRequest(t *testing.T) {
	small, large := strings.Repeat("x", 65535), strings.Repeat("x", 65536)
	for _, test := range []struct {
		desc   string
		policy testproxy.BodyPolicy
		body   string
		first  bool // the answer comes before the body is sent
		next   string
	}{
		{desc: "read, then answer", body: large, next: "200"},
		{desc: "answer, then read", policy: testproxy.AnswerThenRead, body: large, first: true, next: "200"},
		{desc: "squid, small", policy: testproxy.SquidBody, body: small, first: true, next: "200"},
		{desc: "squid, large", policy: testproxy.SquidBody, body: large, first: true, next: "nothing"},
		{desc: "answer, then close", policy: testproxy.AnswerThenClose, body: small, first: true, next: "closed"},
	} {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, testproxy.Config{Fault: testproxy.Always(&testproxy.Action{RefusedBody: test.policy})})
				c := w.dial()
				length := "Content-Length: " + map[bool]string{true: "65535", false: "65536"}[test.body == small] + "\r\n"
				c.send("POST " + target + " HTTP/1.1\r\nHost: origin.example.com\r\n" + length + "\r\n")
				synctest.Wait()
				require.Equal(t, test.first, w.proxy.Legs()[0].Status == 407)
				if test.next == "closed" {
					require.Equal(t, 407, c.answer("POST").StatusCode)
					c.requireClosed()
					return
				}
				go io.WriteString(c, test.body)
				require.Equal(t, 407, c.answer("POST").StatusCode)
				synctest.Wait()
				go io.WriteString(c, strings.Replace(request, "\r\n\r\n", "\r\n"+basic+"\r\n", 1))
				if test.next == "200" {
					require.Equal(t, 200, c.answer("GET").StatusCode)
					return
				}
				start := time.Now()
				got, _ := c.rest()
				require.Empty(t, got)
				require.Equal(t, 121*time.Second, time.Since(start))
			})
		})
	}
}

func TestFault_combinations(t *testing.T) {
	a, b := testproxy.Offer("A"), testproxy.Offer("B")
	legs := []testproxy.Leg{
		{Method: "GET", Status: 407},
		{Method: "CONNECT", Status: 407},
		{Method: "GET", Status: 200, Scheme: "Digest"},
		{Method: "CONNECT", Status: 200, Scheme: "Digest"},
	}
	for _, test := range []struct {
		desc  string
		fault testproxy.Fault
		want  []*testproxy.Action
	}{
		{"always", testproxy.Always(a), []*testproxy.Action{a, a, a, a}},
		{"on status", testproxy.On(200, a), []*testproxy.Action{nil, nil, a, a}},
		{"on method", testproxy.OnMethod("CONNECT", a), []*testproxy.Action{nil, a, nil, a}},
		{"on scheme", testproxy.OnScheme("Digest", a), []*testproxy.Action{nil, nil, a, a}},
		{"once", testproxy.Once(testproxy.OnMethod("CONNECT", a)), []*testproxy.Action{nil, a, nil, nil}},
		{"script", testproxy.Script(a, nil, b), []*testproxy.Action{a, nil, b, nil}},
		{"first", testproxy.First(testproxy.On(407, a), testproxy.Always(b)), []*testproxy.Action{a, a, b, b}},
	} {
		t.Run(test.desc, func(t *testing.T) {
			for i, leg := range legs {
				require.Same(t, test.want[i], test.fault(&leg), "leg %d", i+1)
			}
		})
	}
}

func TestFault_changesWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testproxy.Config{Fault: testproxy.Script(testproxy.Offer("A"), testproxy.Offer("B"))})
		c := w.dial()
		require.Equal(t, "A", c.get("").Header.Get("Proxy-Authenticate"))
		require.Equal(t, "B", c.get("").Header.Get("Proxy-Authenticate"))
		w.proxy.SetFault(testproxy.Always(testproxy.Offer("C")))
		require.Equal(t, "C", c.get("").Header.Get("Proxy-Authenticate"))
		w.proxy.SetFault(nil)
		require.Equal(t, `Basic realm="lab"`, c.get("").Header.Get("Proxy-Authenticate"))
		w.proxy.SetAuth()
		require.Equal(t, 200, c.get("").StatusCode)
	})
}

func TestFault_ofConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testproxy.Config{ConnFault: func(conn int) testproxy.ConnAction {
			return []testproxy.ConnAction{testproxy.DropConn, testproxy.StallConn, testproxy.ServeConn}[conn-1]
		}})
		w.dial().requireClosed()
		c := w.dial()
		c.send(request)
		c.SetReadDeadline(time.Now().Add(time.Second))
		got, err := c.rest()
		require.Error(t, err)
		require.Empty(t, got)
		require.Equal(t, 200, w.dial().get(basic).StatusCode)
	})
}
