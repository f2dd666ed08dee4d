package negotiate

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/go-proxyauth/proxyauth/internal/onecall"
)

// host returns the proxy's host name, in lower case and without the final dot.
func (s *Scheme) host(ctx context.Context, proxy *url.URL) string {
	host := strings.ToLower(strings.TrimSuffix(proxy.Hostname(), "."))
	if !s.CanonicalizeHost || isAddress(host) {
		return host
	}
	resolver := s.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	name, err := s.names.Do(ctx, host, onecall.Options{NoValues: true}, func(ctx context.Context) (string, error) {
		return lastAlias(ctx, resolver, host)
	})
	if err != nil || name == "" {
		return host // as MIT's library does: the name may be known by Kerberos alone
	}
	return name
}

// maxAliases bounds a chain of aliases.
const maxAliases = 8

// lastAlias returns the name that a chain of aliases ends with. The resolver may return
// one in the middle, if the answer without an address comes first.
func lastAlias(ctx context.Context, resolver *net.Resolver, host string) (string, error) {
	for i := range maxAliases {
		name, err := resolver.LookupCNAME(ctx, host)
		if err != nil && i == 0 {
			return "", err
		}
		if err != nil { // the end of the chain need not have an address
			return host, nil
		}
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if name == host || name == "" {
			return name, nil
		}
		host = name
	}
	return host, nil
}

// spn returns the proxy's service principal name, or "" if it has none.
func (s *Scheme) spn(proxy *url.URL, host string) string {
	if s.SPN != nil {
		if spn := s.SPN(proxy); spn != "" {
			return spn
		}
	}
	if host == "" || isAddress(host) {
		return ""
	}
	return "HTTP/" + host
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}
