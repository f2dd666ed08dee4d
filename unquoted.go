package proxyauth

import (
	"errors"
	"net"
	"strings"
)

// An unquotedError is an error of net/http without what it quotes of a malformed
// answer: a proxy may have echoed the authorization (CVE-2025-62168).
type unquotedError struct {
	text string
	err  func() error // so that it can't be printed
}

func (e *unquotedError) Error() string { return e.text }

// Unwrap returns the error as net/http has it.
func (e *unquotedError) Unwrap() error { return e.err() }

// unquoted returns err without what it quotes of an answer.
func unquoted(err error) error {
	if err == nil {
		return nil
	}
	text, _, quotes := strings.Cut(err.Error(), `"`)
	if !quotes || !fromAnswer(err) {
		return err
	}
	return &unquotedError{strings.TrimRight(text, ": "), func() error { return err }}
}

// fromAnswer reports whether err may be about what a peer has answered, rather than
// about the connection.
func fromAnswer(err error) bool {
	if _, ok := errors.AsType[*Error](err); ok {
		return false
	}
	_, ok := errors.AsType[net.Error](err)
	return !ok
}
