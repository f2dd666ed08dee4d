package leaktest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	require.Equal(t, 2, run(func() int { return 2 }, 0))
	end := make(chan struct{})
	wait := func(end chan struct{}) func() int {
		return func() int {
			go func() { <-end }()
			return 0
		}
	}
	require.Equal(t, 1, run(wait(end), 0))
	close(end)
	require.Equal(t, 0, run(wait(end), grace), "it ends by itself")
}
