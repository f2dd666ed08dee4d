package kdc

import (
	"encoding/binary"
	"strings"
)

// Keytab returns a keytab file, of version 2, with the keys of the principals. A
// name that the KDC does not know has none.
func (k *KDC) Keytab(names ...string) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	file := []byte{5, 2}
	for _, name := range names {
		if p, ok := k.principals[name]; ok {
			file = p.appendKeys(file, uint32(k.now().Unix()))
		}
	}
	return file
}

func (p *principal) appendKeys(file []byte, now uint32) []byte {
	for _, etype := range p.Enctypes {
		key, err := p.key(etype)
		if err != nil {
			continue // not a type of Enctypes: can't be
		}
		entry := appendName16(nil, p.Name, p.realm)
		entry = binary.BigEndian.AppendUint32(entry, now)
		entry = append(entry, byte(p.KVNO))
		entry = binary.BigEndian.AppendUint16(entry, uint16(etype))
		entry = appendText16(entry, string(key.KeyValue))
		entry = binary.BigEndian.AppendUint32(entry, uint32(p.KVNO))
		file = append(binary.BigEndian.AppendUint32(file, uint32(len(entry))), entry...)
	}
	return file
}

// appendName16 appends a principal as a keytab has it: with lengths of 16 bits
// and the name type at the end.
func appendName16(b []byte, name, realm string) []byte {
	components := strings.Split(name, "/")
	b = binary.BigEndian.AppendUint16(b, uint16(len(components)))
	b = appendText16(b, realm)
	for _, component := range components {
		b = appendText16(b, component)
	}
	return binary.BigEndian.AppendUint32(b, uint32(ntPrincipal))
}

func appendText16(b []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(text))), text...)
}
