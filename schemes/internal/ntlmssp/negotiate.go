package ntlmssp

import (
	"encoding/binary"
	"fmt"

	azure "github.com/Azure/go-ntlmssp"
)

// negotiateFlagsAt is the place of NegotiateFlags in a NEGOTIATE_MESSAGE
// (MS-NLMP, Section 2.2.1.1).
const negotiateFlagsAt = 12

// negotiateMessage returns a NEGOTIATE_MESSAGE that names neither the client's
// domain nor its workstation, and the flags that it offers.
//
// NTLMSSP_NEGOTIATE_KEY_EXCH is not among them: nothing is sealed, so that a
// session key of its own would protect nothing.
func negotiateMessage(sign bool) ([]byte, flags, error) {
	message, err := azure.NewNegotiateMessage("", "")
	if err != nil {
		return nil, 0, fmt.Errorf("proxyauth: NTLM negotiate message: %w", err)
	}
	offered := flags(binary.LittleEndian.Uint32(message[negotiateFlagsAt:]))
	// Samba sends no target info to a client that does not request its target,
	// and without it there is no timestamp, thus no MIC.
	offered |= flagRequestTarget | flagVersion
	if sign {
		offered |= flagSign
	}
	binary.LittleEndian.PutUint32(message[negotiateFlagsAt:], uint32(offered))
	return message, offered, nil
}
