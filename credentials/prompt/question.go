package prompt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-proxyauth/proxyauth"
)

// maxShown bounds the peer's text on the screen.
const maxShown = 80

// turn lets one question at a time onto the screen, whoever asks it.
var turn = make(chan struct{}, 1)

// A question is what a person is asked.
type question struct {
	proxy, realm, user string
	refused            bool
	attempt            int
}

func (q *question) askOn(ctx context.Context, device string) (proxyauth.Credentials, error) {
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return proxyauth.Credentials{}, context.Cause(ctx)
	}
	t, err := openTerminal(ctx, device)
	if err != nil {
		return proxyauth.Credentials{}, err
	}
	defer t.close()
	c, err := q.ask(t)
	if err != nil {
		// The cursor is still behind the prompt, and half a password would be
		// the next one's, or the shell's, and visible. A Terminal would print its
		// prompt again.
		io.WriteString(t.out, "\r\n")
		discard(t.in)
	}
	if errors.Is(err, io.EOF) {
		err = ErrCancelled
	}
	return c, err
}

func (q *question) ask(t *terminal) (proxyauth.Credentials, error) {
	fmt.Fprint(t, q.introduction())
	user := q.user
	if user == "" {
		var err error
		if user, err = t.readLine("User name: "); err != nil {
			return proxyauth.Credentials{}, err
		}
	}
	password, err := t.ReadPassword("Password for " + shown(user) + ": ")
	if err != nil {
		return proxyauth.Credentials{}, err
	}
	if password == "" {
		return proxyauth.Credentials{}, ErrCancelled
	}
	return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}, nil
}

func (q *question) introduction() string {
	var b strings.Builder
	if q.refused {
		fmt.Fprintf(&b, "The proxy refused the credentials (attempt %d of %d).\n", q.attempt, MaxAttempts)
	}
	fmt.Fprintf(&b, "Proxy %s asks who you are", shown(q.proxy))
	if q.realm != "" {
		fmt.Fprintf(&b, " (realm %s)", strconv.Quote(shown(q.realm)))
	}
	b.WriteString(".\n")
	return b.String()
}

// shown makes text fit for a terminal: it may be the peer's, and hold escape
// sequences.
func shown(text string) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text))
	if len(runes) > maxShown {
		return string(runes[:maxShown]) + "..."
	}
	return string(runes)
}
