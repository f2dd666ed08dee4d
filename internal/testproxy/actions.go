package testproxy

import (
	"net/http"
	"slices"
)

// CloseSilently closes the connection after an answer that says nothing of it.
func CloseSilently() *Action { return &Action{Close: true} }

// CloseOpenly closes the connection after an answer with Connection: close, as
// squid does with keep_alive off.
func CloseOpenly() *Action { return &Action{SayClose: true} }

// HTTP10 answers as tinyproxy does: HTTP/1.0, no Content-Length, a body to the
// end of the connection, even to HEAD.
func HTTP10() *Action {
	return &Action{Proto: "HTTP/1.0", Framing: FramingClose, BodyToHead: true}
}

// Chunked answers with a chunked body.
func Chunked() *Action { return &Action{Framing: FramingChunked} }

// LargeBody answers with a body of n bytes.
func LargeBody(n int64) *Action { return &Action{Fill: n} }

// EndlessBody answers with a body that does not end.
func EndlessBody() *Action { return &Action{Fill: -1} }

// EndlessHeader answers with a header that does not end.
func EndlessHeader() *Action { return &Action{FillHeader: -1} }

// Offer puts lines in place of the Proxy-Authenticate lines: an empty or
// malformed one, one that the proxy does not stand by, or none.
func Offer(lines ...string) *Action {
	return &Action{Challenges: append([]string{}, lines...)}
}

// ManyChallenges offers the same challenge n times.
func ManyChallenges(n int, line string) *Action {
	return Offer(slices.Repeat([]string{line}, n)...)
}

// StallAt sends nothing more once pt is reached.
func StallAt(pt Point) *Action { return &Action{Stall: pt} }

// DropAt closes the connection at pt.
func DropAt(pt Point) *Action { return &Action{Drop: pt} }

// ResetAt closes the connection at pt with a TCP reset.
func ResetAt(pt Point) *Action { return &Action{Drop: pt, Reset: true} }

// Interim sends n 1xx answers, such as "103 Early Hints", before the answer;
// endlessly many if n is negative.
func Interim(n int, status string) *Action {
	return &Action{Interim: status, InterimCount: n}
}

// Connected answers a CONNECT that is let through with status and header, and in
// the same write with behind, the first bytes of the tunnel.
func Connected(status int, header http.Header, behind string) *Action {
	return &Action{Status: status, Header: header, Behind: behind}
}

// Refuse answers with status and body and keeps the request from its target.
func Refuse(status int, body string) *Action {
	return &Action{Status: status, Body: body}
}

// Garbage sends text instead of an answer.
func Garbage(text string) *Action { return &Action{Raw: text} }
