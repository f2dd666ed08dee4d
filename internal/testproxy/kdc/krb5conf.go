package kdc

import (
	"fmt"
	"strings"
)

// Krb5Conf returns the text of a krb5.conf that leads to the KDC over TCP and
// nowhere else. The lines given, such as "permitted_enctypes = aes256-cts", go
// into its [libdefaults] section.
func (k *KDC) Krb5Conf(libdefaults ...string) string {
	realm := k.cfg.Realm
	lines := append([]string{
		"default_realm = " + realm,
		"dns_lookup_realm = false",
		"dns_lookup_kdc = false",
		"dns_canonicalize_hostname = false",
		"rdns = false",
		"udp_preference_limit = 1",
	}, libdefaults...)
	var b strings.Builder
	fmt.Fprintf(&b, "[libdefaults]\n    %s\n\n", strings.Join(lines, "\n    "))
	fmt.Fprintf(&b, "[realms]\n    %s = {\n        kdc = %s\n    }\n\n", realm, k.Addr())
	domain := strings.ToLower(realm)
	fmt.Fprintf(&b, "[domain_realm]\n    .%s = %s\n    %s = %s\n", domain, realm, domain, realm)
	return b.String()
}
