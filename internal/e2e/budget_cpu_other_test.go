//go:build !unix

package e2e_test

import "time"

var processStart = time.Now()

// cpuTime returns the time that has passed, in place of the processor's.
func cpuTime() time.Duration { return time.Since(processStart) }
