package digest

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"maps"
	"net/http"
	"sync"

	"github.com/go-proxyauth/proxyauth"
)

// hashBody returns the hash, in hex, of the body that leg is going to send. It
// reads a copy of it, which it closes at the end of ctx at the latest, to end a Read.
func hashBody(ctx context.Context, a Algorithm, leg proxyauth.Leg) (string, error) {
	h := a.new()
	if !leg.HasBody {
		return sum(h), nil
	}
	if leg.GetBody == nil {
		return "", ErrBodyNeeded
	}
	body, err := leg.GetBody()
	if err != nil {
		return "", fmt.Errorf("proxyauth: digest: get the body: %w", err)
	}
	if body == nil {
		return sum(h), nil
	}
	closeBody := sync.OnceFunc(func() { body.Close() })
	defer closeBody()
	defer context.AfterFunc(ctx, closeBody)()
	if _, err := io.Copy(h, &cancelReader{ctx, body}); err != nil {
		return "", fmt.Errorf("proxyauth: digest: read the body: %w", err)
	}
	return sum(h), nil
}

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// A cancelReader fails once its context is done. A large body takes a while.
type cancelReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// A verifiedBody hashes a response's body as it is read, and has an error in
// place of the end if the proxy did not vouch for it (qop auth-int).
type verifiedBody struct {
	io.ReadCloser
	hash    hash.Hash
	verdict func(bodyHash string) error
	end     error // what the end is, once reached
}

// Read implements io.Reader.
func (b *verifiedBody) Read(p []byte) (int, error) {
	if b.end != nil {
		return 0, b.end
	}
	n, err := b.ReadCloser.Read(p)
	b.hash.Write(p[:n])
	if err == io.EOF {
		b.end = io.EOF
		if err := b.verdict(sum(b.hash)); err != nil {
			b.end = err
		}
		return n, b.end
	}
	return n, err
}

// verifyBody puts a verifiedBody into resp.
func (s *session) verifyBody(resp *http.Response, v verdict, info map[string]string) {
	used := s.used
	resp.Body = &verifiedBody{
		ReadCloser: resp.Body,
		hash:       v.proof.algorithm.new(),
		verdict: func(bodyHash string) error {
			if resp.Uncompressed {
				bodyHash = "" // what net/http has decompressed is not what the proxy has hashed
			}
			late, _ := proxyauth.ParseAuthInfo(resp.Trailer)
			if err := v.check(merge(info, late), bodyHash); err != nil {
				return err
			}
			s.follow(used, late["nextnonce"])
			return nil
		},
	}
}

// merge returns the parameters of both; those in the header count first.
func merge(header, trailer map[string]string) map[string]string {
	all := make(map[string]string, len(header)+len(trailer))
	maps.Copy(all, trailer)
	maps.Copy(all, header)
	return all
}
