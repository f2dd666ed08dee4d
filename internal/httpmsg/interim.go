package httpmsg

import (
	"context"
	"net/http/httptrace"
	"net/textproto"
	"sync/atomic"
)

// An InterimHook is the hook of a request for 1xx answers, which can end the request. Nil is
// one of a request without such a hook.
type InterimHook struct {
	context.Context
	trace  httptrace.ClientTrace
	failed atomic.Bool
}

// WatchInterim returns a context like ctx, for one request, and its hook for 1xx answers.
func WatchInterim(ctx context.Context) (context.Context, *InterimHook) {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil || trace.Got1xxResponse == nil {
		return ctx, nil
	}
	h := &InterimHook{Context: ctx, trace: *trace}
	h.trace.Got1xxResponse = func(code int, header textproto.MIMEHeader) error {
		err := trace.Got1xxResponse(code, header)
		if err != nil {
			h.failed.Store(true)
		}
		return err
	}
	return h, h
}

// Value implements [context.Context]. [httptrace.WithClientTrace] would add a hook to that of
// ctx, not replace it.
func (h *InterimHook) Value(key any) any {
	value := h.Context.Value(key)
	if _, ok := value.(*httptrace.ClientTrace); ok {
		return &h.trace
	}
	return value
}

// Failed reports whether the hook has ended the request.
func (h *InterimHook) Failed() bool { return h != nil && h.failed.Load() }
