// Package spnegoserver is the accepting side of SPNEGO for tests: what a proxy
// does with the tokens of Proxy-Authorization: Negotiate. It verifies Kerberos
// by a keytab and NTLM by what it is given, with RFC 4178, RFC 4121 and RFC 4120
// in hand, says by a distinct error which rule was broken, and misbehaves on
// demand.
//
// It shares no code with the client that it examines. Of gokrb5 it uses the
// ciphers and the shapes of messages; tokens, checksums and MICs are its own.
//
// A [Server] is the policy, a [Context] one exchange on one connection, and
// [Mechanism] puts them into a testproxy.Proxy:
//
//	srv := &spnegoserver.Server{Keytab: k.Keytab("HTTP/proxy.example.com")}
//	ctx := srv.NewContext(nil)
//	out, done, err := ctx.Accept(token)
package spnegoserver
