package interop_test

import (
	"testing"

	"github.com/go-proxyauth/proxyauth/internal/interop"
)

// ann is known to every proxy, utf8 to all but tinyproxy, whose configuration
// can't express it. With wrong, ann mistypes her password.
var (
	ann   = interop.Account{Username: "ann", Password: "s3cret"}
	utf8  = interop.Account{Username: "änn", Password: "pä:ss wörd €"}
	wrong = interop.Account{Username: ann.Username, Password: "guess"}
)

// longNonce is a lifetime in seconds that no test outlives.
const longNonce = 3600

type starter interface {
	Start(testing.TB) *interop.Proxy
}

// proxies are the ones that every test of a whole exchange runs against.
var proxies = []struct {
	desc  string
	proxy starter

	// offers is the number of challenges in a 407.
	offers     int
	takesBasic bool
	takesUTF8  bool

	// logsLegs says whether Proxy.Legs works.
	logsLegs bool

	// refusesWith is the status of its answer to a wrong password.
	refusesWith int
}{
	{
		desc:        "squid Basic",
		proxy:       interop.Squid{Auth: []interop.SquidAuth{interop.SquidBasic(ann, utf8)}},
		offers:      1,
		takesBasic:  true,
		takesUTF8:   true,
		logsLegs:    true,
		refusesWith: 407,
	},
	{
		desc:        "squid Digest",
		proxy:       interop.Squid{Auth: []interop.SquidAuth{interop.SquidDigest(0, ann, utf8)}},
		offers:      1,
		takesUTF8:   true,
		logsLegs:    true,
		refusesWith: 407,
	},
	{
		desc: "squid Basic and Digest with TLS",
		proxy: interop.Squid{
			Auth: []interop.SquidAuth{interop.SquidBasic(ann, utf8), interop.SquidDigest(0, ann, utf8)},
			TLS:  true,
		},
		offers:      2,
		takesBasic:  true,
		takesUTF8:   true,
		logsLegs:    true,
		refusesWith: 407,
	},
	{
		desc:        "Apache Basic with TLS",
		proxy:       interop.Apache{Auth: interop.ApacheBasic(ann, utf8), TLS: true},
		offers:      1,
		takesBasic:  true,
		takesUTF8:   true,
		logsLegs:    true,
		refusesWith: 407,
	},
	{
		desc:        "Apache Digest with TLS",
		proxy:       interop.Apache{Auth: interop.ApacheDigest(longNonce, ann, utf8), TLS: true},
		offers:      1,
		takesUTF8:   true,
		logsLegs:    true,
		refusesWith: 407,
	},
	{
		desc:        "tinyproxy Basic",
		proxy:       interop.Tinyproxy{Accounts: []interop.Account{ann}},
		offers:      1,
		takesBasic:  true,
		refusesWith: 401,
	},
}
