//go:build !windows

package sspi

// native is the SSPI of this computer: none.
var native system = absent{}

type absent struct{}

func (absent) acquire(Package, *identity) (credential, status) { return nil, statusNotWindows }

func describe() string { return "" }
