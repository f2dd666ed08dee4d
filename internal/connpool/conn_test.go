package connpool_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/connpool"
	"github.com/stretchr/testify/require"
)

const origin = "http://origin.example/"

func TestLegsShareTheConnection(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		var targets []string
		e.answer = func(n int, req *http.Request) string {
			targets = append(targets, fmt.Sprint(n, " ", req.Method, " ", req.RequestURI))
			if len(targets) == 1 {
				return "HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno"
			}
			return ok
		}
		c := e.get(anyConn)
		require.False(t, c.Reused())
		req := e.request("GET", origin+"a?b", nil)
		resp, err := c.RoundTrip(req)
		require.NoError(t, err)
		require.Equal(t, 407, resp.StatusCode)
		require.Same(t, req, resp.Request)
		require.False(t, c.Ready(), "before the answer has been read")
		require.Equal(t, "no", e.read(resp))
		require.True(t, c.Ready())
		require.True(t, c.Reused())
		e.leg(c)
		c.Release()
		require.Equal(t, []string{"1 GET http://origin.example/a?b", "1 GET http://origin.example/"}, targets)
	})
}

func TestAnswerThatSaysClose(t *testing.T) {
	for _, test := range []struct {
		desc   string
		header string
		want   bool // the connection can be used again
	}{
		{"no field", "", true},
		{"Connection", "Connection: close\r\n", false},
		{"Proxy-Connection", "Proxy-Connection: close\r\n", false},
		{"in capitals, in a list", "Proxy-Connection: x, CLOSE\r\n", false},
		{"second field", "Proxy-Connection: x\r\nProxy-Connection: close\r\n", false},
		{"both, contradicting", "Connection: keep-alive\r\nProxy-Connection: close\r\n", false},
		{"keep-alive", "Proxy-Connection: keep-alive\r\n", true},
	} {
		for _, body := range []string{"Content-Length: 0\r\n\r\n", "Content-Length: 2\r\n\r\nno"} {
			t.Run(test.desc, func(t *testing.T) {
				run(t, &http.Transport{}, func(t *testing.T, e *env) {
					e.answer = func(int, *http.Request) string { return "HTTP/1.1 407 No\r\n" + test.header + body }
					c := e.get(anyConn)
					e.leg(c)
					require.Equal(t, test.want, c.Ready())
					c.Release()
					synctest.Wait()
					require.Equal(t, test.want, e.open.Load() == 1)
				})
			})
		}
	}
}

func TestWhyALegFailed(t *testing.T) {
	for _, test := range []struct {
		desc           string
		fresh          bool // the connection has not served before
		fail           func(e *env) func(int, *http.Request) string
		header         string
		unsent, idling bool
	}{{
		desc:   "closed before",
		fail:   func(e *env) func(int, *http.Request) string { e.peer(1).Close(); synctest.Wait(); return nil },
		unsent: true,
		idling: true,
	}, {
		desc: "closed on the request",
		fail: func(e *env) func(int, *http.Request) string {
			return func(int, *http.Request) string { return "" }
		},
		idling: true,
	}, {
		desc: "reset on the request",
		fail: func(e *env) func(int, *http.Request) string {
			return func(int, *http.Request) string {
				e.peer(1).(interface{ SetLinger(int) error }).SetLinger(0)
				return ""
			}
		},
		idling: true,
	}, {
		desc:  "closed on the first request",
		fresh: true,
		fail: func(e *env) func(int, *http.Request) string {
			return func(int, *http.Request) string { return "" }
		},
	}, {
		desc: "408 on the idle connection",
		fail: func(e *env) func(int, *http.Request) string {
			io.WriteString(e.peer(1), "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
			e.peer(1).Close()
			synctest.Wait()
			return nil
		},
		unsent: true,
		idling: true,
	}, {
		desc: "cut answer",
		fail: func(e *env) func(int, *http.Request) string {
			return func(int, *http.Request) string {
				io.WriteString(e.peer(1), "HTTP/1.1 20")
				return ""
			}
		},
	}, {
		desc: "garbage",
		fail: func(e *env) func(int, *http.Request) string {
			return func(int, *http.Request) string { return "garbage\r\n\r\n" }
		},
	}, {
		desc: "late answer",
		fail: func(e *env) func(int, *http.Request) string {
			return func(int, *http.Request) string { time.Sleep(time.Hour); return ok }
		},
	}, {
		desc:   "invalid header",
		fail:   func(e *env) func(int, *http.Request) string { return nil },
		header: "a\nb",
	}} {
		t.Run(test.desc, func(t *testing.T) {
			run(t, &http.Transport{ResponseHeaderTimeout: time.Minute}, func(t *testing.T, e *env) {
				c := e.get(anyConn)
				if !test.fresh {
					e.leg(c)
				}
				synctest.Wait()
				if answer := test.fail(e); answer != nil {
					e.answer = answer
				}
				req := e.request("GET", origin, nil)
				if test.header != "" {
					req.Header.Set("X", test.header)
				}
				_, err := c.RoundTrip(req)
				require.Error(t, err)
				require.Equal(t, test.unsent, c.Unsent(), "unsent")
				require.Equal(t, test.idling, c.IdleRace(), "idle race")
				require.Equal(t, test.header != "", c.Invalid(), "invalid")
				require.Equal(t, test.header != "", c.Ready())
				c.Release()
				time.Sleep(time.Hour)
			})
		})
	}
}

// A body counts how often it was closed. Read blocks after its text until then, if it is to.
type body struct {
	io.Reader
	block  bool
	closed chan struct{}
	once   sync.Once
}

func newBody(text string, block bool) *body {
	return &body{Reader: strings.NewReader(text), block: block, closed: make(chan struct{})}
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF && b.block {
		<-b.closed
		return 0, errors.New("read after close")
	}
	return n, err
}

func (b *body) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

func TestBodyIsClosed(t *testing.T) {
	for _, test := range []struct {
		desc   string
		block  bool
		header string
		before func(e *env)
		answer string
		after  func(resp *http.Response)
		fails  bool
	}{
		{desc: "sent", answer: ok},
		{desc: "refused", answer: "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"},
		{desc: "invalid header", header: "a\nb", fails: true},
		{desc: "closed connection", before: func(e *env) { e.peer(1).Close(); synctest.Wait() }, fails: true},
		{desc: "no answer", answer: "", fails: true},
		{desc: "end of the context, while Read blocks", block: true, fails: true},
	} {
		t.Run(test.desc, func(t *testing.T) {
			run(t, &http.Transport{}, func(t *testing.T, e *env) {
				e.answer = func(int, *http.Request) string { return test.answer }
				c := e.get(anyConn)
				synctest.Wait()
				if test.before != nil {
					test.before(e)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				b := newBody("text", test.block)
				req := e.request("POST", origin, b).WithContext(ctx)
				if test.header != "" {
					req.Header.Set("X", test.header)
				}
				resp, err := c.RoundTrip(req)
				require.Equal(t, test.fails, err != nil, "%v", err)
				if err == nil {
					e.read(resp)
				}
				c.Release()
				select {
				case <-b.closed:
				default:
					t.Error("not closed")
				}
			})
		})
	}
}

// The proxy answers before it has read the body, whose Read blocks; the program reads no further.
func TestBodyIsClosedWithTheConnection(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		e.script = func(_ int, conn net.Conn, br *bufio.Reader) {
			http.ReadRequest(br)
			io.WriteString(conn, ok)
			io.Copy(io.Discard, br)
		}
		c := e.get(anyConn)
		b := newBody("text", true)
		resp, err := c.RoundTrip(e.request("POST", origin, b))
		require.NoError(t, err)
		c.Release()
		e.read(resp)
		<-b.closed
	})
}

// watched is a context that counts what has been registered with it and not been removed.
type watched struct {
	context.Context
	done     chan struct{}
	children atomic.Int64
}

func (w *watched) Done() <-chan struct{} { return w.done }
func (w *watched) Err() error            { return nil }
func (w *watched) AfterFunc(func()) func() bool {
	w.children.Add(1)
	return sync.OnceValue(func() bool { w.children.Add(-1); return true })
}

func TestLegsLeaveNothingInTheContext(t *testing.T) {
	for _, test := range []struct {
		desc   string
		answer string
		fails  bool
	}{
		{"body", ok, false},
		{"no body", empty, false},
		{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok", false},
		{"close, no body", "HTTP/1.1 204 OK\r\nConnection: close\r\n\r\n", false},
		{"none", "", true},
	} {
		for _, release := range []string{"before", "after"} {
			t.Run(test.desc+", given back "+release, func(t *testing.T) {
				run(t, &http.Transport{}, func(t *testing.T, e *env) {
					e.answer = func(int, *http.Request) string { return test.answer }
					ctx := &watched{Context: t.Context(), done: make(chan struct{})}
					c := e.get(anyConn)
					resp, err := c.RoundTrip(e.request("POST", origin, strings.NewReader("text")).WithContext(ctx))
					require.Equal(t, test.fails, err != nil, "%v", err)
					if release == "before" {
						c.Release()
					}
					if err == nil {
						e.read(resp)
					}
					if release == "after" {
						c.Release()
					}
					synctest.Wait()
					require.Zero(t, ctx.children.Load())
				})
			})
		}
	}
}

func TestContextEndsTheLeg(t *testing.T) {
	cause := errors.New("cause")
	for _, test := range []struct{ desc, answer string }{
		{"before the answer", ""},
		{"in the body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"},
	} {
		t.Run(test.desc, func(t *testing.T) {
			run(t, &http.Transport{}, func(t *testing.T, e *env) {
				e.script = func(_ int, conn net.Conn, br *bufio.Reader) {
					http.ReadRequest(br)
					io.WriteString(conn, test.answer)
					io.Copy(io.Discard, br)
				}
				c := e.get(anyConn)
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(cause) })
				resp, err := c.RoundTrip(e.request("GET", origin, nil).WithContext(ctx))
				if err == nil {
					_, err = io.ReadAll(resp.Body)
				}
				require.ErrorIs(t, err, cause)
				require.False(t, c.IdleRace())
				c.Release()
				synctest.Wait()
				require.Zero(t, e.open.Load())
			})
		})
	}
}

// What ends a leg with its context may be about to close the connection, so that this serves
// no other request.
func TestContextThatEndsWithTheAnswer(t *testing.T) {
	for _, answer := range []string{ok, empty} {
		run(t, &http.Transport{}, func(t *testing.T, e *env) {
			e.answer = func(int, *http.Request) string { return answer }
			ctx, cancel := context.WithCancel(t.Context())
			ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{PutIdleConn: func(error) { cancel() }})
			c := e.get(anyConn)
			resp, err := c.RoundTrip(e.request("GET", origin, nil).WithContext(ctx))
			require.NoError(t, err)
			e.read(resp)
			require.False(t, c.Ready())
			c.Release()
			require.NotSame(t, c, e.exchange(anyConn))
		})
	}
}

func TestUpgrade(t *testing.T) {
	run(t, &http.Transport{MaxConnsPerHost: 1}, func(t *testing.T, e *env) {
		e.limit = 2 // as in net/http, an upgraded connection doesn't count
		e.script = func(n int, conn net.Conn, br *bufio.Reader) {
			if n > 1 {
				e.serveConn(n, conn, br)
				return
			}
			http.ReadRequest(br)
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello\r\n")
			io.Copy(conn, br)
		}
		c := e.get(anyConn)
		req := e.request("GET", origin, nil)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "echo")
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := c.RoundTrip(req.WithContext(ctx))
		require.NoError(t, err)
		w := e.start(anyConn)
		c.Release()
		e.leg(w.wantConn())
		w.conn.Release()
		e.pool.CloseIdle()
		e.pool.CloseFunc(func(*connpool.Conn) bool { return true })
		cancel()
		synctest.Wait()

		rw := resp.Body.(interface {
			io.ReadWriteCloser
			CloseWrite() error
		})
		io.WriteString(rw, "GET http://origin.example/ HTTP/1.1\r\n\r\n")
		require.NoError(t, rw.CloseWrite())
		text, err := io.ReadAll(rw)
		require.NoError(t, err)
		require.Equal(t, "hello\r\nGET http://origin.example/ HTTP/1.1\r\n\r\n", string(text))
		require.NoError(t, rw.Close())
	})
}

// A 101 may come before the whole request has been sent (RFC 9110, Section 7.8), which is
// sent to its end.
func TestUpgradeBeforeTheBodyIsSent(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		got := make(chan string, 1)
		e.script = func(_ int, conn net.Conn, br *bufio.Reader) {
			req, err := http.ReadRequest(br)
			require.NoError(t, err)
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			text, _ := io.ReadAll(req.Body)
			got <- string(text)
		}
		c := e.get(anyConn)
		r, w := io.Pipe()
		req := e.request("POST", origin, r)
		req.ContentLength = 4
		resp, err := c.RoundTrip(req)
		require.NoError(t, err)
		c.Release()
		synctest.Wait()
		_, err = io.WriteString(w, "body")
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.Equal(t, "body", <-got)
		require.NoError(t, resp.Body.Close())
	})
}

// Holders may make requests of their own meanwhile, and give up.
func TestRequestsFromWithinAnExchange(t *testing.T) {
	run(t, &http.Transport{MaxConnsPerHost: 1}, func(t *testing.T, e *env) {
		e.limit = 3
		c := e.get(anyConn)
		e.leg(c)
		d := e.exchange(connpool.Want{Outside: true})
		e.exchange(connpool.Want{Outside: true})
		require.False(t, d.Ready())
		e.leg(c)
		c.Release()
	})
}

// readerFrom counts calls of ReadFrom by which the system could send a file.
type readerFrom struct {
	net.Conn
	got atomic.Value
}

func (c *readerFrom) ReadFrom(r io.Reader) (int64, error) {
	c.got.Store(fmt.Sprintf("%T", r.(*io.LimitedReader).R))
	return io.Copy(c.Conn, r)
}

type wrapped struct{ *os.File }

func (w wrapped) Bare() io.Reader      { return w.File }
func (w wrapped) Skipped(int64, error) {}

func TestFilesAreSentByTheSystem(t *testing.T) {
	for _, wrap := range []func(*os.File) io.Reader{
		func(f *os.File) io.Reader { return f },
		func(f *os.File) io.Reader { return wrapped{f} },
	} {
		run(t, &http.Transport{}, func(t *testing.T, e *env) {
			name := filepath.Join(t.TempDir(), "file")
			require.NoError(t, os.WriteFile(name, make([]byte, 100_000), 0o600))
			file, err := os.Open(name)
			require.NoError(t, err)
			var conn *readerFrom
			e.dial = func(ctx context.Context) (net.Conn, *tls.ConnectionState, error) {
				raw, _, err := e.connect(ctx)
				conn = &readerFrom{Conn: raw}
				return conn, nil, err
			}
			c := e.get(anyConn)
			req := e.request("PUT", origin, wrap(file))
			req.ContentLength = 100_000
			resp, err := c.RoundTrip(req)
			require.NoError(t, err)
			e.read(resp)
			c.Release()
			require.Equal(t, "*os.File", conn.got.Load())
		})
	}
}

// A failingFile is a file that can't be read.
type failingFile struct {
	err  error
	told chan error
}

func (f failingFile) Read([]byte) (int, error)       { return 0, f.err }
func (f failingFile) Bare() io.Reader                { return iotest.ErrReader(f.err) }
func (f failingFile) Skipped(_ int64, failure error) { f.told <- failure }

func TestErrorOfAFileIsTold(t *testing.T) {
	for _, test := range []struct {
		desc string
		err  error
		told bool
	}{
		{"file", &fs.PathError{Op: "read", Path: "name", Err: fs.ErrClosed}, true},
		{"connection", &net.OpError{Op: "readfrom", Err: &net.OpError{Op: "read", Err: net.ErrClosed}}, true},
		{"connection to the proxy", &net.OpError{Op: "readfrom", Err: &net.OpError{Op: "write", Err: net.ErrClosed}}, false},
	} {
		t.Run(test.desc, func(t *testing.T) {
			run(t, &http.Transport{}, func(t *testing.T, e *env) {
				file := failingFile{test.err, make(chan error, 1)}
				c := e.get(anyConn)
				req := e.request("PUT", origin, file)
				req.ContentLength = 4
				_, err := c.RoundTrip(req)
				require.ErrorIs(t, err, test.err)
				require.Equal(t, test.told, <-file.told != nil)
				c.Close()
			})
		})
	}
}

// refusingConn fails to send what it is to read, as if the system had.
type refusingConn struct {
	net.Conn
	err error
}

func (c *refusingConn) ReadFrom(io.Reader) (int64, error) { return 0, c.err }

// toldFile is a file that notes what Skipped is told.
type toldFile struct {
	*os.File
	told chan error
}

func (f toldFile) Bare() io.Reader                { return f.File }
func (f toldFile) Skipped(_ int64, failure error) { f.told <- failure }

func TestErrorOfTheSystemIsThatOfAFileThatCannotBeRead(t *testing.T) {
	errSend := &net.OpError{Op: "readfrom", Err: os.NewSyscallError("sendfile", syscall.EIO)}
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, make([]byte, 4), 0o600))
	for _, test := range []struct {
		desc string
		flag int
		told bool
	}{
		{"opened for reading", os.O_RDONLY, false},
		{"opened for writing", os.O_WRONLY, true},
	} {
		t.Run(test.desc, func(t *testing.T) {
			run(t, &http.Transport{}, func(t *testing.T, e *env) {
				e.dial = func(ctx context.Context) (net.Conn, *tls.ConnectionState, error) {
					raw, _, err := e.connect(ctx)
					return &refusingConn{raw, errSend}, nil, err
				}
				opened, err := os.OpenFile(name, test.flag, 0)
				require.NoError(t, err)
				file := toldFile{opened, make(chan error, 1)}
				c := e.get(anyConn)
				req := e.request("PUT", origin, file)
				req.ContentLength = 4
				_, err = c.RoundTrip(req)
				require.ErrorIs(t, err, errSend)
				require.Equal(t, test.told, <-file.told != nil)
				c.Close()
			})
		})
	}
}
