package schemes_test

import (
	"fmt"
	"slices"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
)

// The list is the caller's. One scheme may be left out, and another have other
// settings.
func ExampleDefault() {
	list := schemes.Default()
	for _, s := range list {
		fmt.Println(s.Name())
	}

	list = slices.DeleteFunc(list, func(s proxyauth.Scheme) bool { return s.Name() == "Basic" })
	for i, s := range list {
		if s.Name() == "Digest" {
			list[i] = &digest.Scheme{MinAlgorithm: digest.SHA256}
		}
	}
	fmt.Println(len(list))
	// Output:
	// Negotiate
	// NTLM
	// Digest
	// Basic
	// 3
}
