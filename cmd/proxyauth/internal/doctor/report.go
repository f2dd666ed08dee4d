package doctor

import "time"

// Version is that of the JSON form of a [Report]. Fields may be added to it; none is
// renamed, removed or given another meaning without a new version.
const Version = 1

// A Report is what was found out. It has no secret in it. Text that comes from the proxy is
// made printable.
type Report struct {
	Version     int          `json:"version"`
	URL         string       `json:"url"` // without user info and query
	Verdict     Verdict      `json:"verdict"`
	Steps       []Step       `json:"steps"`
	Proxy       *Proxy       `json:"proxy,omitempty"`
	Addresses   []Address    `json:"addresses,omitempty"`
	TLS         *TLS         `json:"tls,omitempty"`
	Offers      []Offer      `json:"offers,omitempty"`
	Schemes     *Schemes     `json:"schemes,omitempty"`
	Credentials []Source     `json:"credentials,omitempty"`
	Kerberos    *Kerberos    `json:"kerberos,omitempty"`
	Attempts    []Attempt    `json:"attempts,omitempty"`
	Target      *TargetState `json:"target,omitempty"`
}

// A Verdict is what came of it all.
type Verdict struct {
	OK    bool   `json:"ok"`
	Cause string `json:"cause"` // a proxyauth.Cause, or one of this package's
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"`
}

// The causes besides those of package proxyauth.
const (
	causeWorks        = "works"
	causeNoProxy      = "no_proxy"            // none is used, and the target does not answer
	causeUnauthorized = "target_unauthorized" // 401 of the target
	causeForbidden    = "target_forbidden"    // 403 of the target
	causeTarget       = "target_failed"       // any other error of the target
	causeCertificate  = "target_certificate"  // the target's certificate is not trusted
	causePortal       = "captive_portal"      // a web page wants a sign-in first
	causeCancelled    = "cancelled"
)

// A Result is what came of a step.
type Result string

// The results.
const (
	OK      Result = "ok"
	Warning Result = "warning"
	Failed  Result = "failed"
	Skipped Result = "skipped"
)

// A Step is one thing that was looked at.
type Step struct {
	Name    string   `json:"name"`
	Result  Result   `json:"result"`
	Text    string   `json:"text"`
	Details []string `json:"details,omitempty"`
	Headers []string `json:"headers,omitempty"` // if asked for
}

// A Proxy says which proxy the URL takes.
type Proxy struct {
	URL    string `json:"url,omitempty"`    // without user info, empty for none
	Source string `json:"source,omitempty"` // "-proxy", or the name of a variable
	Reason string `json:"reason,omitempty"` // why there is none
}

// An Address is one that the proxy's name resolves to.
type Address struct {
	Address string `json:"address"` // with the port
	OK      bool   `json:"ok"`
	Millis  Millis `json:"ms"`
	Error   string `json:"error,omitempty"`
}

// TLS says whether the proxy speaks TLS.
type TLS struct {
	Wanted  bool      `json:"wanted"` // by the proxy's URL
	Spoken  bool      `json:"spoken"`
	Version string    `json:"version,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Issuer  string    `json:"issuer,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
	Error   string    `json:"error,omitempty"`
}

// An Offer is the answer to a request without authorization.
type Offer struct {
	Op         string   `json:"op"` // "GET" or "CONNECT"
	Target     string   `json:"target"`
	Status     int      `json:"status,omitempty"`
	Schemes    []string `json:"schemes,omitempty"`
	Challenges []string `json:"challenges,omitempty"` // the lines as they came
	Malformed  string   `json:"malformed,omitempty"`
	Server     string   `json:"server,omitempty"`
	Millis     Millis   `json:"ms"`
	Error      string   `json:"error,omitempty"`
}

// Schemes are auth-schemes.
type Schemes struct {
	Enabled []string `json:"enabled,omitempty"`
	Offered []string `json:"offered,omitempty"`
	Common  []string `json:"common,omitempty"` // the strongest first
}

// A Source is one of the places where credentials were looked for.
type Source struct {
	Name  string `json:"name"`
	Found bool   `json:"found"`
	User  string `json:"user,omitempty"`
	Text  string `json:"text,omitempty"` // why there are none
}

// Kerberos says what there is for Negotiate.
type Kerberos struct {
	Engine      string        `json:"engine,omitempty"` // who is logged in, and what the system offers
	ConfigFiles []string      `json:"config_files,omitempty"`
	Realm       string        `json:"realm,omitempty"`
	Caches      []TicketCache `json:"caches,omitempty"` // the one that is read first
	Keytab      string        `json:"keytab,omitempty"`
	KDCs        []KDC         `json:"kdcs,omitempty"`
	MaxSkew     Millis        `json:"max_skew_ms,omitempty"`
	ProxySkew   *Millis       `json:"proxy_skew_ms,omitempty"` // of the proxy's Date, in whole seconds
	SPN         string        `json:"spn,omitempty"`
	SPNKnown    *bool         `json:"spn_known,omitempty"` // nil if the KDC was not asked
	Error       string        `json:"error,omitempty"`
}

// A TicketCache is one that was seen.
type TicketCache struct {
	Name      string    `json:"name"`
	From      string    `json:"from,omitempty"` // what names it, if it is the one that is read
	Principal string    `json:"principal,omitempty"`
	Expires   time.Time `json:"expires,omitzero"` // of the ticket-granting ticket
	Tickets   []Ticket  `json:"tickets,omitempty"`
	Error     string    `json:"error,omitempty"` // why it is of no use
}

// A Ticket is one in a cache.
type Ticket struct {
	Service string    `json:"service"`
	Start   time.Time `json:"start"`
	End     time.Time `json:"end"`
}

// A KDC is one of the user's realm.
type KDC struct {
	Address string `json:"address"`
	OK      bool   `json:"ok"`
	Skew    Millis `json:"skew_ms"` // by which its clock is ahead
	Error   string `json:"error,omitempty"`
}

// An Attempt is a request that the library has made.
type Attempt struct {
	Schemes []string `json:"schemes"` // enabled for it
	OK      bool     `json:"ok"`      // let through by the proxy
	Scheme  string   `json:"scheme,omitempty"`
	Legs    []Leg    `json:"legs,omitempty"`
	Status  int      `json:"status,omitempty"`
	Cause   string   `json:"cause,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// A Leg is a request to the proxy and its answer.
type Leg struct {
	Op     string `json:"op"`
	Scheme string `json:"scheme,omitempty"` // of its authorization
	Reused bool   `json:"reused"`           // the connection
	Status int    `json:"status,omitempty"`
	Millis Millis `json:"ms"`
	Error  string `json:"error,omitempty"`
}

// A TargetState says whether the target answers.
type TargetState struct {
	ThroughProxy *TargetAnswer `json:"through_proxy,omitempty"`
	Direct       *TargetAnswer `json:"direct,omitempty"`
}

// A TargetAnswer is the answer of a target.
type TargetAnswer struct {
	Status int    `json:"status,omitempty"`
	Millis Millis `json:"ms"`
	Error  string `json:"error,omitempty"`
}

// Millis is a time in milliseconds.
type Millis float64

// millis returns d, rounded to microseconds.
func millis(d time.Duration) Millis {
	return Millis(float64(d.Round(time.Microsecond)) / float64(time.Millisecond))
}

// String returns the time as people write it.
func (m Millis) String() string {
	d := time.Duration(float64(m) * float64(time.Millisecond))
	switch {
	case d.Abs() < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d.Abs() < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
