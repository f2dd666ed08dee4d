// Package negotiate implements the auth-scheme Negotiate (RFC 4559): Kerberos
// (RFC 4120, RFC 4121), and NTLM for who has a password, inside SPNEGO (RFC
// 4178).
//
// # Where tickets come from
//
// A [proxyauth.Transport] asks its provider first, even where there is a ticket:
// whom the provider names, or nobody if it says [proxyauth.ErrNoCredentials], is
// who a ticket is looked for. Any other error of the provider is the end of it.
//
// The [Engine] of the scheme is then tried, if it has one: [Scheme.Engine] is that
// of Windows in package sspi, or one of the program's own. Unless [Scheme.Sources]
// says otherwise, the sources are tried after it in this order:
//
//   - the ticket cache that kinit fills: [Scheme.TicketCache], KRB5CCNAME,
//     default_ccache_name, /tmp/krb5cc_UID. See below.
//   - a keytab: [Scheme.Keytab], KRB5_CLIENT_KTNAME, default_client_keytab_name.
//   - user and password from the provider. The user name is user@REALM,
//     REALM\user, or user of the realm in [Scheme.Realm] or of default_realm. A
//     domain without a dot (CORP\ann) means that realm too, if it is given in
//     [Scheme.Realm] or the domain is a part of default_realm.
//
// If the provider names a user, a ticket cache or keytab of another user is left
// alone.
//
// A ticket cache is of type FILE or DIR; of type KCM, which sssd or Heimdal keep in a daemon
// (kcm_socket in krb5.conf); or, on Linux, of type KEYRING in the kernel, in the keyring that
// persists, or in that of the session or the user. Where the name is that of a collection
// (DIR:path, KCM:, KEYRING:persistent:1000), the cache of the user who is asked for is the
// one, or else the primary cache. Caches are read, never written, and read again when they
// have changed. One that was emptied is waited for, a quarter of a second at most, as kinit
// may be filling it. A daemon that does not answer for five seconds is left alone for half
// a minute. Caches of type API and XCACHE on macOS, and MSLSA on Windows, can't be read.
//
// krb5.conf is the one in [Scheme.ConfigFile], KRB5_CONFIG, or the system's, with
// what it includes. Without any, [Scheme.Realm] and [Scheme.KDCs] suffice.
//
// Tickets are kept in memory, shared by all connections: those of the 16,384 users who came last,
// for half an hour after their last use. One that ends soon is used as long as it lasts, and
// renewed beside the request that asks for it; one that has ended is fetched anew. Nothing runs
// without a request.
//
// # KDCs
//
// KDCs are asked over TCP alone (RFC 4120, Section 7.2.2), at port 88: tickets of Active Directory
// are longer than a datagram, and a proof of a password must not be sent again because a
// datagram may have been lost. UDP is not used, nor are proxies of KDCs (https:// in krb5.conf),
// and a firewall has to let TCP through. DNS names the KDCs of a realm that has none configured.
//
// The KDC that answered last is asked first, and the next one, of at most eight, as well if there
// is no answer for half a second. A connection that is refused, reset or without an answer is
// tried once more, by one call for all requests that wait. While KDCs can't be reached that call
// goes on for 3 seconds, and waits 10 seconds for an answer. After that requests fail at once,
// and one at a time asks again, 0.2 seconds later at first and at most 5. A KDC that reports
// trouble of its own (KRB_ERR_GENERIC), or whose answer is damaged, is passed over if another one
// answers. A failure of the KDC opens no NTLM to a proxy that has accepted a ticket, unless
// [proxyauth.Transport.InsecureAllowDowngrade] is set.
//
// A password is proved to one KDC at a time, and not before that has asked for the proof. One
// that the KDC has refused is proved to one other KDC of the realm, if there is another, since a
// replica may learn of a new password late. A user that the KDC does not know is looked for at one
// other KDC as well; if that does not know it either, or does not answer, it is asked again ten
// seconds later at the earliest, and twice as long each further time, up to half an hour. If
// krb5.conf names a primary_kdc (or master_kdc), or DNS a _kerberos-master where it names the
// KDCs, it is the other one, and there is none after it. A password that was refused is then not
// sent again for half an hour, twice as long each further time, up to a day; the same holds for
// the key of a keytab. If the KDC does
// not answer whether the password is right ([NoVerdict]), answers the proof with any other error
// or with a reply that can't be decrypted, or says that the account is locked or expired without
// having seen the password, it is not asked again for a while: ten seconds the first time, and
// twice as long each further time, up to half an hour. Meanwhile a password that the KDC may
// have refused is not sent to the proxy in NTLM inside Negotiate, either. After three different
// passwords of a user that the KDC has refused in a row, another one waits for a second, and four
// times as long after each further one, up to half an hour; those that are being proved count as
// refused. What is known of the last 16,384 passwords and users is kept. [Scheme.Reset] ends all
// of this.
//
// What comes from a KDC before it has proved anything may come from somebody else. So a key of a
// password is not made with fewer than 4,096 iterations (RFC 3962, Section 4), and not for RC4,
// unless default_tkt_enctypes or permitted_enctypes in krb5.conf lists it; for the tickets of
// services RC4 is the last choice. A ticket must be for the service that the encrypted part of
// the KDC's reply names.
//
// The proxy may be in another realm than the user, such as a realm of MIT's that an Active
// Directory trusts. The user's KDC is asked for its ticket, and refers to the other realm where it
// knows of that; else it is asked for one to the realm that has the name of the proxy's domain, in
// upper case (EXAMPLE.COM for proxy.example.com), as MIT's library does. [domain_realm] in
// krb5.conf names another realm, and [capaths] the realms on the way, if the KDCs do not know it.
//
// [Scheme.Inspect] says what of all this there is, for programs that explain failures.
//
// # What is sent
//
// The AP-REQ asks for mutual authentication, is bound to the TLS connection to
// an https:// proxy, and never delegates. What the proxy sends back is verified,
// if it sends anything: squid does not. See [Scheme.RequireMutual].
//
// Where there is a password, NTLM is the second mechanism on offer. A proxy that
// selects it, answers with a message of it, or rejects the ticket, gets it, and
// is offered nothing else for ten minutes. If there is no ticket to be had, NTLM
// goes without SPNEGO at first, as from Windows, and inside it to a proxy that
// would not have it so. A proxy that selects a mechanism should prove with an
// integrity code that the offer has reached it whole (RFC 4178, Section 5). Squid
// doesn't, so that one that is missing is accepted; one that is wrong is not. Who
// does not want to be talked into NTLM sets [Scheme.DisableNTLM].
//
// Once it has accepted the token, the connection is authenticated. A proxy that
// wants a token for each request gets a new one from a new session, or from the
// same one.
//
// A proxy that refuses a ticket has not refused a password. The ticket is dropped
// and the error has the code [TicketRefused]; so another scheme may be tried. A
// password that the KDC refuses is refused: the error wraps
// [proxyauth.ErrRejected].
package negotiate
