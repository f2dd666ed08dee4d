package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/credentials/keyring"
	"github.com/go-proxyauth/proxyauth/credentials/prompt"
)

// sources are the providers that are asked, one after the other.
func (d *diagnosis) sources() []proxyauth.CredentialsProvider {
	if d.config.Password != nil {
		return []proxyauth.CredentialsProvider{
			credentials.Named("-password-stdin", credentials.Static(d.user(), d.config.Password.Reveal())),
		}
	}
	list := []proxyauth.CredentialsProvider{
		credentials.Named("user info of the proxy's URL", proxyauth.CredentialsFunc(fromURL)),
		credentials.Named("environment", proxyauth.CredentialsFunc(fromEnvironment)),
		credentials.Netrc{},
		new(keyring.Provider),
	}
	if d.config.Prompt && (d.config.User != "" || !d.ticket()) {
		list = append(list, new(prompt.Provider))
	}
	return list
}

// fromURL leaves a URL that names nothing but the user to the other providers.
func fromURL(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	if req.UserInfo != nil && req.UserInfo.Password.Reveal() == "" {
		return proxyauth.Credentials{}, fmt.Errorf("%w: it has no password", proxyauth.ErrNoCredentials)
	}
	return credentials.ProxyURL().Credentials(ctx, req)
}

// fromEnvironment reads PROXY_USER and PROXY_PASSWORD. Where a user is named already, the
// password alone will do, and that of another user will not.
func fromEnvironment(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	password, found := os.LookupEnv(credentials.DefaultPasswordVariable)
	named := req.UserInfo != nil && req.UserInfo.Username != ""
	if named && found && os.Getenv(credentials.DefaultUserVariable) == "" {
		return proxyauth.Credentials{Username: req.UserInfo.Username, Password: proxyauth.NewSecret(password)}, nil
	}
	c, err := credentials.Environment("", "").Credentials(ctx, req)
	if err == nil && named && c.Username != req.UserInfo.Username {
		return proxyauth.Credentials{}, fmt.Errorf("%w: %s is another user", proxyauth.ErrNoCredentials, credentials.DefaultUserVariable)
	}
	return c, err
}

// user returns the user that the command line or the proxy's URL names.
func (d *diagnosis) user() string {
	if d.config.User != "" || d.proxy.User == nil {
		return d.config.User
	}
	return d.proxy.User.Username()
}

// request describes the credentials that are needed.
func (d *diagnosis) request() *proxyauth.CredentialsRequest {
	req := &proxyauth.CredentialsRequest{Proxy: d.proxyURL(), Scheme: d.report.Schemes.Common[0]}
	for _, c := range d.asked.challenges() {
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
	result, text := Warning, "none found"
	for _, provider := range d.sources() {
		source := Source{Name: fmt.Sprint(provider)}
		c, err := d.askProvider(ctx, provider, req)
		switch {
		case err == nil:
			source.Found, source.User = true, printable(c.Username)
			d.credentials = &c
			d.secrets.hide(c)
			text, result = fmt.Sprintf("user %s, from %s", source.User, source.Name), OK
		case ctx.Err() != nil:
			return cancelled()
		default:
			source.Text = why(source.Name, err)
			details = append(details, source.Name+": "+source.Text)
		}
		d.report.Credentials = append(d.report.Credentials, source)
		if source.Found {
			break
		}
		d.looked = append(d.looked, source.Name+": "+source.Text)
		if !errors.Is(err, proxyauth.ErrNoCredentials) && source.Name != new(keyring.Provider).String() {
			d.step("credentials", Failed, source.Name+" can't be read", details...)
			return finding(proxyauth.CauseNoCredentials, source.Name+" can't be read: "+source.Text,
				"Correct it: a program that asks it for credentials ends with this error.")
		}
	}
	if result == Warning && d.ticket() {
		result, text = OK, "no password found; there is a ticket"
	}
	d.step("credentials", result, text, details...)
	return nil
}

// askProvider asks a provider, for no longer than a step may take, unless it asks a person.
func (d *diagnosis) askProvider(ctx context.Context, p proxyauth.CredentialsProvider, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	if _, person := p.(*prompt.Provider); !person {
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
