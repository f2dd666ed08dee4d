package prompt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

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

// askOn asks on a terminal. A signal that ends the program during the question does so
// when the terminal is as it was before.
func (q *question) askOn(ctx context.Context, device string) (proxyauth.Credentials, error) {
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return proxyauth.Credentials{}, context.Cause(ctx)
	}
	ctx, ending := notifyEnding(ctx)
	defer ending.raise()
	t, err := openTerminal(ctx, device)
	if err != nil {
		return proxyauth.Credentials{}, err
	}
	defer t.close()
	c, err := q.ask(t)
	if err != nil {
		// Half a password would be the next one's, or the shell's, and visible.
		discard(t.in)
	}
	if errors.Is(err, io.EOF) {
		err = ErrCancelled
	}
	return c, err
}

func (q *question) ask(t *terminal) (proxyauth.Credentials, error) {
	t.write(q.introduction())
	user := q.user
	if user == "" {
		var err error
		user, err = t.readLine("User name: ", true)
		if err != nil {
			return proxyauth.Credentials{}, err
		}
		if user = strings.TrimSpace(user); user == "" {
			return proxyauth.Credentials{}, ErrCancelled
		}
	}
	password, err := t.readLine("Password for "+shown(user)+": ", false)
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

// shown returns text, which may be the peer's, as it is shown.
func shown(text string) string {
	runes := []rune(printed(text))
	if len(runes) > maxShown {
		return string(runes[:maxShown]) + "..."
	}
	return string(runes)
}
