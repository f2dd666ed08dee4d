package krb

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/messages"

	"github.com/go-proxyauth/proxyauth/internal/onecall"
)

const (
	// answerTimeout is for how long the KDCs of a realm are waited for, all together. One
	// that is busy may take a while, and its answer serves everybody who waits.
	answerTimeout = 10 * time.Second

	// nextKDC is after how long without an answer the next KDC is asked as well.
	nextKDC = 500 * time.Millisecond

	// secondTry is after how long without an answer a KDC is asked again, on another
	// connection: a single one may have been lost.
	secondTry = 2500 * time.Millisecond

	// connectTimeout bounds the time to connect to a KDC.
	connectTimeout = 5 * time.Second

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
	first []string // those that learn of changes first, nil if krb5.conf names none
	dial  DialFunc
	good  *lastGood // nil for none
}

// An attempt is what came of one request to one KDC.
type attempt struct {
	kdc      string
	reply    []byte
	err      error
	panicked any // nil if it has not
}

// attempt sends a request to one KDC. An answer that is not valid is an error, and so is that of a
// KDC in trouble, which is kept.
func (t *transport) attempt(ctx context.Context, kdc string, request []byte, valid func(reply []byte) bool) (a attempt) {
	a.kdc = kdc
	defer func() { a.panicked = recover() }()
	a.reply, a.err = t.one(ctx, kdc, request, nil)
	switch {
	case a.err != nil:
	case inTrouble(parseError(a.reply)):
		a.err = errTrouble
	case !valid(a.reply):
		a.err = errNotKerberos
	}
	return a
}

// exchange sends a request, which must prove nothing, to the KDCs of the realm, and returns
// the first answer that is valid, and whose it is. The one that answered last time is first. The next one is
// asked when one has failed, or has not answered for a moment and may yet; each of them is
// asked twice, but for one that is in trouble. What that has answered is returned, as nobody's, if
// there is no other answer.
func (t *transport) exchange(ctx context.Context, request []byte, valid func(reply []byte) bool) (reply []byte, kdc string, err error) {
	asked, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	order := t.good.first(t.realm, t.kdcs)
	once := len(order)
	order = slices.Concat(order, order)
	answers := make(chan attempt, len(order))
	errs := map[string]error{}
	var trouble []byte
	next := time.NewTimer(nextKDC)
	defer next.Stop()
	i, under := 0, 0
	ask := func() { // the next one, if there is one
		for i < len(order) && errs[order[i]] == errTrouble {
			i++
		}
		if i == len(order) {
			return
		}
		kdc := order[i]
		go func() { answers <- t.attempt(asked, kdc, request, valid) }()
		under++
		if i++; i < once {
			next.Reset(nextKDC)
		} else {
			next.Reset(secondTry)
		}
	}
	for ask(); under > 0; {
		select {
		case <-next.C:
			ask()
		case a := <-answers:
			if a.panicked != nil {
				panic(a.panicked)
			}
			if a.err == nil {
				t.good.set(t.realm, a.kdc)
				return a.reply, a.kdc, nil
			}
			if a.err == errTrouble {
				trouble = a.reply
			}
			if asked.Err() == nil { // or else it is the end of the wait
				errs[a.kdc] = a.err
			}
			under--
			ask()
		case <-asked.Done():
			if ctx.Err() != nil {
				return nil, "", context.Cause(ctx)
			}
			under = 0
		}
	}
	if trouble != nil {
		return trouble, "", nil
	}
	cause := ErrKDCUnreachable
	if !slices.ContainsFunc(order, func(kdc string) bool { return errs[kdc] != errNotKerberos }) {
		cause = ErrMalformedReply
	}
	return nil, "", t.failure(cause, order[:once], errs)
}

// failure returns the error for KDCs of which none has answered. It hides errors such as a
// timeout, which is not the caller's.
func (t *transport) failure(cause error, kdcs []string, errs map[string]error) error {
	var texts []string
	for _, kdc := range kdcs {
		texts = append(texts, fmt.Sprintf("%s: %v", kdc, cmp.Or(errs[kdc], errSilent)))
	}
	what := strings.Join(texts, "; ")
	return detailed{fmt.Errorf("%w: realm %s: %s", cause, t.realm, what), About{What: what, Realm: t.realm}}
}

// errNotKerberos is the error of what answers in some other way than a KDC does.
var errNotKerberos = errors.New("no valid Kerberos message")

// isKerberos reports whether a reply is an AS-REP or a KRB-ERROR.
func isKerberos(reply []byte) bool { return parseError(reply) != nil || isReply(reply) }

// errTrouble is the error of a KDC that is in trouble.
var errTrouble = errors.New("the KDC is in trouble")

// inTrouble reports whether an error, nil for none, is about the KDC rather than the request, so
// that another KDC may do better: MIT's sends it if it can't read its database.
func inTrouble(e *messages.KRBError) bool {
	return e != nil && (e.ErrorCode == errorcode.KRB_ERR_GENERIC || e.ErrorCode == errorcode.KRB_ERR_RESPONSE_TOO_BIG)
}

// errSilent is the error of a KDC that has not answered in time.
var errSilent = fmt.Errorf("no answer within %v", answerTimeout)

// one exchanges messages with one KDC (RFC 4120, Section 7.2.2). It calls sends, unless that is
// nil, when the connection is open.
func (t *transport) one(ctx context.Context, kdc string, request []byte, sends func()) ([]byte, error) {
	conn, err := t.connect(ctx, kdc)
	if err != nil {
		return nil, err
	}
	defer conn.Close() // ends what blocks on it
	if sends != nil {
		sends()
	}
	reply, err, _ := onecall.Go(ctx, func() ([]byte, error) {
		frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(request)), uint32(len(request)))
		if _, err := conn.Write(append(frame, request...)); err != nil {
			return nil, err
		}
		return readReply(conn)
	}, func([]byte) {})
	if err != nil {
		return nil, err
	}
	if e := parseError(reply); e != nil && e.ErrorCode == errorcode.KDC_ERR_SVC_UNAVAILABLE {
		return nil, errUnavailable
	}
	return reply, nil
}

// connect opens a connection to a KDC. The dial is the program's: it may panic, and may not
// return when its context ends.
func (t *transport) connect(ctx context.Context, kdc string) (net.Conn, error) {
	connecting, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	dial := func() (net.Conn, error) { return t.dial(connecting, "tcp", kdc) }
	conn, err, _ := onecall.Go(connecting, dial, func(late net.Conn) {
		if late != nil {
			late.Close()
		}
	})
	switch {
	case err != nil && connecting.Err() != nil && ctx.Err() == nil:
		return nil, fmt.Errorf("no connection within %v", connectTimeout)
	case err == nil && conn == nil:
		return nil, errNoConnection
	}
	return conn, err
}

// errNoConnection is the error of a dial that returns nothing.
var errNoConnection = errors.New("the dial function returns neither a connection nor an error")

// errUnavailable is an error of one KDC, after which the next one is tried.
var errUnavailable = errors.New("service unavailable")

// readReply reads a reply. Memory is taken as it is filled.
func readReply(r io.Reader) ([]byte, error) {
	var header [4]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(header[:])
	if n == 0 || n > maxReply {
		return nil, errNotKerberos
	}
	var reply bytes.Buffer
	_, err := io.CopyN(&reply, r, int64(n))
	return reply.Bytes(), err
}

// parseError returns the KRB-ERROR that data is, or nil if it is none.
func parseError(data []byte) *messages.KRBError {
	e, err := recovered(func() (*messages.KRBError, error) {
		var e messages.KRBError
		return &e, e.Unmarshal(data)
	})
	if err != nil {
		return nil
	}
	return e
}
