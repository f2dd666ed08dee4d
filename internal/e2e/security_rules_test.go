package e2e_test

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

// nothingIsDelegated looks at the flags of the context.
func nothingIsDelegated(t *testing.T) {
	for _, w := range ways {
		r := newRealm(t)
		bubble(t, w.desc, func(t *testing.T) {
			l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, testproxy.Config{})
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			require.NotEmpty(t, l.server.Contexts())
			for _, c := range l.server.Contexts() {
				require.True(t, c.Seen().Flags.Has(spnegoserver.FlagMutual))
				require.False(t, c.Seen().Flags.Has(spnegoserver.FlagDelegate))
				require.Empty(t, c.Seen().Violations)
			}
		})
	}
}

// lengthsAreNotBelieved sends challenge messages whose lengths and offsets lie.
func lengthsAreNotBelieved(t *testing.T) {
	for _, fault := range []ntlmserver.Faults{
		ntlmserver.TruncatedChallenge, ntlmserver.OversizedChallenge, ntlmserver.OversizedTargetInfo,
		ntlmserver.GarbageChallenge, ntlmserver.LyingTargetInfo, ntlmserver.BrokenTargetInfo,
	} {
		for _, w := range ways {
			bubble(t, fmt.Sprint(fault, " ", w.desc), func(t *testing.T) {
				l, _ := newNTLMLab(t, &ntlmserver.Server{Faults: ntlmserver.Always(fault)}, testproxy.Config{})
				want := proxyauth.CauseSchemeFailed
				if fault == ntlmserver.OversizedChallenge {
					want = broken // more than is parsed of a field
				}
				requireCause(t, want, w.reach(t.Context(), l.rt, originHost))
				for _, leg := range l.proxy.Legs() {
					require.False(t, strings.HasPrefix(leg.Header.Get("Proxy-Authorization"), authenticateToken))
				}
			})
		}
	}
}

// onlyToAllowedProxies asks a list before anything else.
func onlyToAllowedProxies(t *testing.T) {
	everyWay(func(t *testing.T, l *lab, w way) {
		l.rt.AllowProxy = proxyauth.AllowHosts("other.example.com", ".proxy.example.com", "proxy.example.com:8080")
		requireCause(t, proxyauth.CausePolicyForbids, w.reach(t.Context(), l.rt, originHost))
		require.Zero(t, l.asked.Load())
		for _, leg := range l.proxy.Legs() {
			require.Empty(t, leg.Scheme)
		}
	})(t)
}

func weakerAlgorithm(t *testing.T) {
	for _, w := range ways {
		bubble(t, w.desc, func(t *testing.T) {
			strong := &testproxy.Digest{Realm: "lab", Algorithms: []string{"SHA-256", "MD5"}}
			l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{strong}})
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			l.proxy.SetAuth(&testproxy.Digest{Realm: "lab", Accounts: l.users})
			l.proxy.Reset()
			requireCause(t, proxyauth.CausePolicyForbids, w.reach(t.Context(), l.rt, originHost))
			for _, leg := range l.proxy.Legs() {
				require.NotContains(t, leg.Header.Get("Proxy-Authorization"), "algorithm=MD5")
			}
		})
	}
}

func basicInCleartext(t *testing.T) {
	for _, w := range ways {
		for _, tls := range []bool{false, true} {
			bubble(t, fmt.Sprint(w.desc, ", TLS ", tls), func(t *testing.T) {
				config := testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}}
				if tls {
					config.TLS = ca.ServerConfig("proxy.example.com")
				}
				l := newLab(t, config)
				l.rt.ForbidCleartext = true
				err := w.reach(t.Context(), l.rt, originHost)
				if tls {
					require.NoError(t, err)
					return
				}
				requireCause(t, proxyauth.CausePolicyForbids, err)
				for _, leg := range l.proxy.Legs() {
					require.Empty(t, leg.Scheme)
				}
			})
		}
	}
}

var controls = []string{"\r\nX-Evil: 1", "\n", "\r", "\x00", "\x7f"}

func (l *lab) requireNoEvil() {
	l.t.Helper()
	for _, leg := range l.proxy.Legs() {
		require.Empty(l.t, leg.Header["X-Evil"])
	}
	require.Empty(l.t, l.proxy.Violations())
}

func controlsInUserInfo(t *testing.T) {
	everyWay(func(t *testing.T, l *lab, w way) {
		l.rt.Credentials = nil
		for _, evil := range controls {
			u, err := url.Parse("http://ann" + url.PathEscape(evil) + ":s3cret@" + l.proxy.Addr())
			require.NoError(t, err)
			l.base.Proxy = http.ProxyURL(u)
			e, ok := errors.AsType[*proxyauth.Error](w.reach(t.Context(), l.rt, originHost))
			require.True(t, ok)
			require.Contains(t, []proxyauth.Cause{proxyauth.CauseSchemeFailed, proxyauth.CauseKerberosFailed, proxyauth.CauseTicketMissing}, e.Cause)
		}
		l.requireNoEvil()
	})(t)
}

func controlsInConnectHeader(t *testing.T) {
	for _, evil := range controls {
		for field, values := range map[string][]string{"X-Good": {"good", "good" + evil}, "X-Bad" + evil: {"bad"}, "User-Agent": {"me" + evil}} {
			for _, hook := range []bool{false, true} {
				bubble(t, fmt.Sprintf("%q in %q, hook %v", evil, field, hook), func(t *testing.T) {
					l := newLab(t, testproxy.Config{ConnectHeader: []string{"X-Good", "User-Agent"}})
					header := http.Header{field: values}
					if hook {
						l.base.GetProxyConnectHeader = func(context.Context, *url.URL, string) (http.Header, error) { return header, nil }
					} else {
						l.base.ProxyConnectHeader = header
					}
					err := tunnel(t.Context(), l.rt, originHost)
					requireCause(t, proxyauth.CauseProxyFailed, err)
					require.NotContains(t, err.Error(), evil)
					require.Empty(t, l.proxy.Legs())
					l.requireNoEvil()
				})
			}
		}
	}
}

// A verbatim is a scheme whose authorization is what it says.
type verbatim string

func (verbatim) Name() string { return "Basic" }

func (v verbatim) NewSession(context.Context, proxyauth.Exchange) (proxyauth.Session, error) {
	return v, nil
}

func (v verbatim) Authorization(context.Context, proxyauth.Leg) (proxyauth.Authorization, error) {
	return proxyauth.Authorization{Value: string(v)}, nil
}

func controlsInAuthorization(t *testing.T) {
	for _, evil := range controls {
		for _, w := range ways {
			bubble(t, fmt.Sprintf("%q %s", evil, w.desc), func(t *testing.T) {
				l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
				l.rt.Schemes = []proxyauth.Scheme{verbatim("Basic YTpi" + evil)}
				requireCause(t, proxyauth.CauseSchemeFailed, w.reach(t.Context(), l.rt, originHost))
				l.requireNoEvil()
				for _, leg := range l.proxy.Legs() {
					require.Empty(t, leg.Scheme)
				}
			})
		}
	}
}

func controlsInRequest(t *testing.T) {
	everyWay(func(t *testing.T, l *lab, w way) {
		for _, evil := range controls {
			for _, change := range []func(*http.Request){
				func(r *http.Request) { r.Method = "GET" + evil },
				func(r *http.Request) { r.Header["X-Good"] = []string{"good" + evil} },
				func(r *http.Request) { r.Header["X-Bad"+evil] = []string{"bad"} },
				func(r *http.Request) { r.URL.Host, r.Host = originHost+evil, "" },
				func(r *http.Request) {
					if w.method == http.MethodGet { // over HTTP/2, net/http would try for ever
						r.URL.Opaque = "//" + originHost + "/" + evil
					}
					r.Host = originHost + evil
				},
			} {
				req := l.request(http.MethodGet, w.target("/"), nil)
				change(req)
				_, _, err := l.do(req)
				require.Error(t, err, "%q", evil)
			}
		}
		l.requireNoEvil()
		require.Empty(t, append(l.origin.Requests(), l.secure.Requests()...))
	})(t)
}

// malformedIsAnError offers what can't be parsed, with and without a good
// challenge beside it.
func malformedIsAnError(t *testing.T) {
	garbage := base64.StdEncoding.EncodeToString([]byte("\x60\x82\xff\xff\x06\x06+\x06\x01\x05\x05\x02"))
	for _, line := range []string{
		"", ",", "=", "\"", "Digest", "Digest realm", `Digest realm="lab`, `Digest nonce=`, "Digest " + garbage, "Basic =", "Basic realm",
		"NTLM =", "NTLM ????", "NTLM TlRMTVNTUAAC", "NTLM " + garbage, "Negotiate ????", "Negotiate " + garbage, "Negotiate =", "\xff\xfe", strings.Repeat("a ", 1000),
	} {
		for _, w := range ways {
			r := newRealm(t)
			bubble(t, fmt.Sprintf("%.40q %s", line, w.desc), func(t *testing.T) {
				l := newLab(t, testproxy.Config{Fault: testproxy.Always(&testproxy.Action{Status: 407, Challenges: []string{line}})})
				l.rt.Schemes = append([]proxyauth.Scheme{r.scheme()}, allSchemes()...)
				require.Error(t, w.reach(t.Context(), l.rt, originHost))
				require.LessOrEqual(t, len(l.proxy.Legs()), maxLegs)

				l = newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}},
					Fault: testproxy.On(407, testproxy.Offer(line, "Basic realm=lab"))})
				l.rt.Schemes = []proxyauth.Scheme{basic.Scheme{}}
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			})
		}
	}
}

func malformedFiles(t *testing.T) {
	dir := t.TempDir()
	for i, text := range []string{"", "\x05", "\x05\x04\x00\x0c", "\x05\x02\xff\xff\xff\xff", "machine", `machine proxy.example.com password "`, strings.Repeat("\x00", 100)} {
		file := filepath.Join(dir, fmt.Sprint(i))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		req := &proxyauth.CredentialsRequest{Proxy: &url.URL{Scheme: "http", Host: "proxy.example.com:3128"}}
		_, err := credentials.Netrc{Path: file}.Credentials(t.Context(), req)
		require.Error(t, err)
		for _, source := range []negotiate.Source{negotiate.TicketCache, negotiate.Keytab} {
			s := &negotiate.Scheme{Sources: []negotiate.Source{source}, TicketCache: file, Keytab: file, ConfigFile: os.DevNull, DisableNTLM: true}
			_, err := s.NewSession(t.Context(), proxyauth.Exchange{Proxy: req.Proxy})
			require.Error(t, err, "%q", text)
		}
	}
}

// comparedInConstantTime reads the source: nothing else can tell.
func comparedInConstantTime(t *testing.T) {
	for file, name := range map[string]string{
		"../../schemes/digest/proof.go":                   "check",
		"../../schemes/negotiate/internal/krb/context.go": "verify",
		"../../schemes/internal/ntlmssp/sign.go":          "",
	} {
		tree, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash(file), nil, 0)
		require.NoError(t, err)
		found := false
		ast.Inspect(tree, func(n ast.Node) bool {
			if f, ok := n.(*ast.FuncDecl); ok {
				return name == "" || f.Name.Name == name
			}
			if s, ok := n.(*ast.SelectorExpr); ok && (s.Sel.Name == "ConstantTimeCompare" || s.Sel.Name == "Equal" && fmt.Sprint(s.X) == "hmac") {
				found = true
			}
			return true
		})
		require.True(t, found, file)
	}
}

// forgeriesAreRefused changes each digit of a proxy's proof.
func forgeriesAreRefused(t *testing.T) {
	const target = "origin.example.com:443"
	ex := proxyauth.Exchange{
		Proxy: &url.URL{Scheme: "http", Host: "proxy.example.com:3128"}, Credentials: credentialsOf("Mufasa", "Circle of Life"),
		Challenges: []proxyauth.Challenge{{Scheme: "Digest", Params: map[string]string{"realm": "lab", "nonce": "n", "qop": "auth"}}},
	}
	s, err := digest.Scheme{}.NewSession(t.Context(), ex)
	require.NoError(t, err)
	authorization, err := s.Authorization(t.Context(), proxyauth.Leg{Method: http.MethodConnect, Target: target})
	require.NoError(t, err)
	sent, err := proxyauth.ParseChallenges(http.Header{"Proxy-Authenticate": {authorization.Value}}) // which has the same form
	require.NoError(t, err)
	verify := func(proof string) error {
		resp := &http.Response{StatusCode: 200, Header: http.Header{"Proxy-Authentication-Info": {
			fmt.Sprintf(`rspauth="%s", cnonce="%s", nc=%s, qop=auth`, proof, sent[0].Params["cnonce"], sent[0].Params["nc"]),
		}}}
		return s.(proxyauth.Verifier).Verify(resp)
	}
	h := func(text string) string { return fmt.Sprintf("%x", md5.Sum([]byte(text))) }
	proof := h(strings.Join([]string{
		h("Mufasa:lab:Circle of Life"), "n", sent[0].Params["nc"], sent[0].Params["cnonce"], "auth", h(":" + target),
	}, ":"))
	require.NoError(t, verify(proof))
	for i := range proof {
		for _, digit := range "0123456789abcdef" {
			if forged := proof[:i] + string(digit) + proof[i+1:]; forged != proof {
				require.ErrorIs(t, verify(forged), proxyauth.ErrNotVerified, "digit %d", i)
			}
		}
		require.ErrorIs(t, verify(proof[:i]), proxyauth.ErrNotVerified, "%d digits", i)
	}
	require.ErrorIs(t, verify(proof+proof), proxyauth.ErrNotVerified)
}

// TestNoncesAreRandom sets the source that crypto/rand reads: with the same numbers the
// same authorizations come out, and with others none of them.
func TestNoncesAreRandom(t *testing.T) {
	challenges := []proxyauth.Challenge{{Scheme: "Digest", Params: map[string]string{"realm": "lab", "nonce": "n", "qop": "auth"}}}
	first := func(t *testing.T, seed uint64) string {
		cryptotest.SetGlobalRandom(t, seed)
		s, err := digest.Scheme{}.NewSession(context.Background(), proxyauth.Exchange{
			Proxy: &url.URL{Scheme: "http", Host: "proxy.example.com:3128"}, Credentials: credentialsOf(user, password), Challenges: challenges,
		})
		require.NoError(t, err)
		v, err := s.Authorization(context.Background(), proxyauth.Leg{Method: http.MethodConnect, Target: "origin.example.com:443"})
		require.NoError(t, err)
		return v.Value
	}
	t.Run("Digest", func(t *testing.T) {
		require.Equal(t, first(t, 1), first(t, 1))
		require.NotEqual(t, first(t, 1), first(t, 2))
	})
	t.Run("NTLM", func(t *testing.T) {
		answer := func(seed uint64) string {
			cryptotest.SetGlobalRandom(t, seed)
			s, err := (&ntlm.Scheme{}).NewSession(t.Context(), proxyauth.Exchange{
				Proxy: &url.URL{Scheme: "http", Host: "proxy.example.com:3128"}, Credentials: credentialsOf(user, password),
				Challenges: []proxyauth.Challenge{{Scheme: "NTLM"}},
			})
			require.NoError(t, err)
			leg := proxyauth.Leg{Method: http.MethodConnect, Target: "origin.example.com:443"}
			_, err = s.Authorization(t.Context(), leg)
			require.NoError(t, err)
			next, err := s.(proxyauth.Continuer).Continue(t.Context(), []proxyauth.Challenge{{Scheme: "NTLM", Token68: type2}})
			require.NoError(t, err)
			require.Equal(t, proxyauth.GoOn, next)
			v, err := s.Authorization(t.Context(), leg)
			require.NoError(t, err)
			return v.Value
		}
		require.Equal(t, answer(1), answer(1))
		require.NotEqual(t, answer(1), answer(2))
	})
}
