package spnegoserver

import (
	"encoding/asn1"
	"fmt"
)

// The mechanisms, as contents of DER.
var (
	oidSPNEGO = []byte{0x2b, 0x06, 0x01, 0x05, 0x05, 0x02}
	oidKrb5   = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02}

	// oidMSKrb5 is Kerberos as Windows 2000 numbered it by mistake; it is still
	// what Windows offers first.
	oidMSKrb5 = []byte{0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02}
	oidNTLM   = []byte{0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a}
)

// The mechanisms as they are in [Seen].
const (
	Kerberos   = "1.2.840.113554.1.2.2"
	MSKerberos = "1.2.840.48018.1.2.2"
	NTLMSSP    = "1.3.6.1.4.1.311.2.2.10"
)

func dotted(oid []byte) string {
	var id asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(encode(derOID, oid), &id); err != nil {
		return fmt.Sprintf("%x", oid)
	}
	return id.String()
}
