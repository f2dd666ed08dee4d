package krb_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

// An answer sends a reply to a request, or does not.
type answer func(conn net.Conn, request, reply []byte)

// piped reaches k without a socket, so that time can be fake.
func piped(k *kdc.KDC, answer answer) krb.DialFunc {
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			if request, err := receive(server); err == nil {
				answer(server, request, k.Answer(request))
			}
		}()
		return client, nil
	}
}

func receive(conn net.Conn) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	request := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(conn, request)
	return request, err
}

func send(conn net.Conn, reply []byte) {
	conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(reply))), reply...))
}

func plainly(conn net.Conn, _, reply []byte) { send(conn, reply) }

// toProof answers by a what proves a password, and plainly what does not.
func toProof(a answer) answer {
	return func(conn net.Conn, request, reply []byte) {
		if kdc.Proves(request) {
			a(conn, request, reply)
		} else {
			send(conn, reply)
		}
	}
}

func hangUp(net.Conn, []byte, []byte) {}

func neverAnswer(conn net.Conn, _, _ []byte) { io.Copy(io.Discard, conn) }
