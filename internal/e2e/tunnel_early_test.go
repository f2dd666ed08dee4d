package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A plainConn has nothing but the methods of net.Conn, and one to send files.
type plainConn struct {
	net.Conn
	read int64 // by ReadFrom
}

func (c *plainConn) ReadFrom(r io.Reader) (n int64, err error) {
	n, err = io.Copy(c.Conn, r)
	c.read += n
	return n, err
}

// TestDialContextEarly returns a connection that can do what the one to the proxy
// can, and no more, though the first bytes have come with the answer.
func TestDialContextEarly(t *testing.T) {
	t.Parallel()
	const early, text = "220 ready\r\n", "anybody there?"
	for _, behind := range []string{"", early} {
		for _, half := range []bool{true, false} {
			t.Run(fmt.Sprintf("%q, half close %t", behind, half), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := basicLab(t, testproxy.On(200, testproxy.Connected(200, nil, behind)))
					plain := new(plainConn)
					if !half {
						l.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
							var err error
							plain.Conn, err = l.network.DialContext(ctx, network, addr)
							return plain, err
						}
					}
					conn, err := l.rt.DialContext(t.Context(), "tcp", echoAddr)
					require.NoError(t, err)
					defer conn.Close()
					_, err = io.Copy(conn, unreplayable(text))
					require.NoError(t, err)
					closer, ok := conn.(interface{ CloseWrite() error })
					require.Equal(t, half, ok)
					if !half {
						require.EqualValues(t, len(text), plain.read)
						return
					}
					require.NoError(t, closer.CloseWrite())
					got, err := io.ReadAll(conn)
					require.NoError(t, err)
					require.Equal(t, behind+text, string(got))
				})
			})
		}
	}
}
