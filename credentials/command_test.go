package credentials_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/credentials"
)

func TestCommandAnswers(t *testing.T) {
	const user = "http://ann@proxy.example.com:3128"
	tests := []struct {
		desc, mode, stdout, proxy string
		user, password            string
		none, failure             string
	}{
		{desc: "git", mode: "print", stdout: "username=ann\npassword=s3cret\n", user: "ann", password: "s3cret"},
		{desc: "git, CRLF", mode: "print", stdout: "username=ann\r\npassword=s3cret\r\n", user: "ann", password: "s3cret"},
		{desc: "git, byte order mark", mode: "print", stdout: "\ufeffusername=ann\r\npassword=s3cret\r\n", user: "ann", password: "s3cret"},
		{desc: "git, equals sign", mode: "print", stdout: "username=ann\npassword=a=b=\n", user: "ann", password: "a=b="},
		{desc: "git, unknown keys", mode: "print", stdout: "capability[]=authtype\nusername=ann\npassword=s3cret\nx=y\n\nignored", user: "ann", password: "s3cret"},
		{desc: "git, user of the URL", mode: "print", stdout: "password=s3cret\n", proxy: user, user: "ann", password: "s3cret"},
		{desc: "git, echoed", mode: "print", stdout: "protocol=http\nhost=proxy.example.com:3128\nusername=ann\npassword=s3cret\n", proxy: user, user: "ann", password: "s3cret"},
		{desc: "git, nothing", mode: "print", none: "no credentials for proxy.example.com:3128"},
		{desc: "git, no password", mode: "print", stdout: "username=ann\n", none: "no credentials for"},
		{desc: "git, expired", mode: "print", stdout: "username=ann\npassword=s3cret\npassword_expiry_utc=1\n", none: "have expired"},
		{desc: "git, expired long ago", mode: "print", stdout: "username=ann\npassword=s3cret\npassword_expiry_utc=-9223372036854775809\n", none: "have expired"},
		{desc: "git, last expiry", mode: "print", stdout: "username=ann\npassword=s3cret\npassword_expiry_utc=9223372036854775807\n", user: "ann", password: "s3cret"},
		{desc: "git, expiry out of range", mode: "print", stdout: "username=ann\npassword=s3cret\npassword_expiry_utc=18446744073709551616\n", user: "ann", password: "s3cret"},
		{desc: "git, no expiry", mode: "print", stdout: "username=ann\npassword=s3cret\npassword_expiry_utc=0\n", user: "ann", password: "s3cret"},
		{desc: "git, no user", mode: "print", stdout: "password=s3cret\n", failure: "a password without a user name"},
		{desc: "git, other host", mode: "print", stdout: "host=other.example.com\nusername=ann\npassword=s3cret\n", failure: "it answered for another host"},
		{desc: "git, other user", mode: "print", stdout: "username=bob\npassword=s3cret\n", proxy: user, failure: "it answered for another username"},
		{desc: "git, quit", mode: "print", stdout: "quit=1\n", failure: "it says to give up"},
		{desc: "git, malformed", mode: "print", stdout: "username=ann\ns3cret\n", failure: "line 2 of its output is not key=value"},
		{desc: "git, NUL", mode: "print", stdout: "username=ann\npassword=s3\rcret\n", failure: "line 2 of its output is not key=value"},
		{desc: "git, bad expiry", mode: "print", stdout: "username=ann\npassword=s3cret\npassword_expiry_utc=s3cret\n", failure: "password_expiry_utc is not a number"},
		{desc: "exit status", mode: "fail", stdout: "username=ann\npassword=s3cret\n", failure: "exit status 3"},
		{desc: "git, with a daemon", mode: "daemon", stdout: "username=ann\npassword=s3cret\n", user: "ann", password: "s3cret"},
		{desc: "git, cut short", mode: "daemon", stdout: "username=ann\npassword=s3c", failure: "its output ends in the middle of a line"},
		{desc: "endless", mode: "endless", failure: "it printed too much"},
		{desc: "JSON", mode: "json", stdout: `{"username": "ann", "password": "s3cret"}`, user: "ann", password: "s3cret"},
		{desc: "JSON, byte order mark", mode: "json", stdout: "\ufeff{\"username\": \"ann\", \"password\": \"s3cret\"}\r\n", user: "ann", password: "s3cret"},
		{desc: "JSON, other case and keys", mode: "json", stdout: `{"Version": 1, "Username": "ann", "Password": "s3cret", "Expires": null}`, user: "ann", password: "s3cret"},
		{desc: "JSON, environment", mode: "json-env", proxy: user, user: "ann", password: "http://proxy.example.com:3128 Basic"},
		{desc: "JSON, user of the URL", mode: "json", stdout: `{"password": "s3cret"}`, proxy: user, user: "ann", password: "s3cret"},
		{desc: "JSON, nothing", mode: "json", stdout: "\n", none: "no credentials for"},
		{desc: "JSON, empty object", mode: "json", stdout: "{}", none: "no credentials for"},
		{desc: "JSON, expired", mode: "json", stdout: `{"username": "ann", "password": "s3cret", "expires": "2001-01-01T00:00:00Z"}`, none: "have expired"},
		{desc: "JSON, no user", mode: "json", stdout: `{"password": "s3cret"}`, failure: "a password without a user name"},
		{desc: "JSON, malformed", mode: "json", stdout: "{\"username\": \"ann\",\n s3cret}", failure: "line 2 of its output is not JSON"},
		{desc: "JSON, cut off", mode: "json", stdout: `{"username": "ann`, failure: "line 1 of its output is not JSON"},
		{desc: "JSON, no string", mode: "json", stdout: `{"username": "ann", "password": 5}`, failure: `"password" in its output is not a string`},
		{desc: "JSON, no object", mode: "json", stdout: `["s3cret"]`, failure: "is not a JSON object"},
		{desc: "JSON, null", mode: "json", stdout: `null`, failure: "is not a JSON object"},
		{desc: "JSON, Latin-1", mode: "json", stdout: "{\"username\": \"ann\", \"password\": \"s3cr\xe9t\"}", failure: "is not Unicode text"},
		{desc: "JSON, half a character", mode: "json", stdout: `{"username": "ann", "password": "s3cr\ud83dt"}`, failure: "is not Unicode text"},
		{desc: "JSON, bad time", mode: "json", stdout: `{"username": "ann", "password": "s3cret", "expires": "s3cret"}`, failure: `"expires" in its output is not a time`},
	}
	for _, test := range tests {
		t.Run(test.desc, func(t *testing.T) {
			t.Parallel()
			proxy := test.proxy
			if proxy == "" {
				proxy = proxyText
			}
			command := helper(t, test.mode, "STDOUT="+test.stdout)
			c, err := command.Credentials(t.Context(), request(t, proxy))
			switch {
			case test.none != "":
				requireNone(t, err, test.none)
			case test.failure != "":
				requireFailure(t, err, test.failure)
				require.ErrorContains(t, err, "proxyauth: command "+filepath.Base(command.Args[0])+": ")
			default:
				requireCredentials(t, test.user, test.password, c, err)
				return
			}
			require.NotContains(t, err.Error(), "cret")
			require.NotContains(t, err.Error(), "ann")
		})
	}
}

func TestCommandQuestion(t *testing.T) {
	tests := []struct{ desc, proxy, want string }{
		{"plain", "http://proxy.example.com:3128", "protocol=http\nhost=proxy.example.com:3128\n\n"},
		{"default port", "http://proxy.example.com:80", "protocol=http\nhost=proxy.example.com\n\n"},
		{"TLS", "https://proxy.example.com:443", "protocol=https\nhost=proxy.example.com\n\n"},
		{"IPv6", "http://[::1]:3128", "protocol=http\nhost=[::1]:3128\n\n"},
		{"IPv6, default port", "http://[::1]:80", "protocol=http\nhost=[::1]\n\n"},
		{"user", "http://CORP%5Cann:x@proxy.example.com:3128", "protocol=http\nhost=proxy.example.com:3128\nusername=CORP\\ann\n\n"},
	}
	for _, test := range tests {
		t.Run(test.desc, func(t *testing.T) {
			t.Parallel()
			command := helper(t, "print")
			_, err := command.Credentials(t.Context(), request(t, test.proxy))
			requireNone(t, err, "no credentials for")
			require.Equal(t, "[\"an argument\" \"get\"]\n"+test.want, logged(command))
		})
	}
}

// A line break would make the helper tell the password of another host
// (CVE-2020-5260, CVE-2024-52006).
func TestCommandRefusesLineBreaks(t *testing.T) {
	for _, user := range []string{"ann%0Ahost=other.example.com", "ann%0D", "ann%00"} {
		command := helper(t, "print", "STDOUT=username=ann\npassword=s3cret\n")
		_, err := command.Credentials(t.Context(), request(t, "http://"+user+"@proxy.example.com:3128"))
		requireFailure(t, err, "username has a line break or NUL in it")
		require.NotContains(t, err.Error(), "ann")
		command.Accepted(t.Context(), request(t, proxyText), pair("ann", "s3\ncret"))
		require.Empty(t, logged(command))
	}
}

func TestCommandIsToldWhatBecameOfTheAnswer(t *testing.T) {
	const kept = "password_expiry_utc=99999999999\noauth_refresh_token=again\n"
	const stored = "protocol=http\nhost=proxy.example.com:3128\nusername=ann\npassword=s3cret\n"
	command := helper(t, "print", "STDOUT=username=ann\n"+kept+"password=s3cret\nx=y\n")
	req := request(t, proxyText)
	c, err := command.Credentials(t.Context(), req)
	requireCredentials(t, "ann", "s3cret", c, err)
	require.Equal(t, time.Unix(99999999999, 0), c.Expires)
	command.Accepted(t.Context(), req, c)
	command.Rejected(t.Context(), req, c)
	command.Accepted(t.Context(), req, pair("bob", "other"))
	require.Equal(t, "[\"an argument\" \"get\"]\nprotocol=http\nhost=proxy.example.com:3128\n\n"+
		"[\"an argument\" \"store\"]\n"+stored+kept+"\n"+
		"[\"an argument\" \"get\"]\nprotocol=http\nhost=proxy.example.com:3128\nusername=ann\n\n"+
		"[\"an argument\" \"erase\"]\n"+stored+kept+"\n"+
		"[\"an argument\" \"store\"]\nprotocol=http\nhost=proxy.example.com:3128\nusername=bob\npassword=other\n\n", logged(command))
}

func TestCommandDoesNotEraseWhatHasReplacedTheRefused(t *testing.T) {
	command := helper(t, "print", "STDOUT=username=ann\npassword=new\n")
	command.Rejected(t.Context(), request(t, proxyText), pair("ann", "old"))
	require.NotContains(t, logged(command), "erase")
	command.Rejected(t.Context(), request(t, proxyText), pair("ann", "new"))
	require.Contains(t, logged(command), "erase")
}

func TestCommandWithJSONIsNotTold(t *testing.T) {
	command := helper(t, "json", `STDOUT={"username": "ann", "password": "s3cret", "expires": "2999-01-01T00:00:00+01:00"}`)
	c, err := command.Credentials(t.Context(), request(t, proxyText))
	requireCredentials(t, "ann", "s3cret", c, err)
	require.True(t, time.Date(2998, 12, 31, 23, 0, 0, 0, time.UTC).Equal(c.Expires))
	command.Accepted(t.Context(), request(t, proxyText), c)
	command.Rejected(t.Context(), request(t, proxyText), c)
	require.Equal(t, "[\"an argument\"]\n", logged(command))
}

func TestCommandLogsStandardErrorWithoutSecrets(t *testing.T) {
	const stderr = "opening the vault\n+ echo pass s3cret\npassword: hunter2 x\n\x1b[1mtoken=hunter2\n{\"Password\": \"hunter2\"}\nAuthorization: Basic hunter2\n"
	for _, mode := range []string{"print", "fail"} {
		t.Run(mode, func(t *testing.T) {
			var log bytes.Buffer
			command := helper(t, mode, "STDOUT=username=ann\npassword=s3cret\n", "STDERR="+stderr)
			command.Logger = textLogger(&log)
			command.Credentials(t.Context(), request(t, proxyText))
			require.Contains(t, log.String(), `text="opening the vault"`)
			require.Contains(t, log.String(), `text="+ echo pass [redacted]"`)
			require.Equal(t, 6, strings.Count(log.String(), "\n"))
			require.NotContains(t, log.String(), "s3cret")
			require.NotContains(t, log.String(), "hunter2")
			require.NotContains(t, log.String(), `x1b`)
		})
	}
}

// A password is kept out of the log in whatever encoding a program prints it.
func TestCommandLogsNoEncodedPassword(t *testing.T) {
	const password = `s3cret&"<+é/😀 pass`
	wide := func(text string) (data []byte) {
		for _, unit := range utf16.Encode([]rune(text)) {
			data = binary.LittleEndian.AppendUint16(data, unit)
		}
		return data
	}
	quoted, err := json.Marshal(password)
	require.NoError(t, err)
	for desc, text := range map[string]string{
		"plain":             password,
		"URL":               "http://ann:" + url.PathEscape(password) + "@proxy.example.com",
		"user info":         url.UserPassword("ann", password).String(),
		"form":              "u=ann&p=" + url.QueryEscape(password),
		"form, lower case":  strings.ToLower(url.QueryEscape(password)),
		"every byte":        "%" + strings.ReplaceAll(fmt.Sprintf("% x", password), " ", "%"),
		"base64":            base64.StdEncoding.EncodeToString([]byte(password)),
		"base64 for URLs":   base64.RawURLEncoding.EncodeToString([]byte(password)),
		"Basic":             "Proxy-Authorizatio Basic " + base64.StdEncoding.EncodeToString([]byte("ann:"+password)),
		"within base64, 1":  base64.StdEncoding.EncodeToString([]byte("x" + password + "xxx")),
		"within base64, 2":  base64.StdEncoding.EncodeToString([]byte("xx" + password + "xxx")),
		"base64, in a URL":  url.QueryEscape(base64.StdEncoding.EncodeToString([]byte("ann:" + password))),
		"base64 of UTF-16":  base64.StdEncoding.EncodeToString(wide(password)),
		"base64 of base64":  base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(password)))),
		"hex":               hex.EncodeToString([]byte(password)),
		"hex dump":          fmt.Sprintf("% x", password),
		"hex with colons":   strings.ReplaceAll(fmt.Sprintf("% x", password), " ", ":"),
		"hex in upper case": strings.ToUpper(hex.EncodeToString([]byte(password))),
		"JSON":              `{"pw": ` + string(quoted) + `}`,
		"JSON in ASCII":     `"s3cret\u0026\"\u003c+\u00e9\/\ud83d\ude00 pass"`,
		"Go":                strconv.QuoteToASCII(password),
		"C":                 `"s3cret&\"<+\303\251/\360\237\230\200 pass"`,
		"shell":             `s3cret\&\"\<+é/😀\ pass`,
		"quoted-printable":  "s3cret&\"<+=C3=A9/=F0=9F=98=80=20pass",
		"list of numbers":   fmt.Sprint([]byte(password)),
		"list in JSON":      strings.ReplaceAll(fmt.Sprint([]byte(password)), " ", ","),
		"list in hex":       fmt.Sprintf("%#v", []byte(password)),
		"od":                "0000000 " + strings.Trim(fmt.Sprintf("%03o", []byte(password)), "[]"),
		"HTML":              "<p>" + html.EscapeString(password) + "</p>",
	} {
		t.Run(desc, func(t *testing.T) {
			var log bytes.Buffer
			command := helper(t, "print", "STDOUT=username=ann\npassword="+password+"\n", "STDERR=nothing else\n+ "+text+"\n")
			command.Logger = textLogger(&log)
			_, err := command.Credentials(t.Context(), request(t, proxyText))
			require.NoError(t, err)
			require.Contains(t, log.String(), "nothing else")
			require.Equal(t, 2, strings.Count(log.String(), "\n"))
			require.Regexp(t, `text="?(\+ )?\[redacted\]"?\n$`, log.String())
		})
	}
}

// Nor does the log have a password that is no answer, because something is wrong with the output.
func TestCommandLogsNoPasswordOutOfPlace(t *testing.T) {
	for _, tt := range []struct{ desc, mode, stdout string }{
		{"git, no field", "print", "s3cret\n"},
		{"git, byte order mark", "print", "\ufeffpassword=s3cret\n"},
		{"git, blanks", "print", "username = ann\r\npassword = s3cret\r\n"},
		{"git, URL", "print", "url=s3cret\n"},
		{"git, beginning first", "print", "password=s3c\npassword=s3cret\n"},
		{"JSON, text behind it", "json", `{"username": "ann", "password": "s3cret"} trailing`},
		{"JSON, no quotes", "json", `{"username": ann, "password": s3cret}`},
		{"JSON, no object", "json", `s3cret`},
		{"JSON, object within", "json", `{"data": {"password": "s3cret"}}`},
		{"JSON, another name", "json", `{"pw": "s3cret"}`},
		{"JSON, Latin-1", "json", "{\"password\": \"s3cret\xe9s3cret\"}"},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			var log bytes.Buffer
			command := helper(t, tt.mode, "STDOUT="+tt.stdout, "STDERR=nothing else\n+ s3cret\npassword: hunter2\ns3cret\xe9s3cret\n")
			command.Logger = textLogger(&log)
			_, err := command.Credentials(t.Context(), request(t, proxyText))
			require.Error(t, err)
			require.Equal(t, 4, strings.Count(log.String(), "\n"))
			require.Contains(t, log.String(), "nothing else")
			require.NotContains(t, log.String(), "s3cret")
			require.NotContains(t, log.String(), "]ret")
			require.NotContains(t, log.String(), "hunter2")
		})
	}
}

// Where there are too many possible passwords to look for, no line is shown.
func TestCommandLogsNothingAmongManyPasswords(t *testing.T) {
	var output strings.Builder
	for n := range 1000 {
		fmt.Fprintf(&output, "password=%d\n", n)
	}
	var log bytes.Buffer
	command := helper(t, "print", "STDOUT=username=ann\n"+output.String(), "STDERR="+strings.Repeat("a line\n", 20))
	command.Logger = textLogger(&log)
	c, err := command.Credentials(t.Context(), request(t, proxyText))
	requireCredentials(t, "ann", "999", c, err)
	require.Equal(t, 20, strings.Count(log.String(), "text=[redacted]\n"))
}

// A cancelHandler ends a context when it is given a record.
type cancelHandler struct {
	slog.Handler
	cancel func()
}

func (h cancelHandler) Handle(context.Context, slog.Record) error {
	h.cancel()
	return nil
}

func TestCommandHasAnsweredBeforeItsLogIsWritten(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	command := helper(t, "print", "STDOUT=username=ann\npassword=s3cret\n", "STDERR=a line\n")
	command.Logger = slog.New(cancelHandler{textLogger(io.Discard).Handler(), cancel})
	c, err := command.Credentials(ctx, request(t, proxyText))
	requireCredentials(t, "ann", "s3cret", c, err)
	require.Error(t, ctx.Err())
}

func TestCommandLogsNoHalfPassword(t *testing.T) {
	var log bytes.Buffer
	line := "a line of text\n"
	stderr := strings.Repeat(line, 8192/len(line)) + "s3cret-s3cret"
	command := helper(t, "print", "STDOUT=username=ann\npassword=s3cret-s3cret\n", "STDERR="+stderr)
	command.Logger = textLogger(&log)
	_, err := command.Credentials(t.Context(), request(t, proxyText))
	require.NoError(t, err)
	require.Contains(t, log.String(), "a line of text")
	require.NotContains(t, log.String(), "s3c")
}

func TestCommandLogsSoMuchOfStandardError(t *testing.T) {
	tests := []struct {
		desc         string
		lines, bytes int
		want         int
	}{
		{desc: "less", lines: 8192/16 - 1, bytes: 16, want: 8192/16 - 1},
		{desc: "more", lines: 4 * 8192 / 16, bytes: 16, want: 8192 / 16},
		{desc: "cut within a line", lines: 100, bytes: 1000, want: 8},
		{desc: "one long line", lines: 1, bytes: 100_000},
	}
	for _, test := range tests {
		t.Run(test.desc, func(t *testing.T) {
			var log bytes.Buffer
			line := strings.Repeat("x", test.bytes-1) + "\n"
			command := helper(t, "print", "STDERR="+strings.Repeat(line, test.lines))
			command.Logger = textLogger(&log)
			_, err := command.Credentials(t.Context(), request(t, proxyText))
			requireNone(t, err, "no credentials for")
			require.Equal(t, test.want, strings.Count(log.String(), "\n"))
			require.Equal(t, test.want, strings.Count(log.String(), "text="+line))
		})
	}
}

func TestCommandLogsFailureOfStore(t *testing.T) {
	var log bytes.Buffer
	command := helper(t, "fail", "STDERR=can't keep s3cret")
	command.Logger = textLogger(&log)
	command.Accepted(t.Context(), request(t, proxyText), pair("ann", "s3cret"))
	require.Contains(t, log.String(), "level=WARN")
	require.Contains(t, log.String(), "action=store")
	require.Contains(t, log.String(), "exit status 3")
	require.NotContains(t, log.String(), "s3cret")
}

func TestCommandEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	command := helper(t, "hang")
	done := make(chan error)
	go func() {
		_, err := command.Credentials(ctx, request(t, proxyText))
		done <- err
	}()
	require.Eventually(t, func() bool { return strings.Contains(logged(command), "hanging") }, 30*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)

	_, err := command.Credentials(ctx, request(t, proxyText))
	require.ErrorIs(t, err, context.Canceled)
}

func TestCommandTimeout(t *testing.T) {
	command := helper(t, "hang")
	command.Timeout = time.Millisecond
	_, err := command.Credentials(t.Context(), request(t, proxyText))
	requireFailure(t, err, "it took too long")
}

func TestCommandNotThere(t *testing.T) {
	_, err := (&credentials.Command{Args: []string{"no-such-helper", "s3cret"}}).Credentials(t.Context(), request(t, proxyText))
	requireFailure(t, err, "proxyauth: command no-such-helper: exec: ")
	require.NotContains(t, err.Error(), "s3cret")
	_, err = (&credentials.Command{}).Credentials(t.Context(), request(t, proxyText))
	requireFailure(t, err, "no Args are given")
}

func TestCommandHasNoShell(t *testing.T) {
	command := helper(t, "print")
	command.Args = append(command.Args, "$(touch x); `id` | *")
	command.Credentials(t.Context(), request(t, proxyText))
	require.Contains(t, logged(command), "[\"an argument\" \"$(touch x); `id` | *\" \"get\"]")
}

func TestCommandName(t *testing.T) {
	for want, args := range map[string][]string{
		"command":                      nil,
		"command pass":                 {"/usr/bin/pass", "show", "proxy"},
		"command git credential-store": {"git", "credential-store", "--file", "x"},
		"command git":                  {"git", "s3cret"},
	} {
		require.Equal(t, want, (&credentials.Command{Args: args}).String())
	}
}
