package proxyauth_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

func TestBoundConnProves(t *testing.T) {
	for _, tt := range []struct {
		desc, answer    string
		proved, refused bool
	}{
		{"200", anOK, true, false},
		{"404", "HTTP/1.1 404 Not Found\r\n\r\n", true, false},
		{"407", a407, false, true},
		{"408, which may have crossed the request", "HTTP/1.1 408 Request Timeout\r\n\r\n", false, false},
	} {
		bubble(t, tt.desc, func(t *testing.T) {
			c, proxy := newBound(t, true)
			say(t, c, aGet)
			require.False(t, c.Landed())
			say(t, proxy, tt.answer)
			c.Read(make([]byte, 1))
			require.True(t, c.Landed())
			require.Equal(t, tt.proved, c.Proved())
			require.Equal(t, tt.refused, c.Refused())
		})
	}
}

// What a proxy sends unasked proves nothing.
func TestBoundConnUnsolicitedAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, proxy := newBound(t, true)
		say(t, proxy, anOK)
		hear(t, c, anOK)
		require.False(t, c.Proved())
		require.False(t, c.Landed())
	})
}

// Until the first answer has come, failures are explained.
func TestBoundConnFails(t *testing.T) {
	for _, tt := range []struct {
		desc  string
		do    func(t *testing.T, c *proxyauth.BoundConn, proxy net.Conn) error
		cause proxyauth.Cause
	}{
		{
			desc: "closed before the request",
			do: func(t *testing.T, c *proxyauth.BoundConn, proxy net.Conn) error {
				proxy.Close()
				return hearWhole(t, c, "")
			},
			cause: proxyauth.CauseHandshakeBroken,
		}, {
			desc: "closed before the answer",
			do: func(t *testing.T, c *proxyauth.BoundConn, proxy net.Conn) error {
				say(t, c, aGet)
				proxy.Close()
				return hearWhole(t, c, "")
			},
			cause: proxyauth.CauseHandshakeBroken,
		}, {
			desc: "closed within the answer's head",
			do: func(t *testing.T, c *proxyauth.BoundConn, proxy net.Conn) error {
				say(t, c, aGet)
				hear(t, proxy, with(spliced, aGet))
				say(t, proxy, "HTTP/1.1 200 O")
				proxy.Close()
				return hearWhole(t, c, "")
			},
			cause: proxyauth.CauseHandshakeBroken,
		}, {
			desc: "another challenge instead of an answer",
			do: func(t *testing.T, c *proxyauth.BoundConn, proxy net.Conn) error {
				say(t, c, aGet)
				say(t, proxy, strings.Replace(a407, ": One", ": One again", 1))
				return hearWhole(t, c, "")
			},
			cause: proxyauth.CauseHandshakeBroken,
		}, {
			desc: "closed before the request is written",
			do: func(t *testing.T, c *proxyauth.BoundConn, proxy net.Conn) error {
				proxy.Close()
				_, err := io.WriteString(c, aGet)
				return err
			},
			cause: proxyauth.CauseHandshakeBroken,
		}, {
			desc: "refused on another connection meanwhile",
			do: func(t *testing.T, c *proxyauth.BoundConn, proxy net.Conn) error {
				c.Refuse()
				_, err := io.WriteString(c, aGet)
				hear(t, proxy, "")
				return err
			},
			cause: proxyauth.CauseSchemeFailed,
		}, {
			desc: "refused while the body is written",
			do: func(t *testing.T, c *proxyauth.BoundConn, proxy net.Conn) error {
				say(t, c, "POST http://origin.example.com/ HTTP/1.1\r\n\r\n")
				say(t, proxy, a407)
				proxy.Close()
				go c.Read(make([]byte, 1))
				_, err := c.Conn.(io.ReaderFrom).ReadFrom(strings.NewReader("body"))
				return err
			},
			cause: proxyauth.CauseCredentialsRejected,
		}, {
			desc: "token too old",
			do: func(t *testing.T, c *proxyauth.BoundConn, proxy net.Conn) error {
				time.Sleep(proxyauth.TokenLife)
				synctest.Wait()
				require.NoError(t, hearWhole(t, proxy, ""), "the connection is closed")
				_, err := io.WriteString(c, aGet)
				return err
			},
			cause: proxyauth.CauseHandshakeBroken,
		},
	} {
		bubble(t, tt.desc, func(t *testing.T) {
			c, proxy := newBound(t, false)
			e, ok := errors.AsType[*proxyauth.Error](tt.do(t, c, proxy))
			require.True(t, ok)
			require.Equal(t, tt.cause, e.Cause)
		})
	}
}

// The error of a body is the body's.
func TestBoundConnReadFromBrokenBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newBound(t, false)
		say(t, c, aGet)
		_, err := c.Conn.(io.ReaderFrom).ReadFrom(iotest.ErrReader(io.ErrNoProgress))
		require.Equal(t, io.ErrNoProgress, err)
	})
}

// Others do not wait long for a connection that nobody uses.
func TestBoundConnLetsOthersProve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, proxy := newBound(t, true)
		require.False(t, c.Landed())
		time.Sleep(proxyauth.ProofLife)
		synctest.Wait()
		require.True(t, c.Landed())
		require.NoError(t, hearWhole(t, proxy, ""), "and it does not prove anything later")

		c, _ = newBound(t, true)
		say(t, c, aGet)
		time.Sleep(proxyauth.Patience - time.Second)
		require.False(t, c.Landed())
		time.Sleep(time.Second)
		synctest.Wait()
		require.True(t, c.Landed(), "the proxy does not answer")
	})
}

// ReadFrom hands what it is given to the connection below, which has the system
// send files.
func TestBoundConnReadFrom(t *testing.T) {
	name := filepath.Join(t.TempDir(), "body")
	require.NoError(t, os.WriteFile(name, []byte("body"), 0o600))
	file, err := os.Open(name)
	require.NoError(t, err)
	defer file.Close()
	client, proxy := testproxy.NewNetwork().Pipe()
	defer proxy.Close()
	below := &readerFrom{Conn: client}
	c := proxyauth.NewBoundConn(below, oneLeg{}, oneLeg{}, "One token", false)
	defer c.Close()
	say(t, c, aGet)
	n, err := c.Conn.(io.ReaderFrom).ReadFrom(&io.LimitedReader{R: file, N: 4})
	require.NoError(t, err)
	require.EqualValues(t, 4, n)
	require.IsType(t, &io.LimitedReader{}, below.from)
	require.Same(t, file, below.from.(*io.LimitedReader).R)
}

// A readerFrom remembers what its ReadFrom gets.
type readerFrom struct {
	net.Conn
	from io.Reader
}

func (c *readerFrom) ReadFrom(r io.Reader) (int64, error) {
	c.from = r
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}
