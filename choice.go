package proxyauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"

	"github.com/go-proxyauth/proxyauth/internal/proxyaddr"
)

var (
	errSOCKS   = errors.New("proxyauth: SOCKS proxy")
	errMisread = errors.New("proxyauth: the proxy's URL has characters in its user info that must be percent-encoded")
)

// proxyFor returns the proxy that req takes, in use until it is put back, or nil
// if it takes none.
func (s *state) proxyFor(req *http.Request) (*proxy, error) {
	if req.URL == nil || (req.URL.Scheme != "http" && req.URL.Scheme != "https") {
		return nil, nil
	}
	if s.base.Proxy == nil {
		s.chosen(req, "", "Base.Proxy is nil")
		return nil, nil
	}
	u, err := s.base.Proxy(req)
	switch {
	case err != nil:
		return nil, s.noProxy(req, err)
	case u == nil:
		s.chosen(req, "", s.whyNone(req.URL.Scheme))
		return nil, nil
	case u.Scheme == "socks5" || u.Scheme == "socks5h":
		s.chosen(req, u.Scheme+"://"+u.Host, "a SOCKS proxy is left to Base")
		return nil, errSOCKS
	case u.Scheme != "http" && u.Scheme != "https":
		if u.Host == "" { // "ann:s3cret@proxy" has the scheme ann
			return nil, s.invalidURL(req, errors.New("proxyauth: the proxy's URL has no host"))
		}
		return nil, s.invalidURL(req, fmt.Errorf("proxyauth: the proxy's URL has the scheme %q, and not http, https or socks5", u.Scheme))
	case proxyaddr.IsMisread(u):
		return nil, s.invalidURL(req, errMisread)
	}
	p, err := s.proxies.take(s, u)
	if err != nil {
		return nil, s.invalidURL(req, err)
	}
	s.chosen(req, p.name, "")
	return p, nil
}

// noProxy returns the error for a Proxy function that has failed. That of package net/url
// shows what could not be parsed, user info included.
func (s *state) noProxy(req *http.Request, err error) error {
	if _, ok := errors.AsType[*url.Error](err); ok {
		return s.invalidURL(req, errMisread)
	}
	return err
}

// invalidURL returns the error for a proxy's URL that can't be used.
func (s *state) invalidURL(req *http.Request, err error) error {
	e := &Error{Cause: CauseProxyURLInvalid, Op: opDial, Target: req.URL.Host, Err: err, source: s.proxySource(req.URL.Scheme)}
	s.log.failed(inCallback(req.Context(), s), e)
	return e
}

// chosen traces the choice of a proxy, by its name, for a request, and the reason if there
// is none or it is left to Base.
func (s *state) chosen(req *http.Request, name, reason string) {
	if s.trace.ProxyChosen != nil {
		s.trace.call(req.Context(), s.trace.ProxyChosen, TraceInfo{Target: req.URL.Host, Proxy: name, Reason: reason})
	}
}

// whyNone returns why Base's Proxy has chosen no proxy for a URL with the scheme, as far as
// can be told.
func (s *state) whyNone(scheme string) string {
	if !s.readsEnvironment() {
		return "Base.Proxy returned none"
	}
	return proxyaddr.WhyNone(scheme)
}

func (s *state) readsEnvironment() bool {
	return s.base.Proxy != nil && reflect.ValueOf(s.base.Proxy).Pointer() == reflect.ValueOf(http.ProxyFromEnvironment).Pointer()
}
