// Package proxyauth gets an application's HTTP through a proxy that asks for
// authentication.
//
// A [Transport] wraps an [http.Transport]. When a proxy answers 407 Proxy
// Authentication Required, it takes the strongest scheme that both sides know,
// asks a provider for credentials, and repeats the request with
// Proxy-Authorization:
//
//	client := &http.Client{Transport: &proxyauth.Transport{
//		Base:        http.DefaultTransport,
//		Schemes:     schemes.Default(),
//		Credentials: credentials.Static(`CORP\ann`, "s3cret"),
//	}}
//	resp, err := client.Get("https://example.com/")
//	if e, ok := errors.AsType[*proxyauth.Error](err); ok {
//		log.Fatal(e, "\n", e.Hint())
//	} else if err != nil {
//		log.Fatal(err)
//	}
//	defer resp.Body.Close()
//
// Which proxy a request takes is decided by Base, as in net/http: from the
// environment, by default. 401 and Authorization belong to origin servers and are
// not touched.
//
// # Errors
//
// A request that does not get through a proxy ends with an [*Error], one whose context
// has ended with the context's error, and one whose body can't be read with the body's.
// The Cause of an Error is one of a list, and its Hint says what fixes it. A 407 to a
// request for an http:// URL is a response, as in net/http: [ResponseError] returns the
// *Error that belongs to it, and [Transport.ErrorOn407] returns it in place of the
// response.
//
// # Schemes
//
// The schemes are in packages below schemes; a program that lists them by hand
// links only those. They are tried in the order of [Transport.Schemes]. The next
// one is tried if one can't be carried out on this machine, never because a password
// was refused.
//
// # Passwords
//
// Directories lock an account after a few wrong passwords, so that a Transport limits
// how often it sends one:
//
//   - A password that the proxy has not accepted yet is sent by one request at a
//     time; the others wait for its answer, at most 15 seconds. Once it is accepted
//     there is no limit.
//   - One that the proxy has refused is not sent there again until the provider
//     returns another or the program calls [Transport.Reset], but for a single try at
//     another target a minute later. The cause is [CauseCredentialsRejected].
//   - One that worked and is refused may have been changed, or the target may not be
//     allowed. The provider is asked, with [CredentialsRequest.Doubted]. If it returns
//     the same again, this target is denied for a minute, then for twice as long, up
//     to half an hour. The cause is [CauseDenied]. Other targets go on.
//   - One to which the proxy gives no answer, or a malformed one, may have been refused.
//     It is sent again after a pause of a second, then of four times as long each time,
//     up to half an hour. A request that would wait too long goes without it, and a
//     CONNECT is not sent. The cause is [CauseHeldBack], and [Error.Retry] is the end of
//     the pause. One that was accepted is sent by one request at a time once this has
//     happened three times in a row, and waits for the pauses if a few more follow.
//
// These limits hold within one Transport. Kerberos tickets have none.
//
// # Connections
//
// Requests for https:// URLs go through tunnels (CONNECT), which are authenticated
// as they are made. Requests for http:// URLs are forwarded by the proxy. Basic and
// Digest put a field into each of them. NTLM and Negotiate authenticate the
// connection: later requests go over it as they are.
//
// A GET, HEAD, OPTIONS or TRACE without a body opens such a handshake itself: if the
// proxy asks nothing for its host, the first answer is the one that counts. For other
// requests a GET of the same URL opens it, with no header of the request but
// User-Agent. A body that is large, or can't be sent again, is sent once
// authentication is settled.
//
// Each proxy, and each user info in a proxy's URL, has connections of its own, so
// that none ever serves another identity. [Transport.Base] says which limits hold for
// them. HTTP/2 to origin servers stays as it is.
//
// Some proxies want a Negotiate token with each request all the same; that is
// noticed. So are hosts for which a proxy asks nothing. A proxy that a handshake can't
// get through, because it closes connections or spreads them over several machines,
// is an error that says so.
//
// # Security
//
// Credentials go to the proxy that they are for and nowhere else: not to another
// proxy, not into a tunnel, not to an origin server, not along with a redirect. The
// request's own header never goes into a CONNECT or another request that the
// Transport adds. A proxy that has offered a stronger scheme and then offers only
// weaker ones is given none of them. Passwords are held in a [Secret], which doesn't
// print, and no error, trace or log has one. Whatever a proxy sends, what is done
// about it is bounded.
//
// A proxy sees http:// requests whole, and so does everybody between here and an
// http:// proxy. Those can also read the password that Basic sends, guess the one
// that Digest or NTLM proves, and relay NTLM. Against that help an https:// proxy,
// [Transport.ForbidCleartext], and a list of schemes without the weak ones;
// [Transport.AllowProxy] is for programs whose proxy is named by others.
// SECURITY.md says more.
//
// # Other schemes
//
// A program adds a scheme by implementing [Scheme] and [Session]; the example of
// Scheme does it in a few lines. [Describer], [Continuer], [Verifier] and [Resetter]
// are for schemes that need more: several legs, connections of their own, or a
// memory. Everything that these interfaces mention is for authors of schemes.
package proxyauth
