package sspi

import (
	"bytes"
	"cmp"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/windows"
)

// native is the SSPI of this computer.
var native system = secur32{}

var (
	dll                          = windows.NewLazySystemDLL("secur32.dll")
	querySecurityPackageInfo     = dll.NewProc("QuerySecurityPackageInfoW")
	acquireCredentialsHandle     = dll.NewProc("AcquireCredentialsHandleW")
	freeCredentialsHandle        = dll.NewProc("FreeCredentialsHandle")
	initializeSecurityContext    = dll.NewProc("InitializeSecurityContextW")
	deleteSecurityContext        = dll.NewProc("DeleteSecurityContext")
	freeContextBuffer            = dll.NewProc("FreeContextBuffer")
	openCredentials, openHandles atomic.Int64 // for tests
)

const (
	credentialsOutbound = 2    // SECPKG_CRED_OUTBOUND
	nativeDataRep       = 0x10 // SECURITY_NATIVE_DREP
	identityUnicode     = 2    // SEC_WINNT_AUTH_IDENTITY_UNICODE

	bufferToken    = 2  // SECBUFFER_TOKEN
	bufferBindings = 14 // SECBUFFER_CHANNEL_BINDINGS

	requestConnection = 0x800
	requestIntegrity  = 0x10000

	// requests never has attrDelegate.
	requests = attrMutual | requestConnection | requestIntegrity
)

// A secHandle is a CredHandle or a CtxtHandle.
type secHandle struct{ lower, upper uintptr }

// A secBuffer is a SecBuffer, and a secBuffers a SecBufferDesc.
type secBuffer struct {
	size, kind uint32
	data       *byte
}

type secBuffers struct {
	version, count uint32
	first          *secBuffer
}

func buffers(list []secBuffer) *secBuffers {
	return &secBuffers{count: uint32(len(list)), first: unsafe.SliceData(list)}
}

// An authIdentity is a SEC_WINNT_AUTH_IDENTITY_W. The lengths are in characters.
type authIdentity struct {
	user           *uint16
	userLength     uint32
	domain         *uint16
	domainLength   uint32
	password       *uint16
	passwordLength uint32
	flags          uint32
}

func newAuthIdentity(id *identity) (*authIdentity, error) {
	a := &authIdentity{flags: identityUnicode}
	for _, f := range []struct {
		text   string
		at     **uint16
		length *uint32
	}{
		{id.user, &a.user, &a.userLength},
		{id.domain, &a.domain, &a.domainLength},
		{id.password(), &a.password, &a.passwordLength},
	} {
		text, err := windows.UTF16FromString(f.text)
		if err != nil {
			return nil, err
		}
		*f.at, *f.length = &text[0], uint32(len(text)-1)
	}
	return a, nil
}

// secur32 is SSPI.
type secur32 struct{}

func (secur32) acquire(pkg Package, id *identity) (credential, status) {
	name, err := windows.UTF16PtrFromString(string(pkg))
	if err != nil {
		return nil, statusPackageNotFound
	}
	if err := acquireCredentialsHandle.Find(); err != nil {
		return nil, statusPackageNotFound
	}
	var auth *authIdentity
	if id != nil {
		if auth, err = newAuthIdentity(id); err != nil {
			return nil, statusUnknownCreds
		}
	}
	info, st := packageInfo(name)
	if st != statusOK {
		return nil, st
	}
	c := &credentialsHandle{maxToken: info.maxToken}
	var expiry windows.Filetime
	r, _, _ := acquireCredentialsHandle.Call(0, uintptr(unsafe.Pointer(name)), credentialsOutbound, 0,
		uintptr(unsafe.Pointer(auth)), 0, 0, uintptr(unsafe.Pointer(&c.h)), uintptr(unsafe.Pointer(&expiry)))
	runtime.KeepAlive(auth)
	if status(r) != statusOK {
		return nil, status(r)
	}
	openCredentials.Add(1)
	return c, statusOK
}

// A secPkgInfo is a SecPkgInfoW.
type secPkgInfo struct {
	capabilities   uint32
	version, rpcID uint16
	maxToken       uint32
	name, comment  *uint16
}

func packageInfo(name *uint16) (secPkgInfo, status) {
	var info *secPkgInfo
	r, _, _ := querySecurityPackageInfo.Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&info)))
	if status(r) != statusOK {
		return secPkgInfo{}, status(r)
	}
	defer freeContextBuffer.Call(uintptr(unsafe.Pointer(info)))
	return *info, statusOK
}

type credentialsHandle struct {
	h        secHandle
	maxToken uint32
}

func (c *credentialsHandle) newContext() handle { return &contextHandle{credentials: c} }

func (c *credentialsHandle) release() {
	freeCredentialsHandle.Call(uintptr(unsafe.Pointer(&c.h)))
	openCredentials.Add(-1)
}

type contextHandle struct {
	credentials *credentialsHandle
	h           *secHandle // nil before the first step
}

func (c *contextHandle) step(target string, bindings, in []byte) (out []byte, attributes uint32, st status) {
	name, err := windows.UTF16PtrFromString(target)
	if err != nil {
		return nil, 0, statusTargetUnknown
	}
	var input []secBuffer
	if in != nil {
		input = append(input, secBuffer{uint32(len(in)), bufferToken, unsafe.SliceData(in)})
	}
	if bindings != nil {
		input = append(input, secBuffer{uint32(len(bindings)), bufferBindings, unsafe.SliceData(bindings)})
	}
	var given *secBuffers
	if input != nil {
		given = buffers(input)
	}
	// Wine's Kerberos does not allocate the token itself.
	token := make([]byte, c.credentials.maxToken)
	output := []secBuffer{{uint32(len(token)), bufferToken, unsafe.SliceData(token)}}
	var (
		expiry windows.Filetime
		made   = buffers(output)
		next   = c.h
	)
	if next == nil {
		next = new(secHandle)
	}
	r, _, _ := initializeSecurityContext.Call(
		uintptr(unsafe.Pointer(&c.credentials.h)), uintptr(unsafe.Pointer(c.h)), uintptr(unsafe.Pointer(name)),
		requests, 0, nativeDataRep, uintptr(unsafe.Pointer(given)), 0,
		uintptr(unsafe.Pointer(next)), uintptr(unsafe.Pointer(made)),
		uintptr(unsafe.Pointer(&attributes)), uintptr(unsafe.Pointer(&expiry)))
	runtime.KeepAlive(input)
	runtime.KeepAlive(output)
	st = status(r)
	switch {
	case st != statusOK && st != statusContinue:
		return nil, attributes, st // a context that failed is deleted as it is
	case c.h == nil:
		c.h = next
		openHandles.Add(1)
	}
	// What has no token may leave the size as it was.
	if n := output[0].size; n > 0 && n < uint32(len(token)) {
		out = bytes.Clone(token[:n])
	}
	return out, attributes, st
}

func (c *contextHandle) release() {
	if c.h != nil {
		deleteSecurityContext.Call(uintptr(unsafe.Pointer(c.h)))
		openHandles.Add(-1)
		c.h = nil
	}
}

// describe says who is logged in and which of the packages that are used here there are.
func describe() string {
	offered := []string{}
	for _, pkg := range []Package{Kerberos, Negotiate, ntlmPackage} {
		name, err := windows.UTF16PtrFromString(string(pkg))
		if err != nil || querySecurityPackageInfo.Find() != nil {
			continue
		}
		if _, st := packageInfo(name); st == statusOK {
			offered = append(offered, string(pkg))
		}
	}
	return fmt.Sprintf("logged in as %s; SSPI offers %s", cmp.Or(loggedIn(), "an unknown user"), cmp.Or(strings.Join(offered, ", "), "nothing"))
}

// loggedIn returns the user as whom the process runs, as DOMAIN\user, "" if that is not known.
func loggedIn() string {
	const enough = 512
	name, n := make([]uint16, enough), uint32(enough)
	if err := windows.GetUserNameEx(windows.NameSamCompatible, &name[0], &n); err != nil {
		return ""
	}
	return windows.UTF16ToString(name)
}
