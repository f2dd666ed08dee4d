package krb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/messages"
)

const (
	// kdcTimeout is for how long one KDC is waited for.
	kdcTimeout = 5 * time.Second

	// proofTimeout bounds for how long a KDC is waited for that has been sent a
	// proof.
	proofTimeout = callTimeout

	// maxReply bounds a KDC's reply. A ticket with a PAC of 64 KiB fits well.
	maxReply = 1 << 20
)

// A DialFunc opens a connection to a KDC.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// A transport talks to the KDCs of one realm. It does so over TCP alone, which
// every KDC of the last decade listens on: a datagram that gets no answer would
// have to be sent again, and with a wrong password in it count twice.
type transport struct {
	realm string
	kdcs  []string
	dial  DialFunc

	timeout time.Duration // for one KDC
	sends   func()        // called before a request is sent, nil for none
}

// only returns the transport for a proof, which goes to one KDC alone.
func (t *transport) only(kdc string, timeout time.Duration, sends func()) *transport {
	return &transport{realm: t.realm, kdcs: []string{kdc}, dial: t.dial, timeout: timeout, sends: sends}
}

// exchange sends a request to one KDC after another until one answers, and
// returns its answer and which one it was.
func (t *transport) exchange(ctx context.Context, request []byte) (reply []byte, kdc string, err error) {
	var texts []string // hides errors such as a timeout, which is not the caller's
	for _, kdc := range t.kdcs {
		reply, err := t.one(ctx, kdc, request)
		if err == nil {
			return reply, kdc, nil
		}
		if ctx.Err() != nil {
			return nil, "", context.Cause(ctx)
		}
		texts = append(texts, fmt.Sprintf("%s: %v", kdc, err))
	}
	what := strings.Join(texts, "; ")
	return nil, "", detailed{fmt.Errorf("%w: realm %s: %s", ErrKDCUnreachable, t.realm, what), About{What: what, Realm: t.realm}}
}

// one exchanges messages with one KDC (RFC 4120, Section 7.2.2).
func (t *transport) one(ctx context.Context, kdc string, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	conn, err := t.dial(ctx, "tcp", kdc)
	if err != nil {
		return nil, t.timedOut(ctx, err)
	}
	defer conn.Close()
	// Closing the connection ends what blocks on it.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if t.sends != nil {
		t.sends()
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(request)), uint32(len(request)))
	if _, err := conn.Write(append(frame, request...)); err != nil {
		return nil, t.timedOut(ctx, err)
	}
	reply, err := readReply(conn)
	if err != nil {
		return nil, t.timedOut(ctx, err)
	}
	if e := parseError(reply); e != nil && e.ErrorCode == errorcode.KDC_ERR_SVC_UNAVAILABLE {
		return nil, errUnavailable
	}
	return reply, nil
}

// errUnavailable is an error of one KDC, after which the next one is tried.
var errUnavailable = errors.New("service unavailable")

// timedOut tells a timeout from the error of the closed connection that it
// caused.
func (t *transport) timedOut(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("no answer within %v", t.timeout.Round(time.Second))
	}
	return err
}

func readReply(r io.Reader) ([]byte, error) {
	var header [4]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(header[:])
	if n == 0 || n > maxReply {
		return nil, ErrMalformedReply
	}
	reply := make([]byte, n)
	_, err := io.ReadFull(r, reply)
	return reply, err
}

// parseError returns the KRB-ERROR that data is, or nil if it is none.
func parseError(data []byte) *messages.KRBError {
	e, err := guard(func() (*messages.KRBError, error) {
		var e messages.KRBError
		return &e, e.Unmarshal(data)
	})
	if err != nil {
		return nil
	}
	return e
}
