// Package interop runs real proxies for tests: squid, Apache httpd and
// tinyproxy, and MIT's Kerberos KDC, each as a child process on free loopback
// ports, with a configuration of its own in a directory of the test's.
//
// A [Wine] runs programs for Windows in front of them.
//
// A test whose proxy is not installed is skipped. With
// PROXYAUTH_INTEROP=required in the environment it fails instead, so that a
// continuous integration that lost a package does not stay green.
//
// # Adding a scheme
//
// What a scheme needs of squid is a [SquidAuth], of Apache an [ApacheAuth]: a
// func that writes its files into the proxy's [Dir] and returns lines of
// configuration. Programs and modules that it depends on go through [Program]
// and [File], which apply the rule above. A server that is not a proxy, such as
// the [KDC], is started with [Start].
package interop
