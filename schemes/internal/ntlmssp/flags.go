package ntlmssp

// A flags value holds NegotiateFlags (MS-NLMP, Section 2.2.2.5). The ones named
// here are those that this package looks at.
type flags uint32

const (
	flagUnicode         flags = 1 << 0
	flagRequestTarget   flags = 1 << 2
	flagSign            flags = 1 << 4
	flagExtendedSession flags = 1 << 19 // NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY
	flagTargetInfo      flags = 1 << 23
	flagVersion         flags = 1 << 25
)

// has reports whether all of want are set.
func (f flags) has(want flags) bool { return f&want == want }
