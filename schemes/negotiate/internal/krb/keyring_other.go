//go:build !linux

package krb

// keyrings exist on Linux only.
type keyrings struct{ fileCaches }
