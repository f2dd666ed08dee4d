package httpfield_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/httpfield"
)

type params = map[string]string

func challenge(scheme string, p params) httpfield.Challenge {
	return httpfield.Challenge{Scheme: scheme, Params: p}
}

func token68(scheme, token string) httpfield.Challenge {
	return httpfield.Challenge{Scheme: scheme, Token68: token}
}

var challengeCases = []struct {
	desc  string
	lines []string
	want  []httpfield.Challenge
	fault string // the end of the error's first line, none if empty
}{
	{desc: "no field"},
	{desc: "empty line", lines: []string{""}},
	{desc: "nothing but commas and blanks", lines: []string{" ,\t, ,,"}},
	{
		desc:  "a scheme alone",
		lines: []string{"Negotiate"},
		want:  []httpfield.Challenge{challenge("Negotiate", nil)},
	},
	{
		desc:  "a scheme alone with blanks behind it",
		lines: []string{"NTLM \t "},
		want:  []httpfield.Challenge{challenge("NTLM", nil)},
	},
	{
		desc:  "one line for each scheme",
		lines: []string{"Negotiate", "NTLM", `Digest realm="lab", nonce="n"`, `Basic realm="lab"`},
		want: []httpfield.Challenge{
			challenge("Negotiate", nil),
			challenge("NTLM", nil),
			challenge("Digest", params{"realm": "lab", "nonce": "n"}),
			challenge("Basic", params{"realm": "lab"}),
		},
	},
	{
		desc:  "all schemes in one line",
		lines: []string{`Negotiate, NTLM, Digest realm="lab", nonce="n", Basic realm="lab"`},
		want: []httpfield.Challenge{
			challenge("Negotiate", nil),
			challenge("NTLM", nil),
			challenge("Digest", params{"realm": "lab", "nonce": "n"}),
			challenge("Basic", params{"realm": "lab"}),
		},
	},
	{
		desc:  "RFC 9110, Section 11.6.1",
		lines: []string{`Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\""`},
		want: []httpfield.Challenge{
			challenge("Basic", params{"realm": "simple"}),
			challenge("Newauth", params{"realm": "apps", "type": "1", "title": `Login to "apps"`}),
		},
	},
	{
		desc:  "one challenge over two lines",
		lines: []string{`Digest realm="lab"`, `nonce="n"`},
		want:  []httpfield.Challenge{challenge("Digest", params{"realm": "lab", "nonce": "n"})},
	},
	{
		desc:  "two challenges of one scheme",
		lines: []string{`Digest realm="a", nonce="1", Digest realm="b", nonce="2"`},
		want: []httpfield.Challenge{
			challenge("Digest", params{"realm": "a", "nonce": "1"}),
			challenge("Digest", params{"realm": "b", "nonce": "2"}),
		},
	},
	{
		desc:  "token68 among others",
		lines: []string{`NTLM TlRMTVNTUAAC, Negotiate a-._~+/9==, Basic realm="x"`},
		want: []httpfield.Challenge{
			token68("NTLM", "TlRMTVNTUAAC"),
			token68("Negotiate", "a-._~+/9=="),
			challenge("Basic", params{"realm": "x"}),
		},
	},
	{
		desc:  "token68 that looks like a parameter without a value",
		lines: []string{"Negotiate abc=", "NTLM abc= ,"},
		want:  []httpfield.Challenge{token68("Negotiate", "abc="), token68("NTLM", "abc=")},
	},
	{
		desc:  "commas and escapes in a quoted string",
		lines: []string{`Basic realm="a, b=c, \"Digest\" \\ \x,", Negotiate`},
		want: []httpfield.Challenge{
			challenge("Basic", params{"realm": `a, b=c, "Digest" \ x,`}),
			challenge("Negotiate", nil),
		},
	},
	{
		desc:  "an empty quoted string",
		lines: []string{`Basic realm=""`},
		want:  []httpfield.Challenge{challenge("Basic", params{"realm": ""})},
	},
	{
		desc:  "empty list elements",
		lines: []string{`, ,Basic ,, realm="x",,, charset="UTF-8",`, ",", `,Negotiate,`},
		want: []httpfield.Challenge{
			challenge("Basic", params{"realm": "x", "charset": "UTF-8"}),
			challenge("Negotiate", nil),
		},
	},
	{
		desc:  "tabs and blanks everywhere",
		lines: []string{"\tDigest\t \trealm \t= \"a\tb\" \t,\tnonce\t=\tn\t,Basic\trealm= x "},
		want: []httpfield.Challenge{
			challenge("Digest", params{"realm": "a\tb", "nonce": "n"}),
			challenge("Basic", params{"realm": "x"}),
		},
	},
	{
		desc:  "any letter case",
		lines: []string{`dIGEST ReAlM="Lab", NONCE=N`},
		want:  []httpfield.Challenge{challenge("dIGEST", params{"realm": "Lab", "nonce": "N"})},
	},
	{
		desc:  "parameters that look like schemes",
		lines: []string{`Digest Basic="x", NTLM = y, Negotiate=z, realm="r", Basic realm="s"`},
		want: []httpfield.Challenge{
			challenge("Digest", params{"basic": "x", "ntlm": "y", "negotiate": "z", "realm": "r"}),
			challenge("Basic", params{"realm": "s"}),
		},
	},
	{
		desc:  "unknown schemes around a known one",
		lines: []string{`X-1 a="b", 2!#$ abc, Basic realm="x", Y~ c=d, Z`},
		want: []httpfield.Challenge{
			challenge("X-1", params{"a": "b"}),
			token68("2!#$", "abc"),
			challenge("Basic", params{"realm": "x"}),
			challenge("Y~", params{"c": "d"}),
			challenge("Z", nil),
		},
	},
	{
		desc:  "UTF-8 and Latin-1 as they come",
		lines: []string{"Basic realm=\"J\u00f6rg\", Digest realm=\"J\xf6rg\""},
		want: []httpfield.Challenge{
			challenge("Basic", params{"realm": "J\u00f6rg"}),
			challenge("Digest", params{"realm": "J\xf6rg"}),
		},
	},

	{
		desc:  "a parameter given twice",
		lines: []string{`Digest realm="first", REALM="second", nonce=n`},
		want:  []httpfield.Challenge{challenge("Digest", params{"realm": "first", "nonce": "n"})},
		fault: "line 1, byte 37: parameter given twice",
	},
	{
		desc:  "squid with quotes in the realm, Basic behind a comma",
		lines: []string{`Digest realm="Lab "q" \ x", nonce="n", qop="auth", Basic realm="Lab "q" \ x"`},
		want: []httpfield.Challenge{
			challenge("Digest", params{"nonce": "n", "qop": "auth"}),
			challenge("Basic", nil),
		},
		fault: "line 1, byte 20: stray quote",
	},
	{
		desc:  "squid with quotes in the realm, Basic in a line before",
		lines: []string{`Basic realm="Lab "q" \ x"`, `Digest realm="lab", nonce="n"`},
		want: []httpfield.Challenge{
			challenge("Basic", nil),
			challenge("Digest", params{"realm": "lab", "nonce": "n"}),
		},
		fault: "line 1, byte 19: stray quote",
	},
	{
		desc:  "an odd number of quotes in the realm",
		lines: []string{`Basic realm="5" disk", Digest realm="lab", nonce="n"`},
		want: []httpfield.Challenge{
			challenge("Basic", nil),
			challenge("Digest", params{"realm": "lab", "nonce": "n"}),
		},
		fault: "stray quote",
	},
	{
		desc:  "a quoted string without an end",
		lines: []string{`Basic realm="lab`, `Digest realm="lab", nonce="n`},
		want: []httpfield.Challenge{
			challenge("Basic", nil),
			challenge("Digest", params{"realm": "lab"}),
		},
		fault: "line 1, byte 13: quoted string without an end",
	},
	{
		desc:  "a quoted string that ends in a backslash",
		lines: []string{`Basic realm="lab\`, `Digest realm="lab\"`},
		want:  []httpfield.Challenge{challenge("Basic", nil), challenge("Digest", nil)},
		fault: "quoted string without an end",
	},
	{
		desc:  "a quoted string without an end before other challenges",
		lines: []string{`Basic realm="lab, Digest realm="lab", nonce="n", Negotiate`},
		want: []httpfield.Challenge{
			challenge("Basic", nil),
			challenge("Digest", params{"realm": "lab", "nonce": "n"}),
			challenge("Negotiate", nil),
		},
		fault: "stray quote",
	},
	{
		desc:  "values that are not quoted",
		lines: []string{"Digest realm=Lab at 5/7, nonce=ab/c+d==, opaque=, domain=\u00e9, qop=auth"},
		want: []httpfield.Challenge{challenge("Digest", params{
			"realm": "Lab at 5/7", "nonce": "ab/c+d==", "opaque": "", "domain": "\u00e9", "qop": "auth",
		})},
		fault: "value that should be quoted",
	},
	{
		desc:  "commas missing between parameters",
		lines: []string{`Digest realm="lab" nonce=n  qop="auth", opaque=o`},
		want: []httpfield.Challenge{challenge("Digest", params{
			"realm": "lab", "nonce": "n", "qop": "auth", "opaque": "o",
		})},
		fault: "line 1, byte 19: comma missing",
	},
	{
		desc:  "commas missing between challenges",
		lines: []string{`Negotiate Digest realm="lab", nonce="n" Basic realm="lab"`},
		want: []httpfield.Challenge{
			challenge("Negotiate", nil),
			challenge("Digest", params{"realm": "lab", "nonce": "n"}),
			challenge("Basic", params{"realm": "lab"}),
		},
		fault: "comma missing",
	},
	{
		desc:  "semicolons for commas",
		lines: []string{`Digest realm="lab"; nonce="n", qop=auth, Negotiate`},
		want: []httpfield.Challenge{
			challenge("Digest", params{"qop": "auth"}),
			challenge("Negotiate", nil),
		},
		fault: "stray quote",
	},
	{
		desc:  "controls in values",
		lines: []string{"Digest realm=\"a\x00b\", nonce=\"n\r\nX: y\", opaque=o\x7f, qop=auth, Basic realm=\"\\\n\""},
		want:  []httpfield.Challenge{challenge("Digest", params{"qop": "auth"}), challenge("Basic", nil)},
		fault: "control character in a quoted string",
	},
	{
		desc:  "a quote in a value that is not quoted",
		lines: []string{`Digest realm=a"b", nonce=n`},
		want:  []httpfield.Challenge{challenge("Digest", params{"nonce": "n"})},
		fault: "quote or control character in a value that is not quoted",
	},
	{
		desc:  "junk between parameters",
		lines: []string{`Digest realm="lab", @x="a, Basic realm=b", =, "", nonce="n"`},
		want:  []httpfield.Challenge{challenge("Digest", params{"realm": "lab", "nonce": "n"})},
		fault: "line 1, byte 21: neither a challenge nor a parameter",
	},
	{
		desc:  "junk behind a scheme",
		lines: []string{"Negotiate a b, Basic @, B@sic c, NTLM"},
		want: []httpfield.Challenge{
			challenge("Negotiate", nil),
			challenge("Basic", nil),
			challenge("NTLM", nil),
		},
		fault: "line 1, byte 11: neither a token68 nor a parameter",
	},
	{
		desc:  "a parameter before any challenge",
		lines: []string{`realm="lab", Basic realm="x"`},
		want:  []httpfield.Challenge{challenge("Basic", params{"realm": "x"})},
		fault: "parameter before any challenge",
	},
	{
		desc:  "a token68 and parameters",
		lines: []string{`Digest realm=, nonce="n"`},
		want:  []httpfield.Challenge{{Scheme: "Digest", Token68: "realm=", Params: params{"nonce": "n"}}},
		fault: "parameter beside a token68",
	},
}

// requireFault requires that the first line of err ends in fault, or no error if
// fault is empty.
func requireFault(t *testing.T, fault string, err error) {
	t.Helper()
	if fault == "" {
		require.NoError(t, err)
		return
	}
	require.Error(t, err)
	first, _, _ := strings.Cut(err.Error(), "\n")
	require.True(t, strings.HasSuffix(first, fault), first)
}

func TestChallenges(t *testing.T) {
	for _, tc := range challengeCases {
		t.Run(tc.desc, func(t *testing.T) {
			got, err := httpfield.Challenges(tc.lines)
			require.Equal(t, tc.want, got)
			requireFault(t, tc.fault, err)
		})
	}
}

func TestParams(t *testing.T) {
	for _, tc := range []struct {
		desc  string
		lines []string
		want  params
		fault string
	}{
		{desc: "no field"},
		{desc: "empty", lines: []string{"", " , "}},
		{
			desc:  "Digest's",
			lines: []string{`rspauth="6629", QOP=auth ,nextnonce = "a,\"b"`, "nc=00000001"},
			want:  params{"rspauth": "6629", "qop": "auth", "nextnonce": `a,"b`, "nc": "00000001"},
		},
		{
			desc:  "an empty value, not a token68",
			lines: []string{"nextnonce="},
			want:  params{"nextnonce": ""},
			fault: "value that should be quoted",
		},
		{
			desc:  "a challenge",
			lines: []string{"Negotiate oRQwEg==, nextnonce=n"},
			want:  params{"nextnonce": "n"},
			fault: "line 1, byte 1: not a parameter",
		},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			got, err := httpfield.Params(tc.lines)
			require.Equal(t, tc.want, got)
			requireFault(t, tc.fault, err)
		})
	}
}

func TestErrorTellsThePosition(t *testing.T) {
	_, err := httpfield.Challenges([]string{"Negotiate", `Basic realm="x" y, Digest nonce=n`})
	fault, ok := errors.AsType[*httpfield.Error](err)
	require.True(t, ok)
	require.Equal(t, &httpfield.Error{Line: 2, Byte: 16, Reason: "stray quote"}, fault)
	require.EqualError(t, fault, "proxyauth: malformed field, line 2, byte 16: stray quote")
}

func TestErrorQuotesNothing(t *testing.T) {
	_, err := httpfield.Challenges([]string{
		`s3cret@ s3cret, Digest s3cret s3cret, realm="s3cret" s3cret, nonce=s3"cret, nonce="s3cret`})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "s3")
}
