package credentials

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-proxyauth/proxyauth"
)

type jsonAnswer struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Expires  string `json:"expires"`
}

// jsonEnvironment returns the variables that tell a program what it is asked
// for. The realm is not among them: it is the peer's text.
func jsonEnvironment(req *proxyauth.CredentialsRequest) []string {
	user := ""
	if req.UserInfo != nil {
		user = req.UserInfo.Username
	}
	return []string{
		"PROXYAUTH_PROXY=" + req.Proxy.String(),
		"PROXYAUTH_USERNAME=" + user,
		"PROXYAUTH_SCHEME=" + req.Scheme,
	}
}

// parseJSONAnswer reads what a program has printed. The decoder's errors are not
// handed on, as they quote the input.
func parseJSONAnswer(output []byte, req *proxyauth.CredentialsRequest) (*answer, error) {
	if len(bytes.TrimSpace(output)) == 0 {
		return &answer{}, nil
	}
	var decoded *jsonAnswer
	if err := json.Unmarshal(output, &decoded); err != nil {
		return nil, explainJSON(output, err)
	}
	if decoded == nil {
		return nil, errors.New("its output is not a JSON object")
	}
	// The decoder's mark for bytes that are not UTF-8. With it, the password is a wrong one.
	if strings.ContainsRune(decoded.Username+decoded.Password, utf8.RuneError) {
		return nil, errors.New("its output is not Unicode text")
	}
	a := &answer{}
	if decoded.Expires != "" {
		var err error
		if a.credentials.Expires, err = time.Parse(time.RFC3339, decoded.Expires); err != nil {
			return nil, errors.New(`"expires" in its output is not a time as in RFC 3339`)
		}
	}
	return a, a.complete(decoded.Username, decoded.Password, req)
}

func explainJSON(output []byte, err error) error {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		line := 1 + bytes.Count(output[:min(int(e.Offset), len(output))], []byte("\n"))
		return fmt.Errorf("line %d of its output is not JSON", line)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
		return fmt.Errorf("%q in its output is not a string", e.Field)
	}
	return errors.New("its output is not a JSON object")
}

// secretsInJSON finds the password in output. Where it is not in its place, each word may
// be one.
func secretsInJSON(output []byte) []string {
	var decoded jsonAnswer
	json.Unmarshal(output, &decoded)
	if decoded.Password != "" {
		return strings.FieldsFunc(decoded.Password, func(r rune) bool { return r == utf8.RuneError })
	}
	words := strings.FieldsFunc(string(output), func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(`"':,{}[]`, r)
	})
	return slices.DeleteFunc(words, func(word string) bool {
		return slices.Contains([]string{"username", "password", "expires"}, strings.ToLower(word))
	})
}
