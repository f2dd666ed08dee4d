package httpmsg

import (
	"context"
	"errors"
	"net/http"
)

var errCanceled = errors.New("proxyauth: request canceled")

// HasCancel reports whether r has a Cancel, which http.Client sets for its Timeout.
func HasCancel(r *http.Request) bool {
	return r.Cancel != nil //lint:ignore SA1019 it is deprecated, and in use
}

// DropCancel takes Cancel out of r.
func DropCancel(r *http.Request) {
	r.Cancel = nil //lint:ignore SA1019 it is deprecated, and in use
}

// WithCancel returns the context of r, which ends with r.Cancel as well. end must be called
// when the answer has been read.
func WithCancel(r *http.Request) (_ context.Context, end func()) {
	canceled := r.Cancel //lint:ignore SA1019 it is deprecated, and in use
	ctx, cancel := context.WithCancelCause(r.Context())
	select {
	case <-canceled:
		cancel(errCanceled)
	default:
		go func() {
			select {
			case <-canceled:
				cancel(errCanceled)
			case <-ctx.Done():
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}
