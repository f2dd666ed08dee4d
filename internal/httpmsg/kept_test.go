package httpmsg_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/httpmsg"
)

func TestKeep(t *testing.T) {
	const most = 256 << 10
	errCut := errors.New("cut off")
	for _, tt := range []struct {
		desc string
		body io.Reader
		want int   // length
		err  error // of reading it
	}{
		{"empty", strings.NewReader(""), 0, nil},
		{"short", strings.NewReader("a page"), 6, nil},
		{"the end comes with the text", iotest.DataErrReader(strings.NewReader("a page")), 6, nil},
		{"byte by byte", iotest.OneByteReader(strings.NewReader(text(20 << 10))), 20 << 10, nil},
		{"the most", strings.NewReader(text(most)), most, nil},
		{"the most, the end comes with the text", iotest.DataErrReader(strings.NewReader(text(most))), most, nil},
		{"too long", strings.NewReader(text(most + 1)), most, io.ErrUnexpectedEOF},
		{"too long, the end comes with the text", iotest.DataErrReader(strings.NewReader(text(most + 1))), most, io.ErrUnexpectedEOF},
		{"broken off", io.MultiReader(strings.NewReader("a page"), iotest.ErrReader(errCut)), 6, io.ErrUnexpectedEOF},
		{"broken off after the most", io.MultiReader(strings.NewReader(text(most)), iotest.ErrReader(errCut)), most, io.ErrUnexpectedEOF},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			body := &countedBody{Reader: tt.body}
			resp := &http.Response{Body: body}
			httpmsg.Keep(resp)
			require.EqualValues(t, 1, body.closes.Load())
			require.Equal(t, text(tt.want), mask(httpmsg.Kept(resp)))
			got, err := io.ReadAll(resp.Body)
			require.Equal(t, tt.err, err)
			require.Equal(t, text(tt.want), mask(got))
			require.Len(t, httpmsg.Kept(resp), tt.want)
			require.NoError(t, resp.Body.Close())
		})
	}
}

// text returns a text of a length.
func text(n int) string { return strings.Repeat("x", n) }

// mask returns a text of the length of b that shows no difference but in the length.
func mask(b []byte) string { return text(len(b)) }

// An endless body counts what was read of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}

func TestKeepReadsNoMore(t *testing.T) {
	var e endless
	resp := &http.Response{Body: &countedBody{Reader: &e}}
	httpmsg.Keep(resp)
	require.LessOrEqual(t, e.read, 2*256<<10)
	require.Len(t, httpmsg.Kept(resp), 256<<10)
}

// A stalledBody blocks until it is closed.
type stalledBody struct {
	*io.PipeReader
	closes countedBody
}

func (b *stalledBody) Close() error {
	b.closes.Close()
	return b.PipeReader.Close()
}

func TestKeepGivesUpAStalledBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		go func() { io.WriteString(w, "a page") }()
		body := &stalledBody{PipeReader: r}
		resp := &http.Response{Body: body}
		start := time.Now()
		httpmsg.Keep(resp)
		require.Equal(t, 5*time.Second, time.Since(start))
		require.EqualValues(t, 1, body.closes.closes.Load())
		got, err := io.ReadAll(resp.Body)
		require.Equal(t, io.ErrUnexpectedEOF, err)
		require.Equal(t, "a page", string(got))
	})
}

// A body that ends is not closed again five seconds later.
func TestKeepLeavesNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := newBody()
		httpmsg.Keep(&http.Response{Body: body})
		time.Sleep(time.Minute)
		synctest.Wait()
		require.EqualValues(t, 1, body.closes.Load())
	})
}

func TestNewKept(t *testing.T) {
	for _, tt := range []struct {
		desc  string
		whole bool
		want  error
	}{
		{"whole", true, nil},
		{"cut off", false, io.ErrUnexpectedEOF},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			resp := &http.Response{Body: httpmsg.NewKept([]byte("a page"), tt.whole)}
			got, err := io.ReadAll(resp.Body)
			require.Equal(t, tt.want, err)
			require.Equal(t, "a page", string(got))
			require.Equal(t, "a page", string(httpmsg.Kept(resp)))
		})
	}
}

func TestKeptOfAnotherBody(t *testing.T) {
	require.Nil(t, httpmsg.Kept(&http.Response{}))
	require.Nil(t, httpmsg.Kept(&http.Response{Body: newBody()}))
}

// A connBody is the body of a 101.
type connBody struct{ *countedBody }

func (connBody) Write(p []byte) (int, error) { return len(p), nil }

func TestWatch(t *testing.T) {
	for _, tt := range []struct {
		desc string
		body io.ReadCloser
		use  func(io.ReadCloser)
		want bool // done was called
	}{
		{"not used", newBody(), func(io.ReadCloser) {}, false},
		{"read in part", newBody(), func(b io.ReadCloser) { b.Read(make([]byte, 2)) }, false},
		{"read", newBody(), func(b io.ReadCloser) { io.ReadAll(b) }, true},
		{"fails", &countedBody{Reader: iotest.ErrReader(io.ErrUnexpectedEOF)}, func(b io.ReadCloser) { io.ReadAll(b) }, true},
		{"closed", newBody(), func(b io.ReadCloser) { b.Close() }, true},
		{"a connection", connBody{newBody()}, func(io.ReadCloser) {}, true},
		{"none", http.NoBody, func(io.ReadCloser) {}, true},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			resp := &http.Response{Body: tt.body}
			done := false
			httpmsg.Watch(resp, func() { done = true })
			tt.use(resp.Body)
			require.Equal(t, tt.want, done)
		})
	}
}

// Programs write to the body of a 101, and compare one with http.NoBody.
func TestBodiesThatAreNotWrapped(t *testing.T) {
	for _, body := range []io.ReadCloser{connBody{newBody()}, http.NoBody} {
		resp := &http.Response{Body: body, TransferEncoding: []string{"chunked"}}
		httpmsg.Watch(resp, func() {})
		httpmsg.HideTrailer(resp)
		require.Equal(t, body, resp.Body)
	}
}

func TestWatchedBodyIsClosedBeforeDone(t *testing.T) {
	body := newBody()
	resp := &http.Response{Body: body}
	var closes int32
	httpmsg.Watch(resp, func() { closes = body.closes.Load() })
	require.NoError(t, resp.Body.Close())
	require.EqualValues(t, 1, closes)
}

func TestAwaitAnswer(t *testing.T) {
	for _, tt := range []struct {
		desc  string
		limit time.Duration
		after time.Duration
		act   func(*httpmsg.Wait, *http.Response)
		want  error // cause
	}{
		{"in time", time.Minute, 59 * time.Second, func(*httpmsg.Wait, *http.Response) {}, nil},
		{"late", time.Minute, time.Minute, func(*httpmsg.Wait, *http.Response) {}, context.DeadlineExceeded},
		{"no limit", 0, 1000 * time.Hour, func(*httpmsg.Wait, *http.Response) {}, nil},
		{"over", time.Minute, 0, func(w *httpmsg.Wait, _ *http.Response) { w.End() }, context.Canceled},
		{"over without a limit", 0, 0, func(w *httpmsg.Wait, _ *http.Response) { w.End() }, context.Canceled},
		{"the body is not read", time.Minute, time.Hour, func(w *httpmsg.Wait, r *http.Response) { w.PassOn(r); w.End(); w.End() }, nil},
		{"the body is read", time.Minute, 0, func(w *httpmsg.Wait, r *http.Response) { w.PassOn(r); w.End(); io.ReadAll(r.Body) }, context.Canceled},
		{"the body is closed", time.Minute, 0, func(w *httpmsg.Wait, r *http.Response) { w.PassOn(r); w.End(); r.Body.Close() }, context.Canceled},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, wait := httpmsg.AwaitAnswer(t.Context(), tt.limit)
				defer wait.End()
				tt.act(wait, &http.Response{Body: newBody()})
				time.Sleep(tt.after)
				synctest.Wait()
				require.Equal(t, tt.want, context.Cause(ctx))
			})
		})
	}
}

func TestAwaitAnswerEndsWithItsParent(t *testing.T) {
	parent, cancel := context.WithCancelCause(t.Context())
	ctx, wait := httpmsg.AwaitAnswer(parent, time.Hour)
	defer wait.End()
	cancel(errGetBody)
	require.Equal(t, errGetBody, context.Cause(ctx))
}

// A limit that passes and a body that ends in the same moment meet safely.
func TestAwaitAnswerRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, wait := httpmsg.AwaitAnswer(t.Context(), time.Second)
		resp := &http.Response{Body: newBody()}
		wait.PassOn(resp)
		var wg sync.WaitGroup
		wg.Go(func() { time.Sleep(time.Second); resp.Body.Close() })
		wg.Go(func() { time.Sleep(time.Second); wait.End() })
		wg.Wait()
		require.Error(t, ctx.Err())
	})
}
