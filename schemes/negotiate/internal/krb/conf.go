package krb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/onecall"
)

const (
	systemConf = "/etc/krb5.conf"

	defaultSkew     = 5 * time.Minute
	defaultLifetime = 24 * time.Hour

	// maxKDCs bounds how many KDCs of a realm are tried, one after another.
	maxKDCs = 8
)

// conf is what a krb5.conf says, as far as it matters here. It is not changed
// once it is made.
type conf struct {
	defaultRealm string
	realms       map[string][]string // the KDCs by realm
	primaries    map[string][]string // of these, or besides, the ones that learn of changes first
	domains      map[string]string
	paths        map[string]map[string][]string // [capaths], by realms of client and service
	lookupKDC    bool
	skew         time.Duration
	lifetime     time.Duration
	ticketTypes  []int32
	serviceTypes []int32
	cacheName    string
	kcmSocket    string
	clientKeytab string
}

func newConf(root *section) (*conf, error) {
	lib := root.sub("libdefaults")
	c := &conf{
		defaultRealm: lib.get("default_realm"),
		realms:       map[string][]string{},
		primaries:    map[string][]string{},
		domains:      map[string]string{},
		paths:        map[string]map[string][]string{},
		lookupKDC:    boolean(lib.get("dns_lookup_kdc"), true),
		skew:         duration(lib.get("clockskew"), defaultSkew),
		lifetime:     duration(lib.get("ticket_lifetime"), defaultLifetime),
		cacheName:    lib.get("default_ccache_name"),
		kcmSocket:    lib.get("kcm_socket"),
		clientKeytab: lib.get("default_client_keytab_name"),
	}
	for name, realm := range root.sub("realms").subs {
		c.realms[name] = realm.values["kdc"]
		c.primaries[name] = slices.Concat(realm.values["primary_kdc"], realm.values["master_kdc"])
	}
	for client, services := range root.sub("capaths").subs {
		c.paths[client] = services.values
	}
	for domain, realm := range root.sub("domain_realm").values {
		c.domains[strings.ToLower(domain)] = realm[0]
	}
	return c, c.encTypes(lib)
}

// encTypes reads the three lists of encryption types. The permitted ones limit
// the other two, and stand in for them. RC4 is for tickets of services alone unless it is listed.
func (c *conf) encTypes(lib *section) error {
	permitted := lib.get("permitted_enctypes")
	allowed := parseEncTypes(permitted, defaultEncTypes)
	c.ticketTypes = intersect(parseEncTypes(cmp.Or(lib.get("default_tkt_enctypes"), permitted), strongEncTypes), allowed)
	c.serviceTypes = intersect(parseEncTypes(cmp.Or(lib.get("default_tgs_enctypes"), permitted), defaultEncTypes), allowed)
	if len(c.ticketTypes) == 0 || len(c.serviceTypes) == 0 {
		return fmt.Errorf("%w: krb5.conf permits none that is supported", ErrEncType)
	}
	return nil
}

// realmOf returns the realm of a host by [domain_realm], or "". As in MIT's
// library, an entry with or without a leading dot stands for the hosts below it,
// the one without for the host of that name, too.
func (c *conf) realmOf(host string) string {
	rest, more := host, true
	for more {
		if realm := c.domains[rest]; realm != "" {
			return realm
		}
		if _, rest, more = strings.Cut(rest, "."); more && c.domains["."+rest] != "" {
			return c.domains["."+rest]
		}
	}
	return ""
}

// path returns the realms on the way from one that a client has come to, to that of a service, in
// the order in which a KDC is asked for them: the service's first, and then what [capaths] has
// before it. To a KDC that knows the way itself, it is of no use.
func (c *conf) path(client, here, service string) []string {
	way := slices.DeleteFunc(slices.Clone(c.paths[client][service]), func(realm string) bool { return realm == "." })
	way = append(way[slices.Index(way, here)+1:], service)
	slices.Reverse(way)
	return way
}

// spelled returns the realm as krb5.conf spells it. Realms are compared by
// octets in Kerberos, and are in upper case by convention; people type them in
// lower case.
func (c *conf) spelled(realm string) string {
	if _, ok := c.realms[realm]; ok || realm == c.defaultRealm {
		return realm
	}
	if strings.EqualFold(realm, c.defaultRealm) {
		return c.defaultRealm
	}
	for name := range c.realms {
		if strings.EqualFold(realm, name) {
			return name
		}
	}
	return strings.ToUpper(realm)
}

// kdcs returns the addresses of the KDCs of a realm, by lookUp if none is configured.
func (c *conf) kdcs(ctx context.Context, realm string, lookUp func(context.Context, string) ([]string, error)) ([]string, error) {
	if list := addresses(c.realms[realm]); len(list) > 0 {
		return list, nil
	}
	if named := strings.Join(c.realms[realm], " "); named != "" {
		return nil, inRealm(because(ErrNoKDC, "%s: TCP leads to none of those configured: %s", realm, named), realm)
	}
	if !c.lookupKDC {
		return nil, inRealm(fmt.Errorf("%w: %s", ErrNoKDC, realm), realm)
	}
	return lookUp(ctx, realm)
}

// inDNS reports whether DNS names the KDCs of a realm.
func (c *conf) inDNS(realm string) bool { return len(c.realms[realm]) == 0 && c.lookupKDC }

// The names of services in DNS.
const (
	anyKDC     = "kerberos"        // RFC 4120, Section 7.2.3.2
	primaryKDC = "kerberos-master" // MIT's: the KDCs that learn of changes first
)

// lookUpKDCs returns the addresses of the SRV records of a realm for a service.
func lookUpKDCs(ctx context.Context, resolver *net.Resolver, service, realm string) ([]string, error) {
	// An error may be about some of the records, which are left out.
	_, records, err := resolver.LookupSRV(ctx, service, "tcp", realm+".")
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	// The root as a target says that there is no such service (RFC 2782).
	records = slices.DeleteFunc(records, func(r *net.SRV) bool { return r.Target == "." })
	if dns, ok := errors.AsType[*net.DNSError](err); len(records) == 0 && ok && !dns.IsNotFound {
		return nil, inRealm(because(ErrNoKDC, "%s: %v", realm, err), realm)
	}
	if len(records) == 0 {
		return nil, inRealm(fmt.Errorf("%w: %s", ErrNoKDC, realm), realm)
	}
	var list []string
	for _, r := range records[:min(len(records), maxKDCs)] {
		list = append(list, net.JoinHostPort(strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port))))
	}
	return list, nil
}

// addresses turns the values of kdc into addresses to dial. One of another
// transport than TCP, such as an HTTPS proxy of a KDC, is left out.
func addresses(kdcs []string) []string {
	var list []string
	for _, kdc := range kdcs {
		kdc = strings.TrimPrefix(strings.TrimSuffix(kdc, "*"), "tcp/")
		if kdc == "" || strings.Contains(kdc, "/") {
			continue
		}
		if _, _, err := net.SplitHostPort(kdc); err != nil {
			kdc = net.JoinHostPort(strings.Trim(kdc, "[]"), "88")
		}
		list = append(list, kdc)
	}
	return list[:min(len(list), maxKDCs)]
}

// A confFile is the krb5.conf in use. It is read again when it has changed.
type confFile struct {
	loads onecall.Group[string, *conf] // by names

	mu     sync.Mutex
	names  string
	stamps []stamp
	conf   *conf
}

// load returns what the krb5.conf says: the files named, else those of
// KRB5_CONFIG, else the system's. If the system has none, it says nothing.
func (f *confFile) load(ctx context.Context, names string) (*conf, error) {
	return f.loads.Do(ctx, names, onecall.Options{}, func(ctx context.Context) (*conf, error) { return f.read(ctx, names) })
}

func (f *confFile) read(ctx context.Context, names string) (*conf, error) {
	explicit := names != "" || os.Getenv("KRB5_CONFIG") != ""
	names = cmp.Or(names, os.Getenv("KRB5_CONFIG"), systemConf)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conf != nil && f.names == names && !slices.ContainsFunc(f.stamps, func(s stamp) bool { return !s.current() }) {
		return f.conf, nil
	}
	p := &profileReader{ctx: ctx, root: newSection()}
	if err := p.files(names, explicit); err != nil {
		return nil, err
	}
	c, err := newConf(p.root)
	if err != nil {
		return nil, err
	}
	f.names, f.stamps, f.conf = names, p.stamps, c
	return c, nil
}

// files reads a list of files, of which some may be missing, but not all if
// they were asked for.
func (p *profileReader) files(names string, explicit bool) error {
	var missing error
	found := false
	for _, name := range filepath.SplitList(names) {
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			p.stamps = append(p.stamps, stamp{name: name})
			missing = err
			continue
		}
		if err := p.file(name); err != nil {
			return err
		}
		found = true
	}
	if explicit && !found && missing != nil {
		return fmt.Errorf("proxyauth: negotiate: krb5.conf: %w", missing)
	}
	return nil
}

func boolean(text string, def bool) bool {
	switch strings.ToLower(text) {
	case "y", "yes", "true", "t", "1", "on":
		return true
	case "n", "no", "false", "nil", "0", "off":
		return false
	}
	return def
}

// duration reads "300", "5m", "1d 2h" and "10:30[:00]"; anything else is def.
func duration(text string, def time.Duration) time.Duration {
	text = strings.ReplaceAll(text, " ", "")
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if h, rest, ok := strings.Cut(text, ":"); ok {
		m, s, _ := strings.Cut(rest, ":")
		text = h + "h" + m + "m" + cmp.Or(s, "0") + "s"
	}
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 15)
	d, err2 := time.ParseDuration(cmp.Or(rest, "0"))
	if total := time.Duration(n)*24*time.Hour + d; err == nil && err2 == nil && total > 0 {
		return total
	}
	return def
}
