package e2e_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// TestConnectionAfterRefusedBody lets a proxy begin to ask when a long body is on
// its way: squid does not read on, whatever it says of the connection.
func TestConnectionAfterRefusedBody(t *testing.T) {
	t.Parallel()
	// The 407 to HEAD has no body, upon which net/http takes the connection back
	// before anybody can say otherwise.
	for _, method := range []string{http.MethodPost, http.MethodHead} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, testproxy.Config{RefusedBody: testproxy.SquidBody})
				l.get(httpOrigin + "/")
				l.legs("GET / -> 200")
				m := &testproxy.Basic{Realm: "lab"}
				l.adopt(m)
				l.proxy.SetAuth(m)
				u := newUpload(100 << 10)
				resp, _, err := l.do(u.put(l.request(method, httpOrigin+"/", nil), true))
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, resp.StatusCode)
				l.legs(method+" / -> 407", "+ "+method+" / Basic -> 200")
				l.get(httpOrigin + "/")
				l.legs("GET / Basic -> 200")
				u.requireClosed(t)
			})
		})
	}
}

// TestRefusedBodyReturned reads the 407 that can't be answered to its end, at
// which net/http would take the connection back.
func TestRefusedBodyReturned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, testproxy.Config{RefusedBody: testproxy.AnswerThenRead})
		l.get(httpOrigin + "/")
		m := &testproxy.Basic{Realm: "lab"}
		l.adopt(m)
		l.proxy.SetAuth(m)
		l.proxy.Reset()
		req := newUpload(100<<10).put(l.request(http.MethodPost, httpOrigin+"/", nil), false)
		resp, err := l.rt.RoundTrip(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		l.get(httpOrigin + "/") // while the body is not closed
		require.NoError(t, resp.Body.Close())
		l.get(httpOrigin + "/")
		l.legs("POST / -> 407", "+ GET / -> 407", "= GET / Basic -> 200", "= GET / Basic -> 200")
	})
}

// A script answers the requests on each connection with its texts, byte by byte.
type script struct {
	answers []string
	conns   int
}

func (s *script) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	s.conns++
	go s.serve(server)
	return client, nil
}

func (s *script) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for _, answer := range s.answers {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		io.Copy(io.Discard, req.Body)
		for i := range len(answer) {
			conn.Write([]byte(answer[i : i+1]))
		}
	}
	io.Copy(io.Discard, r)
}

// TestAnswerToLongBody passes answers to a long body on as they are, but for the
// 407, however they are cut into pieces.
func TestAnswerToLongBody(t *testing.T) {
	t.Parallel()
	const (
		hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
		ok    = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
		no    = "HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno"
	)
	for _, tt := range []struct {
		desc   string
		answer string
		status int
		body   string
		closes bool
	}{
		{desc: "200", answer: ok, status: 200, body: "ok"},
		{desc: "407", answer: no, status: 407, body: "no", closes: true},
		{desc: "1xx and 200", answer: hints + ok, status: 200, body: "ok"},
		{desc: "1xx, 1xx and 407", answer: hints + hints + no, status: 407, body: "no", closes: true},
		{desc: "407 with bare line ends", answer: strings.ReplaceAll(no, "\r", ""), status: 407, body: "no", closes: true},
		{desc: "407 in HTTP/1.0, kept alive", answer: "HTTP/1.0 407 No\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", status: 407, closes: true},
		{desc: "garbage", answer: "garbage and no end of it\r\n\r\n"},
		{desc: "an endless status line", answer: "HTTP/1.1 407 " + strings.Repeat("x", 100<<10)},
		{desc: "an endless 1xx", answer: "HTTP/1.1 103 " + strings.Repeat("x", 100<<10)},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: []string{ok, tt.answer, ok}}
				base := cannedProxy{}.base()
				base.DialContext, base.MaxResponseHeaderBytes = s.dial, 64<<10
				rt := wrapped(t, base)
				get := getter(t, rt, httpOrigin)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, httpOrigin, unreplayable("body"))
				require.NoError(t, err)
				resp, err := rt.RoundTrip(req)
				if tt.status == 0 {
					require.Error(t, err)
					return
				}
				require.NoError(t, err)
				require.Equal(t, tt.status, resp.StatusCode)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Equal(t, tt.body, string(body))
				get()
				require.NoError(t, resp.Body.Close())
				want := 1
				if tt.closes {
					want = 2
				}
				require.Equal(t, want, s.conns)
			})
		})
	}
}
