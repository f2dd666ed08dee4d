//go:build unix

package credentials_test

import (
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/credentials/prompt"
)

// promptSources ask a person, directly and through a cache.
func promptSources(t *testing.T) map[string]source {
	all := make(map[string]source)
	if direct := newPerson(t); direct != nil {
		all["prompt"] = source{provider: direct, change: direct.change}
	}
	if cached := newPerson(t); cached != nil {
		all["cached prompt"] = source{provider: &credentials.Cached{Source: cached}, change: cached.change}
	}
	return all
}

// A person sits at a pseudo-terminal, and gives the one password that they know
// each time they are asked.
type person struct {
	*prompt.Provider

	mu       sync.Mutex
	password string
	asked    *proxyauth.CredentialsRequest
}

// newPerson returns nil where there are no pseudo-terminals.
func newPerson(t *testing.T) *person {
	t.Helper()
	screen, line, err := pty.Open()
	if err != nil && os.Getenv("PROXYAUTH_INTEROP") != "required" {
		return nil
	}
	require.NoError(t, err)
	p := &person{Provider: &prompt.Provider{Username: "ann", Device: line.Name()}, password: "old"}
	var sitting sync.WaitGroup
	sitting.Go(func() { p.sitAt(screen) })
	t.Cleanup(func() {
		// Only then does reading the screen end.
		line.Close()
		sitting.Wait()
		screen.Close()
	})
	return p
}

func (p *person) sitAt(screen io.ReadWriter) {
	const question = "Password for ann: "
	unread := ""
	buffer := make([]byte, 4096)
	for {
		n, err := screen.Read(buffer)
		if err != nil {
			return
		}
		unread += string(buffer[:n])
		for strings.Contains(unread, question) {
			_, unread, _ = strings.Cut(unread, question)
			io.WriteString(screen, p.knows()+"\r")
		}
	}
}

func (p *person) knows() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.password
}

func (p *person) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	p.mu.Lock()
	p.asked = req
	p.mu.Unlock()
	return p.Provider.Credentials(ctx, req)
}

// change tells the person the new password, and the program to ask again, though
// it may have given up.
func (p *person) change(*testing.T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.password = "new"
	p.Reset(p.asked)
}
