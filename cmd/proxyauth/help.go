package main

const usage = `proxyauth gets HTTP through proxies that ask for authentication.

  proxyauth doctor [flags] URL   find out why a URL does not load, and what to do
  proxyauth version              print the version
  proxyauth help [doctor]        explain a command
`

const doctorHelp = `proxyauth doctor [flags] URL

Doctor finds out why URL does not load through the proxy, and says what to do. It
looks at one thing after the other, and stops where the cause is found: which
proxy applies; whether its name resolves, it accepts connections, speaks TLS or
not, and has a certificate that is trusted; what it asks for; which schemes both
sides know; where credentials are; what there is for Kerberos; whether the proxy
accepts them; whether the target answers.

No password is shown, and no empty one is sent. One wrong answer of the proxy, or
of a KDC, to a password ends it, since directories lock accounts after a few.

The proxy is the one of HTTPS_PROXY, HTTP_PROXY and NO_PROXY, or that of -proxy.
Credentials come from -password-stdin or else, in this order, from the user info
of the proxy's URL, PROXY_USER and PROXY_PASSWORD, netrc, the system's keyring,
and the person at the terminal. Tickets come from the ticket cache or a keytab,
on Windows from the logon session first.

Flags:
  -proxy URL        use this proxy, whatever the environment says
  -user NAME        the user, such as ann, CORP\ann or ann@EXAMPLE.COM
  -password-stdin   read the password of the user from standard input, one line
  -scheme NAMES     use these schemes alone: Negotiate, NTLM, Digest, Basic
  -spn NAME         ask the KDC for this service, in place of HTTP/host
  -ca FILE          trust the certificates in this PEM file, too
  -timeout D        wait for an answer as long as this, in each step and each leg of
                    the sign-in (default 10s)
  -direct           ask the target without the proxy, too
  -try-all          try each scheme once, even if the password was refused: a
                    wrong one then counts as often as there are schemes
  -v                show the headers, without secrets
  -json             print the report as JSON
  NO_COLOR, if set, turns colours off, which there are on a terminal alone.

Exit status:
  0  the URL loads
  1  something was found: the last lines say what, and what to do
  2  wrong usage

JSON: one object. Times are in milliseconds where the name ends in "ms", and else
as in RFC 3339. Fields that do not apply are missing. Later versions of the
program add fields; "version" grows if one is renamed, removed or means another
thing.
  version      1
  url          URL, without user info and query
  verdict      ok; cause; text; fix
  steps        list: name; result ("ok", "warning", "failed", "skipped"); text;
               details; headers (with -v)
  proxy        url; source ("-proxy" or a variable); reason (why there is none)
  addresses    list: address; ok; ms; error
  tls          wanted; spoken; version; subject; issuer; expires; error
  offers       list: op ("GET", "CONNECT"); target; status; schemes; challenges
               (the lines of Proxy-Authenticate); malformed; server; ms; error;
               a third one is for a host that does not exist
  schemes      enabled; offered; common (the strongest first)
  credentials  list, in the order of looking: name; found; user; text
  kerberos     engine (who is logged in, and what the system offers; Windows);
               config_files; realm; caches (list, the one that is read first:
               name; from; principal; expires; tickets (service, start, end);
               error); keytab; kdcs (list: address; ok; skew_ms; error);
               max_skew_ms; proxy_skew_ms; spn; spn_known; error
  attempts     list: schemes; ok; scheme; legs (list: op; scheme; reused; status;
               ms; error); status; cause; error
  target       through_proxy and direct: status; ms; error
Causes are those of the library (no_credentials, credentials_rejected, denied,
held_back, no_common_scheme, no_challenge, malformed_challenge, policy_forbids,
ticket_missing, kerberos_failed, scheme_failed, handshake_broken,
proxy_not_verified, proxy_url_invalid, proxy_unreachable, not_a_proxy,
target_unreachable, proxy_failed, body_not_replayable) and
  works                the URL loads
  no_proxy             no proxy is used, and the target does not answer
  target_unauthorized  the target itself wants a login (401)
  target_forbidden     the target refuses (403)
  target_certificate   the target's certificate is not trusted
  target_failed        any other answer of the target, or none
  captive_portal       a web page wants a sign-in first (511, or a redirect of a
                       CONNECT)
  cancelled            ended by the user
Some causes of the library are those of programs, which have settings and bodies:
doctor sends no body (body_not_replayable), sets no rule, so that it sees
policy_forbids only at a proxy that takes back a stronger scheme, and begins
with passwords of which nothing is known, so that held_back is rare. An answer
to an http:// URL may be the proxy's or the target's: the text of the verdict says
so where neither X-Squid-Error, Proxy-Status, Server nor Via tells, and -direct
may. A page that a network puts in the place of an http:// target, with 200,
can't be told from the target's.
`
