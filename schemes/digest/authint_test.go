package digest_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
)

func TestAuthInt(t *testing.T) {
	leg := func(text string) proxyauth.Leg {
		return proxyauth.Leg{Method: "POST", Target: "/", HasBody: true, GetBody: body(text)}
	}
	large := strings.Repeat("x", 1<<20)
	for _, tc := range []struct {
		desc string
		leg  proxyauth.Leg
		want string // the body that is hashed
	}{
		{"no body", proxyauth.Leg{Method: "GET", Target: "/"}, ""},
		{"an empty body", leg(""), ""},
		{"a nil body", proxyauth.Leg{Method: "POST", Target: "/", HasBody: true, GetBody: func() (io.ReadCloser, error) { return nil, nil }}, ""},
		{"a body", leg("v=1"), "v=1"},
		{"a large body", leg(large), large},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			for _, algorithm := range []string{"MD5", "SHA-256-sess", "SHA-512-256"} {
				c := newClient(t, offered("n", "qop", "auth-int", "algorithm", algorithm))
				c.send(tc.leg)
				require.Equal(t, responseOf(c.sent, "s3cret", tc.leg.Method, tc.want), c.sent["response"])
			}
		})
	}
}

func TestAuthIntBodyFailures(t *testing.T) {
	boom := errors.New("boom")
	broken := func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("x"), errReader{boom})), nil
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		desc    string
		ctx     context.Context
		getBody func() (io.ReadCloser, error)
		want    error
	}{
		{"a body that can't be read twice", t.Context(), nil, digest.ErrBodyNeeded},
		{"GetBody fails", t.Context(), func() (io.ReadCloser, error) { return nil, boom }, boom},
		{"the body fails", t.Context(), broken, boom},
		{"cancelled", cancelled, body("x"), context.Canceled},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			c := newClient(t, offered("n", "qop", "auth-int"))
			closed := 0
			leg := proxyauth.Leg{Method: "POST", HasBody: true, GetBody: counted(tc.getBody, &closed)}
			_, err := c.session.Authorization(tc.ctx, leg)
			require.ErrorIs(t, err, tc.want)
			if errors.Is(err, digest.ErrBodyNeeded) || tc.desc == "GetBody fails" {
				return
			}
			require.Equal(t, 1, closed)
			c.send(proxyauth.Leg{Method: "GET"})
			require.Equal(t, "00000001", c.sent["nc"], "a failure must not leave a gap")
		})
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

type countingCloser struct {
	io.Reader
	closed *int
}

func (c countingCloser) Close() error { *c.closed++; return nil }

func counted(getBody func() (io.ReadCloser, error), closed *int) func() (io.ReadCloser, error) {
	if getBody == nil {
		return nil
	}
	return func() (io.ReadCloser, error) {
		body, err := getBody()
		if err != nil {
			return nil, err
		}
		return countingCloser{body, closed}, nil
	}
}
