package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// maxKDCs bounds the KDCs that are asked.
const maxKDCs = 8

// negotiateScheme returns a Negotiate as the command line wants it.
func (d *diagnosis) negotiateScheme(sources ...negotiate.Source) *negotiate.Scheme {
	scheme := &negotiate.Scheme{Sources: sources}
	if sources == nil {
		scheme.Engine = d.config.Engine
	}
	for _, s := range schemes.Default() {
		if n, ok := s.(*negotiate.Scheme); ok && sources == nil && scheme.Engine == nil {
			scheme.Engine = n.Engine
		}
	}
	if d.config.SPN != "" {
		scheme.SPN = func(*url.URL) string { return d.config.SPN }
	}
	return scheme
}

// proxyURL returns the proxy's URL as schemes and providers are given it.
func (d *diagnosis) proxyURL() *url.URL {
	return &url.URL{Scheme: d.proxy.Scheme, Host: addressOf(d.proxy)}
}

// ticket reports whether Negotiate may do without a password.
func (d *diagnosis) ticket() bool {
	s := d.setup
	return s != nil && (len(s.Caches) > 0 && s.Caches[0].Err == nil || s.Keytab != "" || d.logon)
}

// inspect looks for what there is for Negotiate, if it is of any use.
func (d *diagnosis) inspect(ctx context.Context) {
	if d.uses("Negotiate") {
		ctx, cancel := context.WithTimeout(ctx, d.config.Timeout)
		defer cancel()
		d.setup = d.inspected(ctx, d.user())
	}
}

// inspected returns what there is for Negotiate. A keytab that the configuration names and that
// is not there, as on most machines, is none.
func (d *diagnosis) inspected(ctx context.Context, user string) *negotiate.Setup {
	s := d.negotiateScheme().Inspect(ctx, d.proxyURL(), user)
	if _, err := os.Stat(strings.TrimPrefix(s.Keytab, "FILE:")); s.Keytab != "" && errors.Is(err, fs.ErrNotExist) {
		s.Keytab, d.noKeytab = "", s.Keytab
	}
	d.logon = d.hasLogon(ctx, user)
	return s
}

// hasLogon reports whether the system has a ticket for the proxy in its logon session. No
// password is at stake.
func (d *diagnosis) hasLogon(ctx context.Context, user string) bool {
	scheme := d.negotiateScheme()
	if scheme.Engine == nil {
		return false
	}
	scheme.Sources, scheme.DisableNTLM = []negotiate.Source{}, true
	ctx, cancel := context.WithTimeout(ctx, d.config.Timeout)
	defer cancel()
	ex := proxyauth.Exchange{Proxy: d.proxyURL()}
	ex.Credentials.Username = user
	session, err := scheme.NewSession(ctx, ex)
	closeSession(session)
	return err == nil
}

func closeSession(s proxyauth.Session) {
	if c, ok := s.(io.Closer); ok {
		c.Close()
	}
}

// kerberos says what there is for Negotiate, and asks the KDCs.
func (d *diagnosis) kerberos(ctx context.Context) {
	if d.setup == nil {
		return
	}
	if d.credentials != nil { // they may be another user's than was thought
		d.setup = d.inspected(ctx, d.credentials.Username)
	}
	s := d.setup
	k := &Kerberos{ConfigFiles: s.ConfigFiles, Engine: printable(s.Engine), Realm: s.Realm, Keytab: s.Keytab, SPN: s.SPN, MaxSkew: millis(s.MaxSkew)}
	d.report.Kerberos = k
	if s.ConfigErr != nil {
		k.Error = short(s.ConfigErr)
		d.blocked = d.obstacle()
		d.step("kerberos", Warning, d.blocked.text)
		return
	}
	for _, c := range s.Caches {
		k.Caches = append(k.Caches, cacheOf(c))
	}
	if d.skew != nil {
		skew := millis(*d.skew)
		k.ProxySkew = &skew
	}
	d.askKDCs(ctx)
	d.askService(ctx)
	d.reportKerberos()
}

func cacheOf(c negotiate.Cache) TicketCache {
	t := TicketCache{Name: printable(c.Name), From: c.From, Principal: printable(c.Principal)}
	if c.Err != nil {
		t.Error = short(c.Err)
	}
	// What to do about it is the verdict's, and so only the reason is wanted.
	if _, reason, ok := strings.Cut(strings.TrimSuffix(t.Error, ")"), " ("); ok && errors.Is(c.Err, negotiate.NoTicket) {
		t.Error = reason
	}
	for _, ticket := range c.Tickets {
		if strings.HasPrefix(ticket.Service, "krbtgt/") && ticket.End.After(t.Expires) {
			t.Expires = ticket.End
		}
		t.Tickets = append(t.Tickets, Ticket{Service: printable(ticket.Service), Start: ticket.Start, End: ticket.End})
	}
	return t
}

// askKDCs asks all KDCs of the user's realm at once whether they are there.
func (d *diagnosis) askKDCs(ctx context.Context) {
	scheme := d.negotiateScheme()
	addresses := d.setup.KDCs[:min(len(d.setup.KDCs), maxKDCs)]
	kdcs, foreign := make([]KDC, len(addresses)), make([]bool, len(addresses))
	ctx, cancel := context.WithTimeout(ctx, d.config.Timeout)
	defer cancel()
	var wg sync.WaitGroup
	for i, address := range addresses {
		wg.Go(func() {
			skew, err := scheme.ProbeKDC(ctx, d.setup.Realm, address)
			kdcs[i] = KDC{Address: address, OK: err == nil, Skew: millis(skew.Round(time.Millisecond))}
			switch {
			case err == nil:
			case isTimeout(err):
				kdcs[i].Error = fmt.Sprintf("no answer within %v", d.config.Timeout)
			case strings.Contains(err.Error(), "malformed Kerberos message"): // the error of each KDC is text alone
				kdcs[i].Error, foreign[i] = "it answers, and does not speak Kerberos", true
			default:
				kdcs[i].Error = short(err)
			}
		})
	}
	wg.Wait()
	d.report.Kerberos.KDCs = kdcs
	d.foreignKDC = slices.Contains(foreign, true)
}

// askService asks the KDC for a ticket for the proxy, if there is a ticket to ask with: no
// password is at stake.
func (d *diagnosis) askService(ctx context.Context) {
	if d.setup.Caches[0].Err != nil || d.setup.SPN == "" || !slices.ContainsFunc(d.report.Kerberos.KDCs, func(k KDC) bool { return k.OK }) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, d.config.Timeout)
	defer cancel()
	ex := proxyauth.Exchange{Proxy: d.proxyURL()}
	session, err := d.negotiateScheme(negotiate.TicketCache).NewSession(ctx, ex)
	closeSession(session)
	known := err == nil
	if known || errors.Is(err, negotiate.ServiceUnknown) {
		d.report.Kerberos.SPNKnown = &known
		return
	}
	d.report.Kerberos.Error = short(err)
}

func (d *diagnosis) reportKerberos() {
	k := d.report.Kerberos
	result, text := d.kerberosResult()
	var details []string
	add := func(label, format string, args ...any) {
		details = append(details, fmt.Sprintf("%-10s ", label)+fmt.Sprintf(format, args...))
	}
	if k.Engine != "" {
		add("system", "%s", k.Engine)
	}
	add("krb5.conf", "%s", orNone(listed(k.ConfigFiles)))
	for _, c := range k.Caches {
		label, from := "also seen", ""
		if c.From != "" {
			label, from = "cache", " ("+c.From+")"
		}
		add(label, "%s%s: %s", orNone(c.Name), from, c.summary())
	}
	if k.Keytab != "" {
		add("keytab", "%s", printable(k.Keytab))
	} else if d.noKeytab != "" {
		add("keytab", "%s is configured, and does not exist", printable(d.noKeytab))
	}
	add("realm", "%s", orNone(printable(k.Realm)))
	for _, kdc := range k.KDCs {
		add("KDC", "%s", kdc.summary())
	}
	if d.setup.KDCErr != nil {
		add("KDC", "%s", short(d.setup.KDCErr))
	}
	add("service", "%s", k.service())
	if d.skew != nil {
		add("clock", "the proxy's is %s", skewWords(*d.skew))
	}
	d.step("kerberos", result, text, details...)
}

// An obstacle is what is in the way of a ticket for the proxy, and what to do about it.
type obstacle struct{ text, fix string }

// obstacle returns what is known to be in the way, nil if nothing is.
func (d *diagnosis) obstacle() *obstacle {
	k := d.report.Kerberos
	answering := slices.DeleteFunc(slices.Clone(k.KDCs), func(kdc KDC) bool { return !kdc.OK })
	wrong := slices.IndexFunc(answering, func(kdc KDC) bool { return max(kdc.Skew, -kdc.Skew) > k.MaxSkew })
	switch {
	case d.setup.ConfigErr != nil:
		return &obstacle{"krb5.conf can't be used: " + short(d.setup.ConfigErr), "Correct krb5.conf, or name another one in KRB5_CONFIG."}
	case k.SPN == "":
		return &obstacle{"the proxy's URL has an IP address, for which there is no service principal",
			"Put the proxy's host name into its URL, or name its service principal with -spn."}
	case len(answering) == 0 && d.foreignKDC:
		return &obstacle{"what answers as the KDC does not speak Kerberos",
			fmt.Sprintf("Check host and port of the KDCs of %s, in krb5.conf or DNS: %s. The port is 88 as a rule.", k.Realm, kdcNames(k.KDCs))}
	case len(k.KDCs) > 0 && len(answering) == 0:
		return &obstacle{"no KDC answers", fmt.Sprintf("Check the network (VPN) to the KDCs of %s: %s. They are asked over TCP, which a firewall has to let through.", k.Realm, kdcNames(k.KDCs))}
	case wrong >= 0:
		kdc := answering[wrong]
		return &obstacle{fmt.Sprintf("the clock of the KDC %s is %s", kdc.Address, skewWords(kdc.skew())),
			"Kerberos wants clocks that are the same: set this machine's with NTP, and check the KDC's."}
	case k.SPNKnown != nil && !*k.SPNKnown:
		return &obstacle{"the KDC does not know the service " + printable(k.SPN), d.unknownServiceFix(printable(k.SPN))}
	}
	return nil
}

// unknownServiceFix says what to do about a service that the KDC does not know.
func (d *diagnosis) unknownServiceFix(spn string) string {
	if host, ok := strings.CutPrefix(d.config.SPN, "HTTP/"); d.config.SPN != "" && (!ok || host == "" || strings.Contains(host, "@")) {
		return "Check the name in -spn: the usual form is HTTP/ and the proxy's full host name, without a realm."
	}
	return "Check the proxy's name in its URL. If it is right, its service principal is to be registered, on Active Directory with setspn -S " + spn +
		" ACCOUNT; if the proxy uses another one, name it with -spn, and ask whoever wrote the program to do the same."
}

func kdcNames(kdcs []KDC) string {
	var names []string
	for _, kdc := range kdcs {
		names = append(names, kdc.Address)
	}
	return listed(names)
}

// kerberosResult returns whether there is a way to a ticket for the proxy.
func (d *diagnosis) kerberosResult() (Result, string) {
	k, read := d.report.Kerberos, d.report.Kerberos.Caches[0]
	if d.logon { // whatever krb5.conf says
		return OK, "ticket of the logon session"
	}
	d.blocked = d.obstacle()
	switch {
	case d.blocked != nil:
		return Warning, d.blocked.text
	case k.Error != "":
		return Warning, k.Error
	case read.Error == "":
		return OK, "ticket of " + read.Principal
	case k.Keytab != "":
		return OK, "a keytab is configured"
	case d.credentials != nil && len(k.KDCs) > 0:
		return OK, "no ticket; one can be had with the password"
	}
	return Warning, "no ticket"
}

func (c TicketCache) summary() string {
	switch {
	case c.Principal == "":
		return c.Error
	case c.Error != "":
		return c.Principal + ", until " + clockTime(c.Expires) + ": " + c.Error
	case c.Expires.IsZero():
		return c.Principal + ", without a ticket-granting ticket"
	}
	return c.Principal + ", until " + clockTime(c.Expires)
}

func (k KDC) summary() string {
	if !k.OK {
		return k.Address + ": " + k.Error
	}
	return k.Address + " answers; its clock is " + skewWords(k.skew())
}

func (k KDC) skew() time.Duration { return time.Duration(float64(k.Skew) * float64(time.Millisecond)) }

func (k *Kerberos) service() string {
	switch {
	case k.SPN == "":
		return "none: Kerberos needs the proxy's host name"
	case k.SPNKnown == nil && k.Error != "":
		return printable(k.SPN) + ": " + k.Error
	case k.SPNKnown == nil:
		return printable(k.SPN) + " (the KDC was not asked)"
	case *k.SPNKnown:
		return printable(k.SPN) + ", known to the KDC"
	}
	return printable(k.SPN) + ", unknown to the KDC"
}

// skewWords says how a clock differs. Less than two seconds is no difference: messages tell
// whole ones.
func skewWords(skew time.Duration) string {
	switch skew = skew.Round(time.Second); {
	case skew.Abs() < 2*time.Second:
		return "right"
	case skew > 0:
		return skew.String() + " ahead"
	}
	return (-skew).String() + " behind"
}

func clockTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// short returns the text of an error without what every error begins with, also of those inside.
func short(err error) string {
	return strings.NewReplacer("proxyauth: ", "", "negotiate: ", "").Replace(printable(err.Error()))
}

// kerberosError returns the error of Negotiate that err has.
func kerberosError(err error) (*negotiate.Error, bool) { return errors.AsType[*negotiate.Error](err) }
