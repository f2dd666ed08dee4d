package proxyauth_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
)

const secretText = "s3cret"

// hidden has a secret where package fmt can't call its methods.
type hidden struct {
	credentials proxyauth.Credentials
	secret      proxyauth.Secret
	pointer     *proxyauth.Secret
	list        []proxyauth.Secret
	table       map[string]proxyauth.Secret
	any         any
}

type shown struct {
	Secret  proxyauth.Secret
	Pointer *proxyauth.Secret
	List    []proxyauth.Secret
	Table   map[string]proxyauth.Credentials
	Inner   hidden `json:"-" xml:"-"`
}

// secretHolders returns values that a secret may be part of, by description.
func secretHolders() map[string]any {
	s := proxyauth.NewSecret(secretText)
	c := proxyauth.Credentials{Username: "ann", Password: s}
	h := hidden{
		credentials: c, secret: s, pointer: &s, any: s,
		list:  []proxyauth.Secret{s},
		table: map[string]proxyauth.Secret{"key": s},
	}
	v := shown{
		Secret: s, Pointer: &s, Inner: h,
		List:  []proxyauth.Secret{s},
		Table: map[string]proxyauth.Credentials{"key": c},
	}
	return map[string]any{
		"secret":                      s,
		"pointer to secret":           &s,
		"credentials":                 c,
		"pointer to credentials":      &c,
		"unexported fields":           h,
		"pointer to unexported":       &h,
		"exported fields":             v,
		"pointer to exported":         &v,
		"slice":                       []any{s, c, h},
		"array":                       [1]proxyauth.Secret{s},
		"map value":                   map[string]any{"key": h},
		"interface in pointer":        &[]any{&s},
		"credentials request":         proxyauth.CredentialsRequest{UserInfo: &c, Rejected: []proxyauth.Credentials{c}},
		"pointer to creds request":    &proxyauth.CredentialsRequest{UserInfo: &c, Rejected: []proxyauth.Credentials{c}},
		"exchange":                    proxyauth.Exchange{Credentials: c},
		"error with secret":           fmt.Errorf("wrong: %v", s),
		"error with unexported field": fmt.Errorf("wrong: %+v", h),
	}
}

func requireHidden(t *testing.T, text string) {
	t.Helper()
	for _, form := range []string{secretText, fmt.Sprintf("%x", secretText), fmt.Sprintf("%X", secretText), fmt.Sprintf("% x", secretText), fmt.Sprint([]byte(secretText))} {
		require.NotContains(t, text, form)
	}
}

func TestSecretIsNotPrintedByAnyVerb(t *testing.T) {
	verbs := []string{
		"%v", "%+v", "%#v", "%s", "%q", "%+q", "%#q", "%x", "%X", "%# x", "% x",
		"%d", "%b", "%o", "%c", "%U", "%e", "%g", "%t", "%T", "%p", "%w", "%99v", "%.2s", "%-8s", "%z",
	}
	for desc, value := range secretHolders() {
		t.Run(desc, func(t *testing.T) {
			for _, verb := range verbs {
				requireHidden(t, fmt.Sprintf(verb, value))
			}
			requireHidden(t, fmt.Sprint(value))
			requireHidden(t, fmt.Sprintln(value, value))
			requireHidden(t, fmt.Errorf("wrapped: %v", value).Error())
			requireHidden(t, fmt.Sprintf("%[2]*[1]v", value, 40))
		})
	}
}

func TestSecretPrintsAsRedacted(t *testing.T) {
	s := proxyauth.NewSecret(secretText)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		require.Equal(t, "[redacted]", fmt.Sprintf(verb, s), verb)
		require.Equal(t, "[redacted]", fmt.Sprintf(verb, &s), verb)
		require.Equal(t, "[redacted]", fmt.Sprintf(verb, proxyauth.Secret{}), "the zero value must not tell that it is empty")
	}
	require.Equal(t, "[redacted]", s.String())
	require.Equal(t, "{ann [redacted] 0001-01-01 00:00:00 +0000 UTC}", fmt.Sprint(proxyauth.Credentials{Username: "ann", Password: s}))
}

func TestSecretIsNotEncoded(t *testing.T) {
	for desc, value := range secretHolders() {
		t.Run(desc, func(t *testing.T) {
			text, err := json.Marshal(value)
			require.NoError(t, err)
			requireHidden(t, string(text))
			text, _ = json.MarshalIndent(map[string]any{"key": value}, "", " ")
			requireHidden(t, string(text))
			text, _ = xml.Marshal(value)
			requireHidden(t, string(text))
			var b bytes.Buffer
			gob.NewEncoder(&b).Encode(value)
			requireHidden(t, b.String())
		})
	}
}

func TestSecretAsMapKeyOrTextIsRedacted(t *testing.T) {
	text, err := json.Marshal(map[string]any{"secret": proxyauth.NewSecret(secretText)})
	require.NoError(t, err)
	require.JSONEq(t, `{"secret":"[redacted]"}`, string(text))
	text, err = proxyauth.NewSecret(secretText).MarshalText()
	require.NoError(t, err)
	require.Equal(t, "[redacted]", string(text))
}

func TestSecretIsNotLogged(t *testing.T) {
	for desc, value := range secretHolders() {
		t.Run(desc, func(t *testing.T) {
			var b bytes.Buffer
			for _, handler := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
				log := slog.New(handler)
				log.Info("message", "key", value, slog.Group("group", "key", value))
				log.With("key", value).WithGroup("group").Warn(fmt.Sprint(value), slog.Any("any", value))
			}
			require.NotEmpty(t, b.String())
			requireHidden(t, b.String())
		})
	}
}

func TestSecretIsNotInPanic(t *testing.T) {
	if desc := os.Getenv("PROXYAUTH_TEST_PANIC"); desc != "" {
		panic(secretHolders()[desc])
	}
	for desc := range secretHolders() {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSecretIsNotInPanic$")
			cmd.Env = append(os.Environ(), "PROXYAUTH_TEST_PANIC="+desc)
			output, err := cmd.CombinedOutput()
			require.Error(t, err)
			require.Contains(t, string(output), "panic: ")
			requireHidden(t, string(output))
		})
	}
}

func TestSecretReveals(t *testing.T) {
	require.Equal(t, secretText, proxyauth.NewSecret(secretText).Reveal())
	require.Empty(t, proxyauth.Secret{}.Reveal())
	require.Empty(t, proxyauth.NewSecret("").Reveal())
}

func TestCredentialsFunc(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, true)
	req := &proxyauth.CredentialsRequest{Scheme: "Basic"}
	want := errors.New("no answer")
	var provider proxyauth.CredentialsProvider = proxyauth.CredentialsFunc(
		func(gotCtx context.Context, gotReq *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
			require.Equal(t, true, gotCtx.Value(key{}))
			require.Same(t, req, gotReq)
			return proxyauth.Credentials{Username: "ann"}, want
		})
	c, err := provider.Credentials(ctx, req)
	require.ErrorIs(t, err, want)
	require.Equal(t, "ann", c.Username)
}

func ExampleSecret() {
	password := proxyauth.NewSecret("s3cret")
	fmt.Printf("%v %q %+v\n", password, password, proxyauth.Credentials{Username: "ann", Password: password})
	// Output: [redacted] [redacted] {Username:ann Password:[redacted] Expires:0001-01-01 00:00:00 +0000 UTC}
}
