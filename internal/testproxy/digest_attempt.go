package testproxy

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A digestAttempt is a Proxy-Authorization of Digest.
type digestAttempt struct {
	algorithm string
	username  string // not its hash
	realm     string
	password  string // once it is looked up
	nonce     string
	cnonce    string
	uri       string
	qop       string
	nc        uint32
	ncText    string
	method    string
	body      []byte // for auth-int
	response  string
}

// quotedParams and bareParams hold how RFC 7616, Section 3.4 wants the
// parameters to be sent.
var (
	quotedParams = []string{"username", "realm", "nonce", "uri", "response", "cnonce", "opaque"}
	bareParams   = []string{"algorithm", "qop", "nc", "userhash", "username*"}
)

// attempt parses what r proves. The problem, if there is one, is a violation of
// the client's.
func (d *Digest) attempt(r *Request) (a *digestAttempt, problem string) {
	params, err := parseParams(r.Credentials)
	if err != nil {
		return nil, err.Error()
	}
	a = &digestAttempt{
		realm: params["realm"].value, nonce: params["nonce"].value, cnonce: params["cnonce"].value,
		uri: params["uri"].value, qop: params["qop"].value, ncText: params["nc"].value,
		response: params["response"].value, method: r.Method,
	}
	for _, check := range []func(map[string]param, *digestAttempt) string{
		checkQuotes, d.checkEcho, d.checkAlgorithm, d.checkQOP, d.checkUser,
	} {
		if problem := check(params, a); problem != "" {
			return nil, problem
		}
	}
	if a.qop == "auth-int" {
		if a.body, err = r.Body(); err != nil {
			return nil, "body was cut off"
		}
	}
	return a, ""
}

func checkQuotes(params map[string]param, _ *digestAttempt) string {
	for _, name := range quotedParams {
		if p, ok := params[name]; ok && !p.quoted {
			return name + " is not quoted"
		}
	}
	for _, name := range bareParams {
		if params[name].quoted {
			return name + " is quoted"
		}
	}
	return ""
}

// checkEcho checks what has to come back as it was sent.
func (d *Digest) checkEcho(params map[string]param, a *digestAttempt) string {
	switch {
	case a.realm != d.Realm:
		return "realm is not the proxy's"
	case params["opaque"].value != d.Opaque:
		return "opaque is not the proxy's"
	case a.nonce == "":
		return "no nonce"
	}
	return ""
}

func (d *Digest) checkAlgorithm(params map[string]param, a *digestAttempt) string {
	p, given := params["algorithm"]
	if !given && !d.NoAlgorithm {
		return "no algorithm"
	}
	if !given {
		a.algorithm = d.algorithms()[0]
		return ""
	}
	for _, offered := range d.algorithms() {
		if strings.EqualFold(offered, p.value) {
			a.algorithm = offered
			return ""
		}
	}
	return "algorithm was not offered"
}

func (d *Digest) checkQOP(params map[string]param, a *digestAttempt) string {
	if a.qop == "" {
		return d.checkNoQOP(params)
	}
	offered := strings.FieldsFunc(d.qop(), func(r rune) bool { return r == ',' || r == ' ' })
	nc, err := strconv.ParseUint(a.ncText, 16, 32)
	switch {
	case !slices.Contains(offered, a.qop) || a.qop != "auth" && a.qop != "auth-int":
		return "qop was not offered"
	case a.cnonce == "":
		return "no cnonce"
	case len(a.ncText) != 8 || err != nil || nc == 0:
		return "malformed nc"
	}
	a.nc = uint32(nc)
	return ""
}

func (d *Digest) checkNoQOP(params map[string]param) string {
	switch {
	case d.qop() != "":
		return "no qop"
	case params["nc"].value != "":
		return "nc without qop"
	}
	return ""
}

// checkUser finds out which user is meant.
func (d *Digest) checkUser(params map[string]param, a *digestAttempt) string {
	plain, isPlain := params["username"]
	extended, isExtended := params["username*"]
	hashed := strings.EqualFold(params["userhash"].value, "true")
	switch {
	case isPlain == isExtended:
		return "neither or both of username and username*"
	case hashed && (!d.Userhash || isExtended):
		return "userhash was not offered, or is not one"
	case isExtended && !d.Charset:
		return "username* although no charset was offered"
	case isExtended:
		return a.decodeUser(extended.value)
	case hashed:
		a.username = d.unhash(a.algorithm, plain.value)
	default:
		a.username = plain.value
	}
	return ""
}

// decodeUser decodes an extended value (RFC 8187, Section 3.2).
func (a *digestAttempt) decodeUser(value string) string {
	text, ok := cutPrefixFold(value, "UTF-8''")
	name, err := url.PathUnescape(text)
	if !ok || err != nil || !utf8.ValidString(name) {
		return "malformed username*"
	}
	a.username = name
	return ""
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// unhash returns the user whose hash it is, or the hash if there is none.
func (d *Digest) unhash(algorithm, hash string) string {
	for _, user := range d.Accounts.Users() {
		if hash == digestHash(algorithm, user, d.Realm) {
			return user
		}
	}
	return hash
}
