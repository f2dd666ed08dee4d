package krb

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// defaultKCMSocket is where KCM daemons listen: sssd's, and Heimdal's.
const defaultKCMSocket = "/var/run/.heim_org.h5l.kcm-socket"

// Operations of the protocol of KCM, version 2.0.
const (
	kcmGetPrincipal    = 8
	kcmGetCredUUIDs    = 9
	kcmGetCredByUUID   = 10
	kcmGetCacheUUIDs   = 18
	kcmGetCacheByUUID  = 19
	kcmGetDefaultCache = 20
	kcmGetCredList     = 13001 // MIT's, which Heimdal's daemon lacks
)

const (
	uuidSize = 16

	// maxKCMName bounds the name of a cache.
	maxKCMName = 1024

	// kcmTries is how often a cache is read that changes meanwhile.
	kcmTries = 3
)

// dialUnix is replaced in tests.
var dialUnix = new(net.Dialer).DialContext

// kcm are the caches of type KCM, in a daemon behind a Unix socket.
type kcm struct{ socket string }

// collection yields the daemon's default cache and then its others, if name is empty.
func (k kcm) collection(ctx context.Context, name string) iter.Seq2[string, error] {
	if name != "" {
		return only("KCM:"+name, nil)
	}
	return func(yield func(string, error) bool) {
		c, err := k.dial(ctx)
		if err != nil {
			yield("", err)
			return
		}
		defer c.close()
		primary, err := c.name(kcmGetDefaultCache)
		if !yield("KCM:"+primary, explainedKCM("", err)) || err != nil {
			return
		}
		ids, err := c.uuids(kcmGetCacheUUIDs)
		if err != nil {
			yield("", explainedKCM("", err))
			return
		}
		for _, id := range ids {
			name, err := c.name(kcmGetCacheByUUID, id)
			if isKCMError(err) || name == primary {
				continue // it is gone
			}
			if !yield("KCM:"+name, err) || err != nil {
				return
			}
		}
	}
}

func (k kcm) read(ctx context.Context, name string) (contents, error) {
	c, err := k.dial(ctx)
	if err != nil {
		return contents{}, err
	}
	defer c.close()
	before, err := c.state(name)
	for range kcmTries {
		if err != nil {
			return contents{}, explainedKCM(name, err)
		}
		credentials, failed := c.credentials(name, before.ids)
		if failed != nil && !isKCMError(failed) {
			return contents{}, failed
		}
		var after kcmState
		if after, err = c.state(name); err == nil && failed == nil && after.equal(before) {
			current := func(ctx context.Context) bool { return k.current(ctx, name, after) }
			return contents{fileFormat(after.principal, credentials), current}, nil
		}
		before = after
	}
	return contents{}, because(ErrNoTicket, "KCM:%s changes all the time", name)
}

// current reports whether a cache is in the state in which it was read.
func (k kcm) current(ctx context.Context, name string, state kcmState) bool {
	c, err := k.dial(ctx)
	if err != nil {
		return false
	}
	defer c.close()
	now, err := c.state(name)
	return err == nil && now.equal(state)
}

// A kcmState tells whether a cache has changed: each credential gets a UUID of its own.
type kcmState struct {
	principal []byte
	ids       [][]byte
}

func (s kcmState) equal(t kcmState) bool {
	return bytes.Equal(s.principal, t.principal) && bytes.Equal(bytes.Join(s.ids, nil), bytes.Join(t.ids, nil))
}

// A kcmError is the code with which a daemon refuses an operation.
type kcmError int32

// Codes of MIT's library.
const (
	kcmNoCache      kcmError = -1765328243
	kcmNoFile       kcmError = -1765328189
	kcmNoPermission kcmError = -1765328190
	kcmAccess       kcmError = 13 // EACCES
)

func (e kcmError) Error() string { return fmt.Sprintf("error %d of the KCM daemon", int32(e)) }

// explainedKCM returns the error for one of the daemon about a cache.
func explainedKCM(name string, err error) error {
	missing := err == kcmNoCache || err == kcmNoFile
	switch {
	case missing && isOthers(name), err == kcmNoPermission, err == kcmAccess:
		return because(ErrNoTicket, "KCM:%s is another user's", name)
	case missing:
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	case isKCMError(err):
		return because(ErrNoTicket, "KCM:%s: %v", name, err)
	}
	return err
}

// isOthers reports whether the name of a cache, which begins with a user's id, is another
// user's. sssd's daemon says of such a cache that there is none.
func isOthers(name string) bool {
	owner, _, _ := strings.Cut(name, ":")
	uid, err := strconv.Atoi(owner)
	return err == nil && os.Geteuid() != 0 && uid != os.Geteuid()
}

func isKCMError(err error) bool {
	_, ok := err.(kcmError)
	return ok
}

// A kcmConn is a connection to a daemon. It fails when its context ends.
type kcmConn struct {
	ctx    context.Context
	socket string
	conn   net.Conn
	stop   func() bool

	// left is how many octets may still be read.
	left int
}

func (k kcm) dial(ctx context.Context) (*kcmConn, error) {
	if k.socket == "-" {
		return nil, because(ErrNoTicket, "kcm_socket in krb5.conf says that there is no KCM daemon")
	}
	c := &kcmConn{ctx: ctx, socket: k.socket, left: maxCacheSize}
	for {
		var err error
		if c.conn, err = dialUnix(ctx, "unix", k.socket); err == nil {
			break
		}
		if !errors.Is(err, syscall.EAGAIN) { // Linux says so where more connect than the daemon takes at once
			return nil, c.failed(err)
		}
		select {
		case <-time.After(settleInterval):
		case <-ctx.Done():
			return nil, c.failed(err)
		}
	}
	c.stop = context.AfterFunc(ctx, func() { c.conn.SetDeadline(time.Unix(1, 0)) })
	return c, nil
}

func (c *kcmConn) close() {
	c.stop()
	c.conn.Close()
}

// failed returns the error for one of the connection.
func (c *kcmConn) failed(err error) error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	return because(ErrNoTicket, "the KCM daemon does not answer: %v: with sssd, systemctl start sssd-kcm.socket", err)
}

// call asks for an operation and returns what the daemon answers.
func (c *kcmConn) call(operation uint16, args ...[]byte) ([]byte, error) {
	request := []byte{0, 0, 0, 0, 2, 0, byte(operation >> 8), byte(operation)}
	for _, arg := range args {
		request = append(request, arg...)
	}
	binary.BigEndian.PutUint32(request, uint32(len(request)-4))
	if _, err := c.conn.Write(request); err != nil {
		return nil, c.failed(err)
	}
	reply, err := readKCMReply(c.conn, c.left)
	if err != nil && !isKCMError(err) && !errors.Is(err, ErrMalformedFile) {
		return nil, c.failed(err)
	}
	c.left -= len(reply)
	return reply, err
}

// readKCMReply reads a reply: its length, two codes, the first of which is not part of that
// length, and at most limit octets that the operation returns. Memory is taken as it is filled.
func readKCMReply(r io.Reader, limit int) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size, code := binary.BigEndian.Uint32(head[:]), kcmError(binary.BigEndian.Uint32(head[4:]))
	switch {
	case code != 0:
		return nil, code
	case size < 4:
		return nil, malformed("KCM", "reply without a code")
	case int64(size)-4 > int64(limit):
		return nil, malformed("KCM", "reply that is too long")
	}
	var reply bytes.Buffer
	if _, err := io.CopyN(&reply, r, int64(size)); err != nil {
		return nil, err
	}
	if code = kcmError(binary.BigEndian.Uint32(reply.Next(4))); code != 0 {
		return nil, code
	}
	return reply.Bytes(), nil
}

// name returns the name of a cache.
func (c *kcmConn) name(operation uint16, args ...[]byte) (string, error) {
	reply, err := c.call(operation, args...)
	if err != nil {
		return "", err
	}
	return parseKCMName(reply)
}

func parseKCMName(reply []byte) (string, error) {
	name, _, ok := bytes.Cut(reply, []byte{0})
	if !ok || len(name) == 0 || len(name) > maxKCMName || strings.ContainsFunc(string(name), isControl) {
		return "", malformed("KCM", "no name of a cache")
	}
	return string(name), nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// uuids returns a list of UUIDs.
func (c *kcmConn) uuids(operation uint16, args ...[]byte) ([][]byte, error) {
	reply, err := c.call(operation, args...)
	if err != nil {
		return nil, err
	}
	return parseUUIDs(reply)
}

func parseUUIDs(reply []byte) ([][]byte, error) {
	if len(reply)%uuidSize != 0 || len(reply) > uuidSize*maxTickets {
		return nil, malformed("KCM", "no list of UUIDs")
	}
	var ids [][]byte
	for ; len(reply) > 0; reply = reply[uuidSize:] {
		ids = append(ids, reply[:uuidSize:uuidSize])
	}
	return ids, nil
}

// state returns the state of a cache, whose principal Heimdal's daemon leaves out if there is
// no such cache.
func (c *kcmConn) state(name string) (s kcmState, err error) {
	s.principal, err = c.call(kcmGetPrincipal, terminated(name))
	if err == nil && len(s.principal) == 0 {
		err = kcmNoCache
	}
	if err == nil {
		s.ids, err = c.uuids(kcmGetCredUUIDs, terminated(name))
	}
	return s, err
}

func terminated(name string) []byte { return append([]byte(name), 0) }

// credentials returns the credentials of a cache, one after another if the daemon does not
// return them all at once.
func (c *kcmConn) credentials(name string, ids [][]byte) ([][]byte, error) {
	reply, err := c.call(kcmGetCredList, terminated(name))
	if err == nil {
		return parseCredList(reply)
	}
	if !isKCMError(err) {
		return nil, err
	}
	var list [][]byte
	for _, id := range ids {
		credential, err := c.call(kcmGetCredByUUID, terminated(name), id)
		if err != nil {
			return nil, err
		}
		list = append(list, credential)
	}
	return list, nil
}

func parseCredList(reply []byte) ([][]byte, error) {
	r := &reader{data: reply, order: binary.BigEndian}
	n := r.count32(4)
	if n > maxTickets {
		r.short = true
	}
	var list [][]byte
	for range n {
		if r.short {
			break
		}
		list = append(list, r.data32())
	}
	if r.short {
		return nil, malformed("KCM", "truncated list of credentials")
	}
	return list, nil
}
