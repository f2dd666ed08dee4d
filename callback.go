package proxyauth

import "context"

// A requestKey is the key of the context of a request for which net/http may make a
// connection: the context of that does not end with the request's.
type requestKey struct{}

// withRequestContext returns ctx as it is to be found by requestContext.
func withRequestContext(ctx context.Context) context.Context {
	return context.WithValue(ctx, requestKey{}, ctx)
}

// requestContext returns the context of the request that a connection is made for with ctx.
func requestContext(ctx context.Context) context.Context {
	if req, ok := ctx.Value(requestKey{}).(context.Context); ok {
		return req
	}
	return ctx
}

// A callbackKey is the key of the contexts that callbacks of a Transport get.
type callbackKey struct{ *state }

// inCallback returns a context for a callback of the program. Requests made with it wait
// for no others and are sent without credentials, since they may be what others
// wait for.
func inCallback(ctx context.Context, s *state) context.Context {
	return context.WithValue(ctx, callbackKey{s}, true)
}

func isCallback(ctx context.Context, s *state) bool { return ctx.Value(callbackKey{s}) != nil }

// orUndo calls f, a callback or what calls one, and undo if f does not return: it may panic or
// end its goroutine.
func orUndo(f, undo func()) {
	returned := false
	defer func() {
		if !returned {
			undo()
		}
	}()
	f()
	returned = true
}
