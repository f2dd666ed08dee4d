package negotiate

import (
	"cmp"
	"errors"
	"runtime"
	"strings"

	"github.com/go-proxyauth/proxyauth/internal/hint"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

// ifDecrypted is a further reason for the refusal of what is bound to the TLS connection.
const ifDecrypted = ", and whether " + hint.Decrypted

// Hint returns what is likely to be wrong and what fixes it, for [proxyauth.Error]. It is
// that of an error below with a method Hint() string, as an [Engine] may return one, and
// empty if the Code is not known.
func (e *Error) Hint() string {
	if h, ok := errors.AsType[hinter](e.Err); ok && h.Hint() != "" {
		return h.Hint()
	}
	hint, ok := hints[e.Code]
	if !ok {
		return ""
	}
	about := krb.AboutOf(e.Err, known(e.Code).err)
	realm := "of the realm"
	if about.Realm != "" {
		realm = "of realm " + about.Realm
	}
	what := ""
	if about.What != "" {
		what = " (" + about.What + ")"
	}
	decrypted := ""
	if errors.Is(e.Err, errDecrypted) {
		decrypted = ifDecrypted
	}
	return strings.NewReplacer(
		"{of realm}", realm,
		"{realm}", cmp.Or(about.Realm, "REALM"),
		"{spn}", cmp.Or(about.SPN, e.spn, "HTTP/host"),
		"{what}", what,
		"{decrypted}", decrypted,
	).Replace(hint)
}

// A hinter is an error of an [Engine] with a hint of its own.
type hinter interface {
	error
	Hint() string
}

// hints holds the hint for each code. What is known of the failure is put in place of
// {what}, {of realm}, {realm}, {spn} and {decrypted}.
var hints = map[Code]string{
	NoMutual:    "The proxy has not proved that it could decrypt the ticket for {spn}. Not every proxy can: clear RequireMutual to allow that.",
	NotVerified: "The peer has not proved that it has the key of {spn}: it may not be your proxy.",
	PasswordWrong: "The KDC {of realm}, and not the proxy, has refused the password: it is wrong, or was changed. " +
		"It is not sent again, to spare the account, until the provider returns another or Transport.Reset is called.",
	PasswordExpired: "The KDC {of realm} says that the password has expired. Change it, with kpasswd for example.",
	AccountRevoked:  "The KDC {of realm} says that the account is locked, disabled or expired. Ask whoever runs the directory to unlock it.",
	NoVerdict: "A KDC {of realm} was sent proof of the password, and has not answered whether it is right{what}, so that it is held back for a while to spare the account. " +
		"Check the network to the KDC, its load and its log.",
	ClockSkew: "The clocks of this machine, the KDC {of realm} and the proxy differ by more than Kerberos allows{what}. " +
		"Synchronise them by NTP.",
	ProxyKey: "The proxy can't decrypt the ticket for {spn}: its keytab does not match the account that holds this name. " +
		"Export the keytab anew, and check with setspn -Q {spn} that one account alone has the name.",
	TicketRefused: "The proxy refuses the Kerberos ticket for {spn}. Check its keytab (klist -k), its clock (NTP) and whether the user is allowed{decrypted}.",
	IPAddress: "The proxy is configured by its IP address, which has no service principal. " +
		"Configure its host name, for example HTTPS_PROXY=http://proxy.example.com:3128, or set negotiate.Scheme.SPN.",
	ServiceUnknown: "The KDC {of realm} does not know the proxy's service principal {spn}. " +
		"Register it, on Active Directory with setspn -S {spn} ACCOUNT; or set negotiate.Scheme.CanonicalizeHost if the proxy's name is an alias, or SPN if it uses another name.",
	ClientUnknown: "The KDC {of realm} does not know the user. " +
		"Check the user name and its realm (user@REALM, negotiate.Scheme.Realm, or default_realm in krb5.conf).",
	KeytabStale: "The KDC {of realm} refuses the key in the keytab, since the account's password was changed. Export the keytab anew.",
	EncType: "Client, KDC {of realm} and proxy have no encryption type in common{what}. " +
		"Compare permitted_enctypes in krb5.conf with what the KDC and the account of {spn} support.",
	NoKDC: "No KDC {of realm} is known{what}. Add it to [realms] in krb5.conf, publish it in DNS (_kerberos._tcp.{realm}), or set negotiate.Scheme.KDCs.",
	KDCUnreachable: "No KDC {of realm} answers{what}. " +
		"Check the network to it, its name, and that a firewall lets port 88 (TCP) through.",
	ConfigFile:     "krb5.conf can't be used{what}. Correct it, or name another one in KRB5_CONFIG or negotiate.Scheme.ConfigFile.",
	NoRealm:        "The user's Kerberos realm is unknown. Give the user as user@REALM, or set default_realm in krb5.conf or negotiate.Scheme.Realm.",
	MalformedReply: "What answers as the KDC {of realm} does not speak Kerberos. Check the KDC's address in krb5.conf, DNS or negotiate.Scheme.KDCs.",
	KDCRefuses:     "The KDC {of realm} refuses the request{what}. Ask whoever runs it: its log has the reason, and RFC 4120, Section 7.5.9 what the codes mean.",
	TicketExpired:  "The Kerberos ticket has expired{what}. Run kinit.",
	CacheType:      "The ticket cache is of a type that can't be read here{what}. " + withoutCache(runtime.GOOS),
	MalformedFile:  "A file of Kerberos can't be read{what}. Mend it or, if it is a ticket cache, run kdestroy and kinit.",
	NoTicket:       "There is no Kerberos ticket that can be used{what}. " + withoutTicket(runtime.GOOS),
	NoPassword:     "The proxy wants NTLM inside Negotiate, and takes no ticket. Supply a password (Transport.Credentials), or enable Kerberos at the proxy.",
}

// withoutTicket says what to do on a system where there is no ticket.
func withoutTicket(goos string) string {
	const others = "set KRB5CCNAME to the cache that has it, name a keytab, or supply user and password."
	switch goos {
	case "windows":
		return "Supply user and password, use the logon session (negotiate.Scheme.Engine), name a keytab, or set KRB5CCNAME to a file that kinit has written."
	case "darwin":
		return "Run kinit -c FILE:/tmp/krb5cc_$UID, as macOS's default cache can't be read, " + others
	}
	return "Run kinit, " + others
}

// withoutCache says what to do on a system where a type of ticket cache can't be read.
func withoutCache(goos string) string {
	if goos == "windows" {
		return "Supply user and password, or use the logon session (negotiate.Scheme.Engine)."
	}
	return "Set KRB5CCNAME=FILE:/path/of/a/file and run kinit."
}
