package proxyauth_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
)

// A pieceConn gives its text in pieces, as long as splits says, the last length
// again and again. It takes what is written.
type pieceConn struct {
	net.Conn
	text   string
	splits []byte
}

func (c *pieceConn) Read(b []byte) (int, error) {
	if c.text == "" {
		return 0, io.EOF
	}
	n := len(c.text)
	if len(c.splits) > 0 {
		n = int(c.splits[0]) + 1
		if len(c.splits) > 1 {
			c.splits = c.splits[1:]
		}
	}
	n = copy(b[:min(n, len(b))], c.text)
	c.text = c.text[n:]
	return n, nil
}

func (*pieceConn) Write(b []byte) (int, error)     { return len(b), nil }
func (*pieceConn) Close() error                    { return nil }
func (*pieceConn) SetDeadline(time.Time) error     { return nil }
func (*pieceConn) SetReadDeadline(time.Time) error { return nil }

// finalAnswer returns where the first answer in text begins that is not
// informational, its status, and how many informational ones precede it. The status
// is 0 if there is none that net/http would take.
func finalAnswer(text string) (at, status, informational int) {
	for at < len(text) {
		rest := strings.NewReader(text[at:])
		br := bufio.NewReaderSize(rest, len(text)+16)
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			return at, 0, informational
		}
		if resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols {
			return at, resp.StatusCode, informational
		}
		informational++
		at = len(text) - br.Buffered() - rest.Len()
	}
	return at, 0, informational
}

// lineAdded reports whether got is text with a line that ends the connection
// behind the status line at a position, and nothing else.
func lineAdded(got, text string, at int) bool {
	line := strings.IndexByte(text[at:], '\n') + 1
	return line > 0 && got == text[:at+line]+over+text[at+line:]
}

// hasOneMore reports whether got is text with a line that ends the connection somewhere.
func hasOneMore(got, text string) bool {
	for at := range got {
		if rest, ok := strings.CutPrefix(got[at:], over); ok && got[:at]+rest == text {
			return true
		}
	}
	return false
}

func addAnswerSeeds(f *testing.F) {
	for _, answer := range []string{
		anOK, a407, early + a407, cont + early + anOK, a407 + anOK, anOK + a407,
		"HTTP/1.0 407 No\nProxy-Authenticate: One\n\nno",
		"HTTP/1.1 407 No\r\nProxy-Authenticate: One more\r\n\r\n",
		"HTTP/1.1 100 \n" + over + "\nHTTP/1.1 407x\n", "HTTP/0.9 100 \n\nHTTP/2.0 407 \n\n", "HTTP/1.1  100 \n\nHTTP/1.1   407\n\n", "HTTP/1.1 4\n",
		"HTTP/1.1 407", "HTTP/1.1 40", "HTTP/1.1 407 \r\nno header\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n" + a407,
		"HTTP/1.1 100 Continue\r\n \r\n\r\n", "\r\n\r\n", "SSH-2.0-OpenSSH\r\n", "",
	} {
		f.Add(answer, []byte{0}, true)
		f.Add(answer, []byte{11, 0, 200}, false)
	}
}

// FuzzBoundConnAddsNothingButTheEnd sends an answer in arbitrary pieces over a
// connection that authenticates itself: the first one, or one later. What comes
// out is what went in, but for the line that ends the connection after a 407, or
// else the beginning of it and an error that says why.
func FuzzBoundConnAddsNothingButTheEnd(f *testing.F) {
	addAnswerSeeds(f)
	f.Fuzz(func(t *testing.T, answer string, splits []byte, first bool) {
		if len(answer) > 64<<10 {
			t.Skip()
		}
		below := &pieceConn{text: answer, splits: splits}
		if !first {
			below.text, below.splits = anOK, nil
		}
		c := proxyauth.NewBoundConn(below, oneLeg{}, oneLeg{}, "One token", false)
		defer c.Close()
		say(t, c, aGet)
		if !first {
			_, err := io.ReadFull(c, make([]byte, len(anOK)))
			require.NoError(t, err)
			below.text, below.splits = answer, splits
			say(t, c, aGet)
		}
		delivered, err := io.ReadAll(c)
		got := string(delivered)
		at, status, _ := finalAnswer(answer)
		switch {
		case err != nil:
			require.True(t, first, "only the first answer is judged: %v", err)
			require.True(t, strings.HasPrefix(answer, got))
		case status == http.StatusProxyAuthRequired:
			require.True(t, lineAdded(got, answer, at), "%q", got)
		default:
			require.Equal(t, answer, got)
		}
		if c.Refused() {
			require.True(t, first && status == http.StatusProxyAuthRequired)
		}
	})
}

// FuzzGuardedConnAddsNothingButTheEnd does the same to a connection with a body
// on its way.
func FuzzGuardedConnAddsNothingButTheEnd(f *testing.F) {
	addAnswerSeeds(f)
	f.Fuzz(func(t *testing.T, answer string, splits []byte, _ bool) {
		if len(answer) > proxyauth.MaxGuarded/2 {
			t.Skip()
		}
		delivered, err := io.ReadAll(proxyauth.NewGuardedConn(&pieceConn{text: answer, splits: splits}))
		require.NoError(t, err)
		got := string(delivered)
		at, status, _ := finalAnswer(answer)
		switch {
		case status == http.StatusProxyAuthRequired:
			require.True(t, lineAdded(got, answer, at), "%q", got)
		case status != 0:
			require.Equal(t, answer, got)
		case got != answer:
			// Not HTTP as a whole; what is taken for a 407 may end there.
			require.True(t, hasOneMore(got, answer), "%q", got)
		}
	})
}
