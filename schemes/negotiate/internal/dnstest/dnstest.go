// Package dnstest is a DNS for tests that never leaves the process.
package dnstest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// A Zone is what the DNS knows, by absolute names.
type Zone struct {
	// SRV maps a service to an address, host and port, or several between
	// blanks.
	SRV map[string]string

	// CNAME maps an alias to a name, which has an address.
	CNAME map[string]string
}

// Resolver returns a resolver that knows the zone and nothing else.
func Resolver(z Zone) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go z.serve(server)
		return client, nil
	}}
}

// serve answers queries framed as over TCP, which is how a resolver talks over
// what is no net.PacketConn.
func (z Zone) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var header [2]byte
		if _, err := io.ReadFull(conn, header[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(header[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		reply, err := z.answer(query)
		if err != nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

func (z Zone) answer(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		return nil, io.ErrUnexpectedEOF
	}
	q := m.Questions[0]
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	m.Answers = z.records(q)
	if len(m.Answers) == 0 {
		m.RCode = dnsmessage.RCodeNameError
	}
	return m.Pack()
}

func (z Zone) records(q dnsmessage.Question) []dnsmessage.Resource {
	name := q.Name.String()
	head := func(n dnsmessage.Name) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: n, Class: dnsmessage.ClassINET}
	}
	if q.Type == dnsmessage.TypeSRV {
		var list []dnsmessage.Resource
		for address := range strings.FieldsSeq(z.SRV[name]) {
			host, port, _ := net.SplitHostPort(address)
			n, _ := strconv.Atoi(port)
			list = append(list, dnsmessage.Resource{Header: head(q.Name), Body: &dnsmessage.SRVResource{
				Port: uint16(n), Target: dnsmessage.MustNewName(host + "."),
			}})
		}
		return list
	}
	if target := z.CNAME[name]; target != "" {
		n := dnsmessage.MustNewName(target)
		return []dnsmessage.Resource{
			{Header: head(q.Name), Body: &dnsmessage.CNAMEResource{CNAME: n}},
			{Header: head(n), Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}}},
		}
	}
	return nil
}
