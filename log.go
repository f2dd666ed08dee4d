package proxyauth

import (
	"context"
	"log/slog"

	"github.com/go-proxyauth/proxyauth/internal/printable"
)

// A logger writes what a Trace is told, and failures.
type logger struct{ *slog.Logger }

// trace returns hooks that log at Debug and then call those of next.
func (l logger) trace(next *Trace) *Trace {
	hook := func(message string, next func(context.Context, TraceInfo)) func(context.Context, TraceInfo) {
		return func(ctx context.Context, info TraceInfo) {
			if l.Enabled(ctx, slog.LevelDebug) {
				l.LogAttrs(ctx, slog.LevelDebug, message, info.attrs()...)
			}
			if next != nil {
				next(ctx, info)
			}
		}
	}
	return &Trace{
		ProxyChosen:      hook("proxyauth: proxy chosen", next.ProxyChosen),
		LegSent:          hook("proxyauth: leg sent", next.LegSent),
		LegAnswered:      hook("proxyauth: leg answered", next.LegAnswered),
		Challenged:       hook("proxyauth: challenged", next.Challenged),
		CredentialsAsked: hook("proxyauth: credentials asked", next.CredentialsAsked),
		Waiting:          hook("proxyauth: waiting for a turn", next.Waiting),
		Accepted:         hook("proxyauth: credentials accepted", next.Accepted),
		Refused:          hook("proxyauth: credentials refused", next.Refused),
		TunnelOpened:     hook("proxyauth: tunnel opened", next.TunnelOpened),
	}
}

// attrs returns the fields of info that are set.
func (info TraceInfo) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("proxy", info.Proxy)}
	add := func(set bool, a slog.Attr) {
		if set {
			attrs = append(attrs, a)
		}
	}
	add(info.Reason != "", slog.String("reason", info.Reason))
	add(info.Op != "", slog.String("op", info.Op))
	add(info.Target != "", slog.String("target", printable.Text(info.Target)))
	add(info.Scheme != "", slog.String("scheme", info.Scheme))
	add(info.Leg != 0, slog.Int("leg", info.Leg))
	add(info.Leg != 0, slog.Bool("reused", info.Reused))
	add(info.Status != 0, slog.Int("status", info.Status))
	add(len(info.Offered) > 0, slog.String("offered", printable.List(info.Offered)))
	add(info.Duration != 0, slog.Duration("duration", info.Duration))
	if info.Err != nil {
		attrs = append(attrs, slog.String("error", printable.Text(info.Err.Error())))
	}
	return attrs
}

// failed logs a request that ended with e.
func (l logger) failed(ctx context.Context, e *Error) {
	if l.Logger == nil {
		return
	}
	l.LogAttrs(ctx, slog.LevelWarn, "proxyauth: failed",
		slog.String("proxy", e.Proxy), slog.String("target", printable.Text(e.Target)),
		slog.String("cause", string(e.Cause)), slog.String("error", e.Error()), slog.String("hint", e.Hint()))
}
