package testproxy

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
)

// MaxParams is exported for tests.
const MaxParams = maxParams

// A DigestAttempt is what a client proves.
type DigestAttempt struct {
	Algorithm, Username, Realm, Password, Nonce, CNonce, URI, QOP, NC, Method, Body string
}

func (a DigestAttempt) internal() *digestAttempt {
	return &digestAttempt{
		algorithm: a.Algorithm, username: a.Username, realm: a.Realm, password: a.Password,
		nonce: a.Nonce, cnonce: a.CNonce, uri: a.URI, qop: a.QOP, ncText: a.NC, body: []byte(a.Body),
	}
}

// Response returns the response, and that of the answer.
func (a DigestAttempt) Response() (request, answer string) {
	return a.internal().compute(a.Method), a.internal().compute("")
}

// UserHash returns the hash of the user name.
func (a DigestAttempt) UserHash() string { return digestHash(a.Algorithm, a.Username, a.Realm) }

// Line returns the header line.
func (a DigestAttempt) Line(more string) string {
	response, _ := a.Response()
	line := fmt.Sprintf("Proxy-Authorization: Digest username=%s, realm=%s, nonce=%s, uri=%s, response=%s",
		quote(a.Username), quote(a.Realm), quote(a.Nonce), quote(a.URI), quote(response))
	if a.Algorithm != "" {
		line += ", algorithm=" + a.Algorithm
	}
	if a.QOP != "" {
		line += ", qop=" + a.QOP + ", nc=" + a.NC + ", cnonce=" + quote(a.CNonce)
	}
	return line + more + "\r\n"
}

// ParseParams parses auth-params.
func ParseParams(s string) (map[string]string, error) {
	params, err := parseParams(s)
	values := make(map[string]string)
	for name, p := range params {
		values[name] = p.value
	}
	return values, err
}

// ReadRequest reads and parses a request's head, and its body.
func ReadRequest(s string) (*http.Request, int, error) {
	r := bufio.NewReader(strings.NewReader(s))
	head, err := readHead(r)
	if err != nil {
		return nil, 0, err
	}
	req, err := parseHead(head)
	if err != nil {
		return nil, 0, err
	}
	read := 0
	body := newRequestBody(req, r, func(n int) { read += n })
	body.drain(1 << 20)
	return req, read, nil
}
