package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

// A promise is one that the library makes about security. What SECURITY.md says
// in general is here in particular: each mistake that a client of proxies is
// known to have made, by its CVE, and each invariant of the design.
type promise struct {
	text  string
	keeps func(t *testing.T)
}

// mistakes are those of other clients.
var mistakes = []promise{
	{"CVE-2003-1605 (curl): the proxy's credentials don't reach the origin", asIn("1. Proxy-Authorization goes to the proxy that it is for, not to the origin")},
	{"CVE-2011-1498 (Apache HttpClient): nor does a Proxy-Authorization enter a tunnel", asIn("1. not into a tunnel")},
	{"CVE-2014-1830, CVE-2023-32681 (requests), CVE-2024-24758 (undici): nor does it go along with a redirect", asIn("1. not along with a redirect")},
	{"CVE-2025-4673 (Go): nor does the program's own", ownFollowsNoRedirect},
	{"CVE-2014-0015, CVE-2016-0755 (curl): an NTLM connection serves no other user", asIn("4. A connection of one identity serves no other")},
	{"CVE-2015-3143 (curl): nor an anonymous request", asIn("4. nor an anonymous request")},
	{"CVE-2015-3148 (curl): nor does a Negotiate connection", negotiateConnectionsAreOnesOwn},
	{"CVE-2015-3148 (curl): nor do two identities' at once", negotiateIdentitiesShareNothing},
	{"CVE-2026-3784 (curl): nor does a tunnel, or a connection, that Basic or Digest has opened", asIn("4. A connection of one identity serves no other")},
	{"CVE-2015-3153 (curl): the origin's fields are in no CONNECT", asIn("5. The origin's fields are in no CONNECT and no opening leg")},
	{"CVE-2011-2192 (curl): Kerberos credentials are not delegated", nothingIsDelegated},
	{"CVE-2018-16890, CVE-2019-3822 (curl), GO-2026-5543: no length in an NTLM message is believed", lengthsAreNotBelieved},
	{"CVE-2021-22890 (curl): a TLS session of the proxy is not the origin's", keptBy("TestProxyTLSState")},
	{"CVE-2022-42915 (curl): a CONNECT that is denied leaves nothing behind", asIn("12. also of tunnels that were denied")},
	{"CVE-2024-11053 (curl): a password in a netrc goes to its host alone", netrcIsForItsHost},
	{"CVE-2026-6253, CVE-2026-7168 (curl): what was for one proxy does not go to another", otherProxyGetsNothing},
	{"CVE-2026-8927, CVE-2026-9079 (curl): credentials that were cleared are not sent", clearedIsGone},
	{"CVE-2026-8927, CVE-2026-9079 (curl): nor ones that have run out", keptBy("TestLeaseOfAnotherUser")},
	{"CVE-2026-8927, CVE-2026-9079 (curl): nor does a connection of theirs go on after they were replaced", keptBy("TestNTLMChangeOfUser")},
	{"CVE-2026-86414 (curl): a 401 to CONNECT does not get the origin's credentials", connect401GetsNothing},
	{"CVE-2009-1836, CVE-2009-2061, CVE-2013-0776 (browsers): an answer to CONNECT is not the origin's", everyWay(connectAnswerIsNotTheOrigins)},
	{"CVE-2016-4644 (Apple): credentials are not used for a weaker scheme", asIn("8. A weaker scheme is refused")},
	{"CVE-2026-1502 (CPython): no line end gets into a CONNECT", asIn("7. No control character gets from a host to the wire")},
	{"CVE-2016-5386 (httpoxy): HTTP_PROXY of a CGI program is a request's header", keptBy("TestHTTPProxyOfCGIIsNotRead")},
	{"CVE-2025-62168 (squid): credentials that an error page repeats are not shown, nor logged", keptBy("TestEchoedCredentialsAreNotShown")},
	{"CVE-2025-62168 (squid): nor ones that a malformed answer repeats", keptBy("TestEchoIsNotQuoted")},
}

// invariantPromises are the invariants of the design, by number.
var invariantPromises = []promise{
	{"1. Proxy-Authorization goes to the proxy that it is for, not to the origin", everyWay(reachesNoOrigin)},
	{"1. not into a tunnel", everyWay(ownStaysOutOfTunnels)},
	{"1. not along with a redirect", everyWay(followsNoRedirect)},
	{"1. not to another proxy to which a redirect leads", everyWay(goesToNoOtherProxy)},
	{"1. not to another host, port or scheme", keptBy("TestProxiesShareNothing")},
	{"1. not to a proxy that the program has not allowed", onlyToAllowedProxies},
	{"1. nor the program's own to one that is not allowed, or in cleartext where that is forbidden", keptBy("TestRulesHoldForTheCallersAuthorization")},
	{"1. and the user info of the proxy's URL to nobody", keptBy("TestUserInfoIsNotSent")},

	{"2. The request is not modified, its body closed, and resp.Request the caller's", keptBy("TestRequestIsNotModified")},
	{"2. nor is its body lost on a connection that nobody has authenticated", keptBy("TestConnectionOfFreeHost")},

	{"3. An answer to CONNECT is not returned as the origin's, whatever it is", connectAnswers},
	{"3. and a 407 in a tunnel is the origin's", everyWay(originsOwn407)},

	{"4. A connection of one identity serves no other", identitiesShareNothing},
	{"4. nor an anonymous request", anonymousSharesNothing},
	{"4. nor one that its caller authenticates", keptBy("TestNTLMIdentities")},
	{"4. nor does one that a caller has authenticated serve another", keptBy("TestCallersAuthorization")},
	{"4. nor one after the credentials were replaced and Reset", replacedIsGone},
	{"4. or have run out", keptBy("TestLeaseOfAnotherUser")},
	{"4. or were refused", keptBy("TestNTLMChangeOfUser")},
	{"4. nor one that was authenticated for a user who was replaced meanwhile", keptBy("TestLateAnswerIsForItsUser")},

	{"5. The origin's fields are in no CONNECT and no opening leg", everyWay(originFieldsStayOut)},

	{"6. What TLS trusts of the origin's is not trusted of a proxy", keptBy("TestProxyTLS")},
	{"6. and neither sessions nor certificates are shared", keptBy("TestProxyTLSState")},

	{"7. No control character gets from a host to the wire", everyWay(controlsInHosts)},
	{"7. nor from a user name or password", keptBy("TestControlsInCredentials")},
	{"7. nor from the user info of a URL", controlsInUserInfo},
	{"7. nor from a challenge", keptBy("TestControlsInChallenges")},
	{"7. nor a line end from what the program adds to CONNECT", controlsInConnectHeader},
	{"7. nor from its request", controlsInRequest},
	{"7. nor from a scheme of its own", controlsInAuthorization},
	{"7. What is outside ASCII goes out as UTF-8", keptBy("TestCredentialsOutsideASCII")},

	{"8. A secret that was refused is sent once", everyWay(refusedOnce)},
	{"8. under whatever spelling of the proxy", keptBy("TestSpellingsAreOneProxy")},
	{"8. and in whatever scheme", keptBy("TestSchemesShareTheLimitOfASecret")},
	{"8. however many requests are made at once", keptBy("TestWrongPasswordKeepsTheBudget")},
	{"8. and once more at another target a minute later", keptBy("TestRefusedPasswordIsTriedOnceMoreAtAnotherTarget")},
	{"8. or by all that are under way, at most four", keptBy("TestRefusalByAllThatAreUnderWayIsFinal")},
	{"8. also where the refusal names other schemes", keptBy("TestRefusalMayNameAnything")},
	{"8. also where what opened has proved nothing", keptBy("TestFirstMessageProvesNothing")},
	{"8. or somebody other than the proxy has answered", keptBy("TestForeignAnswerProvesNothing")},
	{"8. or the refusal is a 401", keptBy("TestUnauthorizedTunnel")},
	{"8. also to a forwarded request", keptBy("TestUnauthorizedByTheProxy")},
	{"8. and in 4 turns in a minute and 10 in an hour where the refusal is a closed connection", keptBy("TestWrongPasswordKeepsTheBudget")},
	{"8. or the exchange goes in circles", keptBy("TestCirclesKeepTheBudget")},
	{"8. or the scheme can't take the answer", keptBy("TestUnanswerableChallengeKeepsTheBudget")},
	{"8. or the answers are any mixture", keptBy("TestBudgetHoldsWhateverAPeerDoes")},
	{"8. end to end as well", keptBy("TestMixtureKeepsTheBudget")},
	{"8. or say nothing of the secret", keptBy("TestFailureIsNoAcceptance")},
	{"8. or comes late", keptBy("TestWrongPasswordKeepsTheBudget")},
	{"8. or too late for those who ask", keptBy("TestImpatientCallers")},
	{"8. What was sent unasked and passed is not accepted by that", keptBy("TestPassOfExemptHostSettlesNothing")},
	{"8. Three secrets of a user that were refused are followed by pauses", keptBy("TestThreeSecretsOfAUserRefusedPause")},
	{"8. One that two proxies have refused is not sent to a third", keptBy("TestThirdProxyIsNotSentWhatTwoHaveRefused")},
	{"8. nor to more than two at once", keptBy("TestManyProxiesAtOnce")},
	{"8. One that was accepted and is refused where it had worked is tried every 30 minutes", keptBy("TestRefusedAfterItWasTrustedIsTriedEveryThirtyMinutes")},
	{"8. and not sent by those that wait for a connection", keptBy("TestChangedPasswordIsNotSentByThoseThatWaitForAConnection")},
	{"8. One that was accepted denies a target that refuses it, and no other", keptBy("TestDeniedTargetFailsAlone")},
	{"8. A weaker scheme is refused", everyWay(noDowngrade)},
	{"8. and a weaker algorithm", weakerAlgorithm},
	{"8. also after broken handshakes", keptBy("TestFloorHoldsAgainstBrokenHandshakes")},
	{"8. and with other credentials", keptBy("TestFloorOutlivesTheCredentials")},
	{"8. and for what opens unasked", keptBy("TestFloorHoldsForPreemptive")},
	{"8. and after any number of other proxies", keptBy("TestFloorOfAProxyInUseIsKept")},
	{"8. Basic in cleartext can be forbidden", basicInCleartext},

	{"9. No secret is in an error", keptBy("TestErrorsHaveNoSecrets")},
	{"9. also where a peer repeats it", keptBy("TestEchoIsInNoError")},
	{"9. nor in a log, a trace, or the Transport", keptBy("TestTransportShowsNoSecrets")},
	{"9. nor in a value that is printed", keptBy("TestValuesHaveNoSecrets")},
	{"9. however it is printed", keptBy("TestSecretIsNotPrintedByAnyVerb")},
	{"9. encoded", keptBy("TestSecretIsNotEncoded")},
	{"9. logged", keptBy("TestSecretIsNotLogged")},
	{"9. or panicked with", keptBy("TestSecretIsNotInPanic")},

	{"10. What a peer sends is bounded in time", keptBy("TestHostileProxy")},
	{"10. in legs", keptBy("TestLegsAreBounded")},
	{"10. in passwords", keptBy("TestAnswersAreBounded")},
	{"10. in challenges and parameters", keptBy("TestParseChallengesLimits")},
	{"10. in the bytes of a header, and in memory", keptBy("TestHostileSizes")},
	{"10. in informational answers", keptBy("TestNoAnswer")},
	{"10. in the bytes of a body that are read", keptBy("TestConnectResponseBody")},
	{"10. and in connections", keptBy("TestHostileOrder")},
	{"10. So is what is known of proxies", keptBy("TestTableIsBounded")},
	{"10. of secrets", keptBy("TestMemoryForSecretsIsBounded")},
	{"10. and of their targets", keptBy("TestMemoryForTargetsIsBounded")},

	{"11. What is malformed is an error", malformedIsAnError},
	{"11. also in the files of credentials", malformedFiles},

	{"12. Nothing is left behind", everyWay(noConnectionLeft)},
	{"12. also of tunnels that were denied", deniedLeavesNothing},

	{"13. What a proxy proves is compared in constant time", comparedInConstantTime},
	{"13. and wholly", forgeriesAreRefused},
	{"13. Nonces come from crypto/rand", keptBy("TestNoncesAreRandom")},

	{"14. HTTP_PROXY is not read where REQUEST_METHOD is set", keptBy("TestHTTPProxyOfCGIIsNotRead")},

	{"15. After a 101 the bytes are the program's", keptBy("TestUpgradedConnectionIsThePrograms")},
	{"15. and in a tunnel", keptBy("TestDialContextEarly")},
}

func TestSecurity(t *testing.T) {
	t.Parallel()
	for _, list := range [][]promise{mistakes, invariantPromises} {
		for _, p := range list {
			t.Run(p.text, p.keeps)
		}
	}
}

// keptBy says that a test of its own keeps a promise: here, beside the root, or beside one
// of the packages that limit secrets and read answers. It must be there.
func keptBy(name string) func(t *testing.T) {
	return func(t *testing.T) { require.True(t, testsByName()[name], name) }
}

// asIn says that an invariant is the same promise.
func asIn(text string) func(t *testing.T) {
	return func(t *testing.T) {
		require.True(t, slices.ContainsFunc(invariantPromises, func(p promise) bool { return p.text == text }), text)
	}
}

// testsByName holds the tests of those packages.
var testsByName = sync.OnceValue(func() map[string]bool {
	names := make(map[string]bool)
	for _, pattern := range []string{"*_test.go", "../../*_test.go", "../lockout/*_test.go", "../proxyconn/*_test.go"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			text, _ := os.ReadFile(file)
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllSubmatch(text, -1) {
				names[string(m[1])] = true
			}
		}
	}
	return names
})

// everyWay checks a promise with every mechanism, forwarded and tunnelled.
func everyWay(keeps func(t *testing.T, l *lab, w way)) func(t *testing.T) {
	return func(t *testing.T) {
		for i, mechanism := range allMechanisms() {
			for _, w := range ways {
				t.Run(mechanism.Scheme()+" "+w.desc, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						keeps(t, newLab(t, testproxy.Config{Auth: allMechanisms()[i : i+1]}), w)
					})
				})
			}
		}
		for _, w := range ways {
			r := newRealm(t, kdc.Principal{Name: "bob", Password: "hunter2", Enctypes: []int32{kdc.AES128SHA1}})
			bubble(t, "Negotiate "+w.desc, func(t *testing.T) {
				keeps(t, newNegotiateLab(t, r, spnegoserver.Mechanism{}, testproxy.Config{}).lab, w)
			})
		}
	}
}
