// Package credentials has providers that take the credentials for a proxy from
// where people keep them.
//
//   - [Static]: from the program.
//   - [ProxyURL]: from the user info of the proxy's URL.
//   - [Environment]: from two environment variables.
//   - [Netrc]: from a netrc file.
//   - [File]: from mounted files, as Kubernetes and systemd pass secrets.
//   - [Command]: from a credential helper of git, or a program that prints JSON.
//   - [proxyauth.CredentialsFunc]: from a function, such as one that asks a vault.
//   - [Chain]: from the first of several that has some.
//   - [Saved]: from a store that is filled from another provider.
//   - [Cached]: from the memory of what another provider has said.
//
// Package keyring below it takes them from the system's store, package prompt asks at
// the terminal, and package defaults has the chain of them for command-line programs.
// All are safe for concurrent use, and keep secrets and user
// names out of their errors.
//
// All end when the context does: a [Command] gives its program a second to end,
// [Cached] and package prompt give as much to what they have begun if nobody else
// waits for it, the ones that read files look at the context before each, and a
// [proxyauth.CredentialsFunc] ends when its function does.
//
// # Rejections
//
// A Transport asks again after a refusal. A provider answers as if it had not
// been asked before, from what it finds then: if that is something else, it is
// tried at once; if it is the same, the Transport limits how often it sends it. So
// changing the file, the variable or the vault is enough, and nothing is locked
// by trying. If the credentials had worked before, the provider is asked with
// [proxyauth.CredentialsRequest.Doubted]: then no person is asked. A provider that
// wants to know what became of its answers is a [proxyauth.CredentialsObserver].
//
// # Names
//
// A provider with a String method is called by what it returns in the errors of a
// [Chain]; that should be a word or two, with no secret in it.
package credentials
