package netrc_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/credentials/internal/netrc"
)

func TestParse(t *testing.T) {
	ann := netrc.Entry{Machine: "proxy.example.com", Login: new("ann"), Password: new("s3cret")}
	tests := []struct {
		desc, data string
		want       []netrc.Entry
	}{
		{"empty", "", nil},
		{"blanks", " \t\r\n\n", nil},
		{"one line", "machine proxy.example.com login ann password s3cret", []netrc.Entry{ann}},
		{"many lines", "machine\nproxy.example.com\n\tlogin ann\r\n\tpassword\ts3cret\r\n", []netrc.Entry{ann}},
		{"byte order mark", "\ufeffmachine proxy.example.com login ann password s3cret", []netrc.Entry{ann}},
		{"other order", "machine proxy.example.com password s3cret login ann", []netrc.Entry{ann}},
		{"user for login", "machine proxy.example.com user ann password s3cret", []netrc.Entry{ann}},
		{"account", "machine proxy.example.com login ann account x password s3cret", []netrc.Entry{ann}},
		{"comments", "# a\n  #b\nmachine proxy.example.com # login bob\nlogin ann password s3cret # end", []netrc.Entry{ann}},
		{"value with #", "machine m login a#b password #s3cret", []netrc.Entry{{Machine: "m", Login: new("a#b"), Password: new("#s3cret")}}},
		{"keyword as value", "machine machine login login password password", []netrc.Entry{{Machine: "machine", Login: new("login"), Password: new("password")}}},
		{"quotes", `machine "proxy.example.com" login "ann" password "s3cret"`, []netrc.Entry{ann}},
		{"quoted blanks", `machine m login "ann a" password " # "`, []netrc.Entry{{Machine: "m", Login: new("ann a"), Password: new(" # ")}}},
		{"escapes", `machine m login "CORP\\ann" password "a\"b\c"`, []netrc.Entry{{Machine: "m", Login: new(`CORP\ann`), Password: new(`a"bc`)}}},
		{"backslash without quotes", `machine m login CORP\ann password a"b`, []netrc.Entry{{Machine: "m", Login: new(`CORP\ann`), Password: new(`a"b`)}}},
		{"UTF-8", "machine m login jörg password £€", []netrc.Entry{{Machine: "m", Login: new("jörg"), Password: new("£€")}}},
		{"port and protocol", "machine m port 21 protocol ftp", []netrc.Entry{{Machine: "m", Ports: []string{"21", "ftp"}}}},
		{"default", "default login ann password s3cret", []netrc.Entry{{Default: true, Login: ann.Login, Password: ann.Password}}},
		{
			"macro", "machine a login x password y\nmacdef init\nmachine m login z\n password w\n\nmachine proxy.example.com login ann password s3cret",
			[]netrc.Entry{{Machine: "a", Login: new("x"), Password: new("y")}, ann},
		},
		{"macro that ends with CRLF", "macdef init\r\nmachine m\r\n\r\nmachine proxy.example.com login ann password s3cret", []netrc.Entry{ann}},
		{"macro to the end", "machine proxy.example.com login ann password s3cret macdef init\nmachine m", []netrc.Entry{ann}},
		{"name of macro missing", "macdef", nil},
		{"unknown keyword with a value", "machine proxy.example.com login ann password s3cret force yes", []netrc.Entry{ann}},
		{"unknown words between", "machine proxy.example.com foo login ann x y z password s3cret", []netrc.Entry{ann}},
		{"unknown words in another entry", "machine a foo bar\nmachine proxy.example.com login ann password s3cret", []netrc.Entry{{Machine: "a"}, ann}},
		{"unknown words first", "foo \"login a\" \"\"\nmachine proxy.example.com login ann password s3cret", []netrc.Entry{ann}},
		{"unknown word behind a macro", "macdef x\na\nb\n\nfoo machine proxy.example.com login ann password s3cret", []netrc.Entry{ann}},
	}
	for _, test := range tests {
		t.Run(test.desc, func(t *testing.T) {
			entries, err := netrc.Parse([]byte(test.data))
			require.NoError(t, err)
			require.Equal(t, test.want, entries)
		})
	}
}

var malformed = []struct {
	desc, data string
	want       string
}{
	{"misspelled machine", "machine m login a password b\nmachin n login c password d", "line 2: a second login in one entry"},
	{"misspelled machine without login", "machine m login a password b\nmachin n password d", "line 2: a second password in one entry"},
	{"second login of an empty first", "machine m login \"\"\nuser b", "line 2: a second login in one entry"},
	{"misspelled machine at the top", "machin m\nlogin a password b", "line 2: login before the first machine"},
	{"NUL in an unknown word", "machine m\nfo\x00o", "line 2: a control character"},
	{"machine cut off", "machine", "line 1: machine without a value"},
	{"password cut off", "machine m\npassword \n\n", "line 4: password without a value"},
	{"login first", "login ann", "line 1: login before the first machine"},
	{"open quote", "machine m\nlogin \"ann\npassword x\"", "line 2: a quoted string that does not end"},
	{"open quote at the end", `machine m login "ann`, "line 1: a quoted string that does not end"},
	{"backslash at the end", `machine m login "ann\`, "line 1: a quoted string that does not end"},
	{"text behind a quote", `machine m login "ann"x`, "line 1: text right behind a quoted string"},
	{"NUL", "machine m login a\x00b", "line 1: a control character"},
	{"escaped line break", `machine m login "a\r\nb"`, "line 1: a control character"},
	{"DEL", "machine m password a\x7f", "line 1: a control character"},
}

func TestParseMalformed(t *testing.T) {
	for _, test := range malformed {
		t.Run(test.desc, func(t *testing.T) {
			entries, err := netrc.Parse([]byte(test.data))
			require.EqualError(t, err, test.want)
			require.Empty(t, entries)
		})
	}
}

// What is not malformed comes out as text of the input, with no control
// characters in it.
func FuzzParseReturnsCleanTextOrALine(f *testing.F) {
	for _, test := range malformed {
		f.Add(test.data)
	}
	f.Add("machine proxy.example.com login \"CORP\\\\ann\" password \"s3cret\" # end\ndefault login bob\nmacdef x\n\n")
	f.Fuzz(func(t *testing.T, data string) {
		entries, err := netrc.Parse([]byte(data))
		if err != nil {
			e, ok := err.(*netrc.SyntaxError)
			require.True(t, ok)
			require.Positive(t, e.Line)
			require.LessOrEqual(t, e.Line, strings.Count(data, "\n")+1)
			return
		}
		require.LessOrEqual(t, len(entries), len(data))
		for _, entry := range entries {
			for _, value := range []*string{entry.Login, entry.Password, &entry.Machine} {
				if value != nil {
					require.NotContains(t, *value, "\x00")
					require.NotContains(t, *value, "\n")
					require.LessOrEqual(t, len(*value), len(data))
				}
			}
		}
	})
}
