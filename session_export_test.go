package proxyauth

const (
	MaxProxies    = maxProxies
	MaxRejections = maxRejections
	MaxRefused    = maxRefused
	MaxAnswers    = maxAnswers
	MaxLegs       = maxLegs
	MaxBroken     = maxBroken
	Patience      = patience
	LostPause     = lostPause
	LeftPause     = leftPause
	MaxPause      = maxPause
	MaxWait       = maxWait
	TokenLife     = tokenLife
	MaxRedials    = maxRedials
	MaxChallenges = maxChallenges
	MaxParams     = maxParams
	MaxHead       = maxHead
	MaxDrained    = maxDrained
	DrainPatience = drainPatience
)

// ErrSilence is why credentials are not sent for a while.
var ErrSilence = errSilence

// Rejections is the memory of refused credentials.
type Rejections struct{ rejections }

// Refuse remembers c as refused by the proxy, and reports whether that is news.
func (r *Rejections) Refuse(proxy string, c Credentials) bool { return r.add(r.fingerprint(proxy, c)) }

// Refused reports whether the proxy is known to have refused c.
func (r *Rejections) Refused(proxy string, c Credentials) bool {
	return r.has(r.fingerprint(proxy, c))
}

// Fingerprint returns what the memory keeps of c.
func (r *Rejections) Fingerprint(proxy string, c Credentials) [32]byte {
	return r.fingerprint(proxy, c)
}

// Clear is what Reset does to the memory.
func (r *Rejections) Clear() { r.clear() }

// Len returns how many refused credentials are remembered, in the two places.
func (r *Rejections) Len() (known, order int) { return len(r.known), len(r.order) }

// Known returns how many proxies t knows.
func (t *Transport) Known() int {
	proxies := &t.state().proxies
	proxies.mu.Lock()
	defer proxies.mu.Unlock()
	return proxies.order.Len()
}

// Explained returns how many responses are kept an explanation for.
func Explained() (n int) {
	explained.Range(func(any, any) bool { n++; return true })
	return n
}
