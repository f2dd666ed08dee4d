//go:build !unix

package prompt

import "context"

// An ending is nothing: no signal ends a program here that leaves its terminal behind.
type ending struct{}

func notifyEnding(ctx context.Context) (context.Context, *ending) { return ctx, nil }

func (*ending) raise() {}
