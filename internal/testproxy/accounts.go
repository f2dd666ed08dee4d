package testproxy

import (
	"maps"
	"slices"
	"sync"
)

// Accounts is the directory that the proxy looks its users up in. Several
// mechanisms may share it. It is safe for concurrent use, but for its fields.
type Accounts struct {
	// Passwords holds the users and their passwords, in UTF-8. After first use
	// it is changed by [Accounts.SetPassword] alone.
	Passwords map[string]string

	// LockAfter locks an account after so many wrong passwords in a row. Zero
	// means never.
	LockAfter int

	mu       sync.Mutex
	failures map[string]int // ever
	streak   map[string]int // since the last right password
}

// Authenticate reports whether the user exists, is not locked, and has a
// password that proves approves of. If not, that is a failure of the user.
func (a *Accounts) Authenticate(user string, proves func(password string) bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	password, known := a.Passwords[user]
	if known && proves(password) && !a.locked(user) {
		delete(a.streak, user)
		return true
	}
	a.fail(user)
	return false
}

func (a *Accounts) fail(user string) {
	if a.failures == nil {
		a.failures, a.streak = make(map[string]int), make(map[string]int)
	}
	a.failures[user]++
	a.streak[user]++
}

// Failures returns how many attempts of the user have failed, be it that the
// password was wrong, that there is no such user, or that the account was locked.
func (a *Accounts) Failures(user string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failures[user]
}

// Locked reports whether the account is locked.
func (a *Accounts) Locked(user string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.locked(user)
}

func (a *Accounts) locked(user string) bool {
	return a.LockAfter > 0 && a.streak[user] >= a.LockAfter
}

// SetPassword changes a password, or adds a user, and unlocks the account.
func (a *Accounts) SetPassword(user, password string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	passwords := maps.Clone(a.Passwords)
	if passwords == nil {
		passwords = make(map[string]string)
	}
	passwords[user] = password
	a.Passwords = passwords
	delete(a.streak, user)
}

// Users returns the names of all users, sorted.
func (a *Accounts) Users() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.Passwords))
}
