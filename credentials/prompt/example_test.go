package prompt_test

import (
	"fmt"

	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/credentials/prompt"
)

// What a person says is kept by git's cache for a while, and asked for again when
// the proxy refuses it.
func ExampleProvider() {
	cache := &credentials.Command{Args: []string{"git", "credential-cache", "--timeout", "3600"}}
	provider := &credentials.Cached{Source: credentials.Saved(cache, new(prompt.Provider))}
	fmt.Println(provider)
	// Output: command git credential-cache, prompt
}
