// Package ntlmserver is the accepting side of NTLM for tests: it challenges a
// client and verifies the answer for real, down to the last bit that a server
// could check, and says by a distinct error which rule was broken.
//
// It is written from MS-NLMP alone and shares no code with the client that it
// examines, so that a misreading on one side does not excuse the same on the
// other. It is stricter than servers in the field: they let pass what this one
// refuses wherever MS-NLMP tells a client how to do it.
//
// Only NTLMv2 is accepted. A [Server] knows the users and the policy, a
// [Context] is one handshake on one connection:
//
//	srv := &ntlmserver.Server{Users: map[string]string{"ann": "s3cret"}}
//	ctx := srv.NewContext(nil)
//	challenge, _, err := ctx.Accept(negotiate)
//	_, done, err := ctx.Accept(authenticate)
package ntlmserver
