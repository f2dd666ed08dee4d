package ntlmserver

// Flags of NEGOTIATE (MS-NLMP, Section 2.2.2.5).
const (
	FlagUnicode                 uint32 = 1 << 0
	FlagOEM                     uint32 = 1 << 1
	FlagRequestTarget           uint32 = 1 << 2
	FlagSign                    uint32 = 1 << 4
	FlagSeal                    uint32 = 1 << 5
	FlagLMKey                   uint32 = 1 << 7
	FlagNTLM                    uint32 = 1 << 9
	FlagAnonymous               uint32 = 1 << 11
	FlagDomainSupplied          uint32 = 1 << 12
	FlagWorkstationSupplied     uint32 = 1 << 13
	FlagAlwaysSign              uint32 = 1 << 15
	FlagTargetTypeDomain        uint32 = 1 << 16
	FlagExtendedSessionSecurity uint32 = 1 << 19
	FlagTargetInfo              uint32 = 1 << 23
	FlagVersion                 uint32 = 1 << 25
	Flag128                     uint32 = 1 << 29
	FlagKeyExchange             uint32 = 1 << 30
	Flag56                      uint32 = 1 << 31
)

const (
	// flagsOffered are the ones that the challenge repeats if the client set
	// them.
	flagsOffered = FlagRequestTarget | FlagSign | FlagSeal | FlagAlwaysSign |
		FlagExtendedSessionSecurity | FlagVersion | Flag128 | FlagKeyExchange | Flag56

	// flagsFree are the ones that an AUTHENTICATE may have though the
	// challenge has not.
	flagsFree = FlagRequestTarget | FlagVersion
)

// challengeFlags returns the flags of the challenge to a client that sent
// flags (MS-NLMP, Section 3.2.5.1.1).
func challengeFlags(flags uint32) uint32 {
	flags = flags&flagsOffered | FlagUnicode | FlagNTLM | FlagTargetInfo
	if flags&FlagRequestTarget != 0 {
		flags |= FlagTargetTypeDomain
	}
	return flags
}
