package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/credentials/defaults"
	"github.com/go-proxyauth/proxyauth/credentials/prompt"
)

// sources are the providers that are asked, one after the other: those of a program that uses
// package defaults.
func (d *diagnosis) sources() []proxyauth.CredentialsProvider {
	if d.config.Password != nil {
		return []proxyauth.CredentialsProvider{
			credentials.Named("-password-stdin", credentials.Static(d.user(), d.config.Password.Reveal())),
		}
	}
	list := defaults.Sources()
	if !d.config.Prompt || d.config.User == "" && d.ticket() {
		list = slices.DeleteFunc(list, asksPerson)
	}
	return list
}

// asksPerson reports whether a provider is the prompt.
func asksPerson(p proxyauth.CredentialsProvider) bool {
	return fmt.Sprint(p) == new(prompt.Provider).String()
}

// user returns the user that the command line, the proxy's URL or the environment names.
func (d *diagnosis) user() string {
	return cmp.Or(d.config.User, d.proxy.User.Username(), os.Getenv(credentials.DefaultUserVariable))
}

// request describes the credentials that are needed.
func (d *diagnosis) request() *proxyauth.CredentialsRequest {
	req := &proxyauth.CredentialsRequest{Proxy: d.proxyURL(), Scheme: d.report.Schemes.Common[0]}
	for _, c := range d.decides.challenges() {
		if strings.EqualFold(c.Scheme, req.Scheme) {
			req.Realm = c.Params["realm"]
		}
	}
	if name := d.user(); name != "" {
		req.UserInfo = &proxyauth.Credentials{Username: name}
	}
	if password, ok := d.proxy.User.Password(); ok && d.proxy.User.Username() == d.user() {
		req.UserInfo = &proxyauth.Credentials{Username: d.user(), Password: proxyauth.NewSecret(password)}
	}
	return req
}

// look looks for credentials until there are some.
func (d *diagnosis) look(ctx context.Context) *Verdict {
	req := d.request()
	var details []string
	result, text := Warning, "no user name and password found"
	if d.user() != "" {
		text = "no password found for user " + printable(d.user())
	}
	for _, provider := range d.sources() {
		source := Source{Name: fmt.Sprint(provider)}
		c, err := d.askProvider(ctx, provider, req)
		switch {
		case err == nil && c.Password.Reveal() == "":
			source.Text, d.emptyIn = "the password is empty", source.Name
			details = append(details, source.Name+": "+source.Text+", and is not sent")
		case err == nil:
			source.Found, source.User = true, printable(c.Username)
			d.credentials = &c
			d.secrets.hide(c)
			text, result = fmt.Sprintf("user %s, from %s", source.User, source.Name), OK
		case ctx.Err() != nil, errors.Is(err, prompt.ErrCancelled):
			return cancelled()
		default:
			source.Text = why(source.Name, err)
			if source.Name == new(credentials.Netrc).String() && !hasNone(source.Text) {
				d.unread = source.Name + " (" + source.Text + ")"
			}
			details = append(details, source.Name+": "+source.Text)
		}
		d.report.Credentials = append(d.report.Credentials, source)
		if source.Found {
			break
		}
		d.looked = append(d.looked, source.Name+": "+source.Text)
	}
	if result == Warning && d.ticket() {
		result, text = OK, "no password found; there is a ticket"
	}
	d.step("credentials", result, text, details...)
	return nil
}

// hasNone reports whether what netrc says is that it has no entry, and not that it can't be read.
func hasNone(text string) bool {
	return strings.HasPrefix(text, "no entry for ") || strings.HasSuffix(text, " does not exist") || strings.HasPrefix(text, "the home directory")
}

// askProvider asks a provider, for no longer than a step may take, unless it asks a person.
func (d *diagnosis) askProvider(ctx context.Context, p proxyauth.CredentialsProvider, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	if !asksPerson(p) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.config.Timeout)
		defer cancel()
	}
	return p.Credentials(ctx, req)
}

// why returns the error of a provider without what every error begins with.
func why(name string, err error) string {
	text := err.Error()
	for _, prefix := range []string{"proxyauth: ", "no credentials: ", name + ": ", "credentials: ", name + ": "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return printable(text)
}

// provider gives the Transport what was found. A user without a password is one for whose
// ticket Negotiate looks; it never sends the empty password.
func (d *diagnosis) provider() proxyauth.CredentialsProvider {
	return proxyauth.CredentialsFunc(func(_ context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
		switch {
		case d.credentials != nil:
			return *d.credentials, nil
		case d.user() != "" && req.Scheme == "Negotiate":
			return proxyauth.Credentials{Username: d.user()}, nil
		}
		return proxyauth.Credentials{}, fmt.Errorf("%w: %s", proxyauth.ErrNoCredentials, strings.Join(d.looked, "; "))
	})
}
