package krb

import "github.com/go-proxyauth/proxyauth/internal/onecall"

// recovered runs f, which hands octets of a peer or a file to gokrb5, and turns a
// panic of its into an error: gokrb5 slices what it is given without looking at
// the length. A panic of one of the program's functions goes on.
func recovered[T any](f func() (T, error)) (v T, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *onecall.Panic:
			panic(p)
		default:
			err = ErrMalformedReply
		}
	}()
	return f()
}
