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
// A request that does not get through a proxy ends with an [*Error]. Its Cause is one
// of a list, and its Hint says what fixes it. A 407 to a request for an http:// URL
// is a response, as in net/http: [ResponseError] returns the *Error that belongs to
// it, and [Transport.ErrorOn407] returns it in place of the response.
//
// # Schemes
//
// The schemes are in packages below schemes; a program that lists them by hand
// links only those. They are tried in the order of [Transport.Schemes]. The next
// one is tried if one can't be carried out, never because a password was refused:
// one refusal is remembered, and the password not sent to this proxy again, since
// directories lock accounts after a few.
//
// # Connections
//
// Requests for https:// URLs go through tunnels (CONNECT), which are authenticated
// as they are made. Requests for http:// URLs are forwarded by the proxy. Schemes
// that authenticate the request put a field into each of them. NTLM and Negotiate
// authenticate the connection: each connection of the pool does so as it is made,
// so that requests go over it as they are.
//
// Each proxy, and each user info in a proxy's URL, has connections of its own, so
// that none ever serves another identity, in several pools, for each of which Base's
// limits hold on their own. HTTP/2 to origin servers and all other settings of Base
// stay as they are, but for what [Transport.Base] says.
//
// Some proxies want a Negotiate token with each request all the same; that is
// noticed. A proxy that a scheme of several legs can't get through, because it
// closes connections or spreads them over several machines, is an error that says
// so.
//
// # Security
//
// Credentials go to the proxy that they are for and nowhere else: not to another
// proxy, not into a tunnel, not to an origin server, not along with a redirect. The
// request's own header never goes into a CONNECT or another request that the
// Transport makes of its own accord. A password that was refused is not sent
// again; one that is not proved, and whose proof got no answer twice, only after a
// pause that doubles each time, up to half an hour. A proxy that has offered a
// stronger scheme and then offers only weaker ones is given none of them. Passwords
// are held in a [Secret], which doesn't print, and no error, trace or log has one.
// Whatever a proxy sends, what is done about it is bounded.
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
