package proxyauth

import (
	"errors"
	"fmt"
	"net/http"
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
		return nil, err
	case u == nil:
		s.chosen(req, "", s.whyNone(req.URL.Scheme))
		return nil, nil
	case u.Scheme == "socks5" || u.Scheme == "socks5h":
		s.chosen(req, u.Scheme+"://"+u.Host, "a SOCKS proxy is left to Base")
		return nil, errSOCKS
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("proxyauth: proxy URL with scheme %q", u.Scheme)
	case proxyaddr.IsMisread(u):
		e := &Error{Cause: CauseProxyURLInvalid, Op: opDial, Target: req.URL.Host, Err: errMisread}
		s.log.failed(inCallback(req.Context(), s), e)
		return nil, e
	}
	p, err := s.proxies.take(s, u)
	if err == nil {
		s.chosen(req, p.name, "")
	}
	return p, err
}

// chosen traces the choice of a proxy, by its name, for a request, and the reason if there
// is none or it is left to Base.
func (s *state) chosen(req *http.Request, name, reason string) {
	if s.trace.Trace != nil {
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
