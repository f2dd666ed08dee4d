package kdc

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"net"
)

const (
	// maxRequest is the longest request that is read. Real ones with a large
	// PAC reach a third of it.
	maxRequest = 64 << 10

	// maxRequests is how many requests one connection may carry.
	maxRequests = 1000
)

// listen opens both listeners on addr. The caller holds k.mu.
func (k *KDC) listen(addr string) error {
	listener, err := net.Listen("tcp4", addr)
	if err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp4", listener.Addr().String())
	if err != nil {
		listener.Close()
		return err
	}
	k.addr, k.listener, k.packets = listener.Addr().String(), listener, packets
	k.wg.Go(func() { k.serveTCP(listener) })
	k.wg.Go(func() { k.serveUDP(packets) })
	return nil
}

func (k *KDC) serveTCP(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // Down closed it
		}
		if !k.track(listener, conn) {
			conn.Close()
			return
		}
		k.wg.Go(func() {
			defer k.forget(conn)
			k.serveConn(conn)
		})
	}
}

// track remembers a connection for Down, unless that has been called.
func (k *KDC) track(listener net.Listener, conn net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.listener != listener {
		return false
	}
	k.conns[conn] = struct{}{}
	return true
}

func (k *KDC) forget(conn net.Conn) {
	conn.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.conns, conn)
}

// Dial connects to the KDC within the process, whatever the address, so that time
// can be fake.
func (k *KDC) Dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		k.serveConn(server)
	}()
	return client, nil
}

func (k *KDC) serveConn(conn net.Conn) {
	for range maxRequests {
		request, err := readMessage(conn)
		if err != nil || !k.wait() {
			return
		}
		if !k.reply(conn, request) {
			return
		}
	}
}

// reply answers a request over TCP, by the fault if there is one. It returns
// false if the connection is at its end.
func (k *KDC) reply(conn net.Conn, request []byte) bool {
	switch k.currentFault() {
	case Dead:
		io.Copy(io.Discard, conn) // until either side gives up
		return false
	case HangUp:
		return false
	case Garbage:
		return writeMessage(conn, garbage) == nil
	case Truncated:
		conn.Write(announce(100, garbage))
		return false
	case Oversized:
		conn.Write(announce(math.MaxInt32, garbage))
		io.Copy(io.Discard, conn)
		return false
	}
	answer := k.Answer(request)
	if k.currentFault() == NoVerdict && Proves(request) {
		return false
	}
	return writeMessage(conn, answer) == nil
}

// garbage begins like no Kerberos message.
var garbage = []byte("HTTP/1.1 400 Bad Request\r\n\r\n")

func (k *KDC) currentFault() Fault {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.fault
}

// readMessage reads a message behind its length (RFC 4120, Section 7.2.2).
func readMessage(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length > maxRequest {
		return nil, io.ErrShortBuffer
	}
	message := make([]byte, length)
	_, err := io.ReadFull(r, message)
	return message, err
}

func writeMessage(w io.Writer, message []byte) error {
	_, err := w.Write(announce(uint32(len(message)), message))
	return err
}

func announce(length uint32, message []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, length), message...)
}

func (k *KDC) serveUDP(packets net.PacketConn) {
	buffer := make([]byte, maxRequest)
	for {
		n, from, err := packets.ReadFrom(buffer)
		if err != nil {
			return // Down closed it
		}
		request := append([]byte(nil), buffer[:n]...)
		k.wg.Go(func() { k.replyUDP(packets, from, request) })
	}
}

func (k *KDC) replyUDP(packets net.PacketConn, to net.Addr, request []byte) {
	if !k.wait() {
		return
	}
	switch k.currentFault() {
	case None:
		packets.WriteTo(k.fitUDP(k.Answer(request)), to)
	case NoVerdict:
		if answer := k.fitUDP(k.Answer(request)); !Proves(request) {
			packets.WriteTo(answer, to)
		}
	case Garbage, Truncated, Oversized:
		packets.WriteTo(garbage, to)
	}
}

func (k *KDC) fitUDP(answer []byte) []byte {
	if len(answer) <= k.cfg.MaxUDP {
		return answer
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.errorMessage(nil, fail(errResponseTooBig))
}
