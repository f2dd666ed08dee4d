package enginetest

import "time"

// SetEnough sets how long an engine may take that need not wait any more.
func SetEnough(d time.Duration) { enough = d }
