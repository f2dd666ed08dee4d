package ntlmserver

import "time"

const (
	ticksPerSecond = 10_000_000

	// epochSeconds is how long FILETIME's epoch, 1601, lies before Unix's.
	epochSeconds = 11_644_473_600
)

// fileTime returns t in ticks of 100 ns since 1601 (MS-DTYP, Section 2.3.3). It
// does not go by way of UnixNano, which can't express the 1601 of the test
// vectors.
func fileTime(t time.Time) uint64 {
	return uint64(t.Unix()+epochSeconds)*ticksPerSecond + uint64(t.Nanosecond()/100)
}

func fromFileTime(ticks uint64) time.Time {
	return time.Unix(int64(ticks/ticksPerSecond)-epochSeconds, int64(ticks%ticksPerSecond)*100)
}
