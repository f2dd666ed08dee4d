package httpmsg_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/httpmsg"
)

// errGetBody is what a GetBody fails with.
var errGetBody = errors.New("no second copy")

// A countedBody counts how often it is closed.
type countedBody struct {
	io.Reader
	closes atomic.Int32
}

func newBody() *countedBody { return &countedBody{Reader: strings.NewReader("body")} }

func (b *countedBody) Close() error {
	b.closes.Add(1)
	return nil
}

// An upload is a request with a body, and the legs that send it.
type upload struct {
	t      *testing.T
	req    *http.Request
	bodies []*countedBody // the request's, then those of GetBody
	body   httpmsg.Body
	leg    io.ReadCloser // the one that Next returned last
}

func newUpload(t *testing.T) *upload {
	u := &upload{t: t, bodies: []*countedBody{newBody()}}
	u.req = &http.Request{Method: http.MethodPut, Body: u.bodies[0]}
	return u
}

func (u *upload) getBody() (io.ReadCloser, error) {
	b := newBody()
	u.bodies = append(u.bodies, b)
	return b, nil
}

func (u *upload) next() {
	u.t.Helper()
	var err error
	u.leg, err = u.body.Next(u.req)
	require.NoError(u.t, err)
}

// fails says that there is no body for another leg.
func (u *upload) fails(want error) {
	u.t.Helper()
	body, err := u.body.Next(u.req)
	require.Nil(u.t, body)
	require.Equal(u.t, want, err)
}

func (u *upload) read() {
	u.t.Helper()
	text, err := io.ReadAll(u.leg)
	require.NoError(u.t, err)
	require.Equal(u.t, "body", string(text))
}

func (u *upload) close() { u.leg.Close() }

func (u *upload) settle(failed bool) { u.body.Settle(u.req, failed) }

// Whatever a request comes to, each of its bodies is closed once.
func TestBodyIsClosedOnce(t *testing.T) {
	for _, tt := range []struct {
		desc    string
		getBody bool
		run     func(*upload)
		want    []int32 // how often each is closed
	}{
		{"nothing was sent", false, func(u *upload) { u.settle(true) }, []int32{1}},
		{"nothing was sent, said twice", false, func(u *upload) { u.settle(true); u.settle(true) }, []int32{1}},
		{"sent", false, func(u *upload) { u.next(); u.read(); u.close(); u.settle(false) }, []int32{1}},
		{"sent and closed twice", false, func(u *upload) { u.next(); u.read(); u.close(); u.close(); u.settle(false) }, []int32{1}},
		{"sent by a leg that failed", false, func(u *upload) { u.next(); u.read(); u.close(); u.settle(true) }, []int32{1}},
		{"closed unread", false, func(u *upload) { u.next(); u.close(); u.settle(false) }, []int32{1}},
		{"closed unread by a leg that failed", false, func(u *upload) { u.next(); u.close(); u.settle(true) }, []int32{1}},
		{"closed after the answer", false, func(u *upload) { u.next(); u.read(); u.settle(false); u.close() }, []int32{1}},
		{"closed unread after the answer", false, func(u *upload) { u.next(); u.settle(false); u.close() }, []int32{1}},
		{"closed after the caller has left", false, func(u *upload) { u.next(); u.settle(true); u.close(); u.settle(true) }, []int32{1}},
		{"given once more", false, func(u *upload) {
			u.next()
			u.close()
			u.next()
			u.read()
			u.close()
			u.settle(false)
		}, []int32{1}},
		{"given three times", false, func(u *upload) {
			u.next()
			u.close()
			u.next()
			u.close()
			u.next()
			u.close()
			u.settle(false)
		}, []int32{1}},
		{"not to be had again", false, func(u *upload) { u.next(); u.read(); u.close(); u.fails(httpmsg.ErrGone); u.settle(true) }, []int32{1}},
		{"another copy", true, func(u *upload) {
			u.next()
			u.close()
			u.next()
			u.read()
			u.close()
			u.settle(false)
		}, []int32{1, 1}},
		{"another copy, settled early", true, func(u *upload) {
			u.next()
			u.close()
			u.next()
			u.settle(false)
			u.read()
			u.close()
		}, []int32{1, 1}},
		{"nothing was sent but could be again", true, func(u *upload) { u.settle(true) }, []int32{1}},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			u := newUpload(t)
			if tt.getBody {
				u.req.GetBody = u.getBody
			}
			tt.run(u)
			var got []int32
			for _, b := range u.bodies {
				got = append(got, b.closes.Load())
			}
			require.Equal(t, tt.want, got)
		})
	}
}

// A body that can't be had again and was not read from is not closed before it is known
// that it is not needed.
func TestUnreadBodyIsGivenOnceMore(t *testing.T) {
	u := newUpload(t)
	u.next()
	u.close()
	require.False(t, u.body.IsGone(u.req))
	require.Zero(t, u.bodies[0].closes.Load())
	u.next()
	u.read()
	require.True(t, u.body.IsGone(u.req))
	u.fails(httpmsg.ErrGone)
}

// net/http may close a body, and read from it, when RoundTrip has returned.
func TestLateLegDoesNotReachTheNext(t *testing.T) {
	u := newUpload(t)
	u.next()
	late := u.leg
	u.next()
	first := make([]byte, 1)
	_, err := u.leg.Read(first)
	require.NoError(t, err)
	require.NoError(t, late.Close())
	_, err = late.Read(make([]byte, 1))
	require.Equal(t, http.ErrBodyReadAfterClose, err)
	_, err = io.ReadAll(late.(interface{ Bare() io.Reader }).Bare())
	require.Equal(t, http.ErrBodyReadAfterClose, err)
	require.Zero(t, u.bodies[0].closes.Load())
	rest, err := io.ReadAll(u.leg)
	require.NoError(t, err)
	require.Equal(t, "body", string(first)+string(rest))
}

// An answer may come while a body is on its way for the second time.
func TestSettledBodyStaysOpenForItsLeg(t *testing.T) {
	u := newUpload(t)
	u.next()
	u.close()
	u.next()
	u.settle(false)
	require.Zero(t, u.bodies[0].closes.Load())
	u.read()
	u.close()
	require.EqualValues(t, 1, u.bodies[0].closes.Load())
}

// A file is a body that the system can send.
type file struct {
	*countedBody
	syscall.Conn
}

// A bareBody is the body of a leg, as package connpool uses it.
type bareBody interface {
	Bare() io.Reader
	Skipped(n int64, err error)
}

func TestBareCountsAsRead(t *testing.T) {
	u := newUpload(t)
	u.req.Body = file{countedBody: u.bodies[0]}
	u.next()
	require.Equal(t, u.req.Body, u.leg.(bareBody).Bare())
	require.True(t, u.body.IsGone(u.req))
	u.fails(httpmsg.ErrGone)
	u.close()
	require.EqualValues(t, 1, u.bodies[0].closes.Load())
	require.Equal(t, u.leg, u.leg.(bareBody).Bare(), "it is closed")
}

func TestFailedBody(t *testing.T) {
	whole := io.ReadAll
	skip := func(n int64) func(io.Reader) ([]byte, error) {
		return func(leg io.Reader) ([]byte, error) {
			io.ReadFull(leg.(bareBody).Bare(), make([]byte, n))
			leg.(bareBody).Skipped(n, nil)
			return io.ReadAll(leg)
		}
	}
	for _, tt := range []struct {
		desc   string
		body   io.Reader
		length int64
		read   func(io.Reader) ([]byte, error)
		want   bool
	}{
		{"read", strings.NewReader("body"), 4, whole, false},
		{"of unknown length", strings.NewReader("body"), -1, whole, false},
		{"not readable", iotest.ErrReader(errGetBody), -1, whole, true},
		{"too short", strings.NewReader("body"), 5, whole, true},
		{"too long", strings.NewReader("body"), 3, whole, true},
		{"sent by the system", strings.NewReader("body"), 4, skip(4), false},
		{"sent by the system, too short", strings.NewReader("body"), 5, skip(4), true},
		{"sent by the system, too long", strings.NewReader("body"), 3, skip(3), true},
	} {
		u := newUpload(t)
		u.req.Body = file{countedBody: &countedBody{Reader: tt.body}}
		u.req.ContentLength = tt.length
		require.False(t, u.body.Failed(), tt.desc)
		u.next()
		tt.read(u.leg)
		require.Equal(t, tt.want, u.body.Failed(), tt.desc)
	}
}

// When a connection ends, net/http closes the body, which ends a Read.
func TestBodyDoesNotFailWhenItIsClosed(t *testing.T) {
	r, w := io.Pipe()
	u := newUpload(t)
	u.req.Body = r
	u.next()
	read := make(chan error)
	go func() {
		_, err := io.ReadAll(u.leg)
		read <- err
	}()
	_, err := w.Write([]byte("body"))
	require.NoError(t, err)
	u.close()
	require.Error(t, <-read)
	require.False(t, u.body.Failed())
}

func TestBodyOfAFailedRequest(t *testing.T) {
	for _, getBody := range []bool{false, true} {
		u := newUpload(t)
		if getBody {
			u.req.GetBody = u.getBody
		}
		u.settle(true)
		u.fails(context.Canceled)
		require.Len(t, u.bodies, 1)
	}
}

func TestGetBodyFails(t *testing.T) {
	u := newUpload(t)
	u.req.GetBody = func() (io.ReadCloser, error) { return nil, errGetBody }
	u.next()
	u.close()
	u.fails(errGetBody)
	u.settle(true)
	require.EqualValues(t, 1, u.bodies[0].closes.Load())
}

// As in net/http, a nil body is none.
func TestGetBodyReturnsNil(t *testing.T) {
	u := newUpload(t)
	u.req.GetBody = func() (io.ReadCloser, error) { return nil, nil }
	u.next()
	u.close()
	u.next()
	text, err := io.ReadAll(u.leg)
	require.NoError(t, err)
	require.Empty(t, text)
	require.NoError(t, u.leg.Close())
}

func TestNoBody(t *testing.T) {
	for _, body := range []io.ReadCloser{nil, http.NoBody} {
		u := newUpload(t)
		u.req.Body = body
		require.False(t, httpmsg.HasBody(u.req))
		for range 2 {
			u.next()
			require.Equal(t, body, u.leg)
		}
		require.False(t, u.body.IsGone(u.req))
		u.settle(true)
	}
	require.True(t, httpmsg.HasBody(newUpload(t).req))
}

// The caller may leave, and net/http close the body, at any moment of a leg.
func TestBodyIsClosedOnceByAll(t *testing.T) {
	for range 200 {
		u := newUpload(t)
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 2 {
				body, err := u.body.Next(u.req)
				if err != nil {
					return
				}
				wg.Go(func() { body.Close() })
				u.body.IsGone(u.req)
				body.Close()
			}
			u.settle(true)
		})
		wg.Go(func() { u.settle(true) })
		wg.Wait()
		require.EqualValues(t, 1, u.bodies[0].closes.Load())
	}
}
