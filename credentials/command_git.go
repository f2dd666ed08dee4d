package credentials

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-proxyauth/proxyauth"
)

// A field is one line of git's protocol: key=value.
type field struct {
	key, value string
}

func encodeFields(fields []field) []byte {
	var b bytes.Buffer
	for _, f := range fields {
		fmt.Fprintf(&b, "%s=%s\n", f.key, f.value)
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// gitQuestion returns what describes the credentials asked for.
func gitQuestion(req *proxyauth.CredentialsRequest) ([]field, error) {
	fields := []field{{"protocol", req.Proxy.Scheme}, {"host", gitHost(req.Proxy)}}
	if req.UserInfo != nil && req.UserInfo.Username != "" {
		fields = append(fields, field{"username", req.UserInfo.Username})
	}
	return fields, checkFields(fields)
}

// gitReport returns what stores or erases c.
func gitReport(req *proxyauth.CredentialsRequest, c proxyauth.Credentials, extra []field) ([]byte, error) {
	fields := append([]field{
		{"protocol", req.Proxy.Scheme},
		{"host", gitHost(req.Proxy)},
		{"username", c.Username},
		{"password", c.Password.Reveal()},
	}, extra...)
	return encodeFields(fields), checkFields(fields)
}

// gitHost leaves the protocol's own port out, as people do in URLs, since helpers
// compare texts.
func gitHost(proxy *url.URL) string {
	port := proxy.Port()
	if port != map[string]string{"http": "80", "https": "443"}[proxy.Scheme] {
		return proxy.Host
	}
	if host := proxy.Hostname(); !strings.Contains(host, ":") {
		return host
	}
	return strings.TrimSuffix(proxy.Host, net.JoinHostPort("", port))
}

// checkFields refuses what would be read as another line: with it, the helper
// could be made to tell the password of another host (CVE-2020-5260,
// CVE-2024-52006).
func checkFields(fields []field) error {
	for _, f := range fields {
		if strings.ContainsAny(f.value, "\r\n\x00") {
			return fmt.Errorf("%s has a line break or NUL in it", f.key)
		}
	}
	return nil
}

// keptFields are not for us, but the helper wants them back with store.
var keptFields = map[string]bool{"password_expiry_utc": true, "oauth_refresh_token": true}

// parseGitAnswer reads what a helper has printed.
func parseGitAnswer(output []byte, question []field, req *proxyauth.CredentialsRequest) (*answer, error) {
	values, extra, err := parseFields(output)
	if err != nil {
		return nil, err
	}
	if isTrue(values["quit"]) {
		return nil, errors.New("it says to give up")
	}
	for _, f := range question {
		if value, found := values[f.key]; found && value != f.value {
			return nil, fmt.Errorf("it answered for another %s", f.key)
		}
	}
	a := &answer{extra: extra}
	if a.credentials.Expires, err = parseExpiry(values["password_expiry_utc"]); err != nil {
		return nil, err
	}
	return a, a.complete(values["username"], values["password"], req)
}

func parseFields(output []byte) (values map[string]string, extra []field, err error) {
	values = make(map[string]string)
	line := 0
	for text := range strings.SplitSeq(string(output), "\n") {
		line++
		text = strings.TrimSuffix(text, "\r")
		if text == "" {
			// An empty line ends the answer.
			break
		}
		key, value, found := strings.Cut(text, "=")
		if !found || strings.ContainsAny(value, "\r\x00") {
			return nil, nil, fmt.Errorf("line %d of its output is not key=value", line)
		}
		values[key] = value
		if keptFields[key] {
			extra = append(extra, field{key, value})
		}
	}
	return values, extra, nil
}

func isTrue(text string) bool { return text == "1" || text == "true" }

// maxExpiry is the last second of the year 9999. Helpers write later ones, up to the end
// of their integers, for a password that does not expire.
const maxExpiry = 253402300799

// parseExpiry takes a time as git does: 0 is none, as is one that is too far away.
func parseExpiry(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return time.Time{}, errors.New("its password_expiry_utc is not a number")
	case seconds == 0, seconds > maxExpiry:
		return time.Time{}, nil
	}
	return time.Unix(max(seconds, 1), 0), nil
}

// plainFields have no secret.
var plainFields = map[string]bool{
	"protocol": true, "host": true, "path": true, "username": true, "password_expiry_utc": true, "authtype": true,
	"capability[]": true, "wwwauth[]": true, "ephemeral": true, "continue": true, "quit": true,
}

// secretsInFields finds the secrets in output, whatever else is wrong with it. A line that
// is no field may be one.
func secretsInFields(output []byte) (secrets []string) {
	for line := range strings.SplitSeq(string(output), "\n") {
		line = strings.TrimSpace(line)
		key, value, found := strings.Cut(line, "=")
		if !found {
			value = line
		}
		if value = strings.TrimSpace(value); value != "" && !(found && plainFields[key]) {
			secrets = append(secrets, value)
		}
	}
	return secrets
}
