package ntlmserver

// A challenge is a CHALLENGE_MESSAGE as sent (MS-NLMP, Section 2.2.1.2).
type challenge struct {
	flags uint32
	nonce [8]byte // ServerChallenge
	pairs avPairs
	wire  []byte
}

const challengeLen = 56

// version is that of a Windows Server 2019, NTLM revision 15.
var version = [8]byte{10, 0, 0x63, 0x45, 0, 0, 0, 15}

// newChallenge makes the answer to a NEGOTIATE with clientFlags.
func (s *Server) newChallenge(clientFlags uint32, faults Faults) *challenge {
	c := &challenge{
		flags: faults.flags(challengeFlags(clientFlags)),
		nonce: s.nonce(),
		pairs: faults.pairs(s.targetInfo(faults)),
	}
	c.wire = c.marshal(s.domain(), faults)
	return c
}

func (c *challenge) marshal(target string, faults Faults) []byte {
	var name, info []byte
	switch {
	case c.flags&FlagRequestTarget == 0:
	case c.flags&FlagOEM != 0:
		name = []byte(target)
	default:
		name = encodeUTF16(target)
	}
	if c.flags&FlagTargetInfo != 0 && !faults.has(EmptyTargetInfo) {
		info = append(faults.repeated(c.pairs), c.pairs.marshal()...)
	}
	msg := make([]byte, challengeLen, challengeLen+len(name)+len(info))
	copy(msg, signature)
	msg[8] = typeChallenge
	putField(msg[12:], len(name), challengeLen)
	le.PutUint32(msg[20:], c.flags)
	copy(msg[24:], c.nonce[:])
	putField(msg[40:], len(info), challengeLen+len(name))
	if c.flags&FlagVersion != 0 {
		copy(msg[48:], version[:])
	}
	msg = append(append(msg, name...), info...)
	return faults.message(msg, challengeLen+len(name))
}

func putField(header []byte, length, offset int) {
	le.PutUint16(header, uint16(length))
	le.PutUint16(header[2:], uint16(length))
	le.PutUint32(header[4:], uint32(offset))
}

// targetInfo returns the AV pairs that the server says of itself.
func (s *Server) targetInfo(faults Faults) avPairs {
	pairs := avPairs{
		{AVDomainName, encodeUTF16(s.domain())},
		{AVComputerName, encodeUTF16(s.computer())},
	}
	for _, dns := range []struct {
		id   uint16
		name string
	}{
		{AVDNSDomainName, s.DNSDomain},
		{AVDNSComputerName, s.DNSComputer},
		{AVDNSTreeName, s.DNSTree},
	} {
		if dns.name != "" {
			pairs = append(pairs, avPair{dns.id, encodeUTF16(dns.name)})
		}
	}
	if s.AVFlags != 0 {
		pairs = append(pairs, avPair{AVFlags, le.AppendUint32(nil, s.AVFlags)})
	}
	if !faults.has(NoTimestamp) {
		pairs = append(pairs, avPair{AVTimestamp, le.AppendUint64(nil, fileTime(s.now()))})
	}
	return pairs
}
