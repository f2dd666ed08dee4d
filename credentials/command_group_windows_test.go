package credentials_test

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/credentials"
)

const familySize = 3

func init() {
	moreHelpers = map[string]func(){"family": beFamily, "child": beChild}
}

// beFamily starts some programs, and waits.
func beFamily() {
	for range familySize {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "PROXYAUTH_TEST_HELPER=child")
		if err := child.Start(); err != nil {
			panic(err)
		}
	}
	time.Sleep(time.Minute)
}

// beChild keeps a connection open until it ends.
func beChild() {
	conn, err := net.Dial("tcp", os.Getenv("ALIVE"))
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	time.Sleep(time.Minute)
}

// What a program has started ends with it, whether it takes too long or its request ends.
func TestCommandEndsWithAllThatItHasStarted(t *testing.T) {
	alive, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer alive.Close()

	exe, err := os.Executable()
	require.NoError(t, err)
	command := &credentials.Command{Args: []string{exe}}
	// Wine can't remove a temporary directory of the test.
	command.Env = append(os.Environ(), "PROXYAUTH_TEST_HELPER=family", "LOG="+os.DevNull, "ALIVE="+alive.Addr().String())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := command.Credentials(ctx, request(t, proxyText))
		done <- err
	}()
	var children []net.Conn
	for range familySize {
		child, err := alive.Accept()
		require.NoError(t, err)
		defer child.Close()
		children = append(children, child)
	}
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	for _, child := range children {
		require.NoError(t, child.SetReadDeadline(time.Now().Add(30*time.Second)))
		_, err := io.ReadAll(child)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "it is still there")
	}
}
