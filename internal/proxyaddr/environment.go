package proxyaddr

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// WhyNone returns why [net/http.ProxyFromEnvironment] gives no proxy for a URL with the
// scheme, as far as can be told. It names variables, and never their values.
func WhyNone(scheme string) string {
	name, value := variable(scheme)
	switch {
	case name == "HTTP_PROXY" && os.Getenv("REQUEST_METHOD") != "":
		return "HTTP_PROXY is not read in a CGI program (REQUEST_METHOD is set)"
	case value == "":
		return name + " is not set"
	case !isReadable(value):
		return name + " is set to what is no URL, and ignored: percent-encode user name and password"
	}
	return "NO_PROXY names the host, or it is this machine"
}

// CheckEnvironment returns an error for a variable that net/http ignores since it can't be
// parsed.
func CheckEnvironment() error {
	for _, scheme := range []string{"http", "https"} {
		if name, value := variable(scheme); value != "" && !isReadable(value) {
			return fmt.Errorf("proxyauth: %s is set to what is no URL; percent-encode user name and password", name)
		}
	}
	return nil
}

// Variable returns the name of the environment variable that gives net/http the proxy of
// URLs with the scheme.
func Variable(scheme string) string {
	name, _ := variable(scheme)
	if lower := strings.ToLower(name); os.Getenv(name) == "" && os.Getenv(lower) != "" {
		return lower
	}
	return name
}

// variable returns the environment variable for URLs with the scheme, and its value.
func variable(scheme string) (name, value string) {
	name = strings.ToUpper(scheme) + "_PROXY"
	return name, cmp.Or(os.Getenv(name), os.Getenv(strings.ToLower(name)))
}

// isReadable reports whether net/http can parse the value of a proxy's variable.
func isReadable(value string) bool {
	if u, err := url.Parse(value); err == nil && u.Scheme != "" && u.Host != "" {
		return true
	}
	_, err := url.Parse("http://" + value)
	return err == nil
}
