//go:build !unix

package boundedfile

const noWait = 0
