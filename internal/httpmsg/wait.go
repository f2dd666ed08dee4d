package httpmsg

import (
	"context"
	"net/http"
	"time"
)

// A Wait limits the time until the answer to a request begins. It is made by [AwaitAnswer];
// its methods are for one goroutine.
type Wait struct {
	timer  *time.Timer
	cancel context.CancelCauseFunc
	passed bool
}

// AwaitAnswer returns a context for a request whose answer has to begin in time. After the
// limit it is canceled, for the cause context.DeadlineExceeded. Zero means no limit. End must
// be called when the answer has begun, or will not.
func AwaitAnswer(ctx context.Context, limit time.Duration) (context.Context, *Wait) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &Wait{cancel: cancel}
	if limit > 0 {
		w.timer = time.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })
	}
	return ctx, w
}

// PassOn leaves the context to the body of resp: it ends when that has been read or closed;
// for a 101, with its parent.
func (w *Wait) PassOn(resp *http.Response) {
	w.passed = true
	Watch(resp, func() { w.cancel(nil) })
}

// End ends the limit, and the context unless PassOn was called. It may be called more than
// once.
func (w *Wait) End() {
	if w.timer != nil {
		w.timer.Stop()
	}
	if !w.passed {
		w.cancel(nil)
	}
}
