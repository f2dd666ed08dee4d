package krb

// recovered runs f, which hands octets of a peer or a file to gokrb5, and turns a
// panic of its into an error: gokrb5 slices what it is given without looking at
// the length.
func recovered[T any](f func() (T, error)) (v T, err error) {
	defer func() {
		if recover() != nil {
			err = ErrMalformedReply
		}
	}()
	return f()
}
