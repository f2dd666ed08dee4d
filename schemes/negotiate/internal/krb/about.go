package krb

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// An About says what a failure is about, as far as is known.
type About struct {
	What  string // a file, addresses or a time, and what is wrong with it
	Realm string // whose KDC was asked, or looked for
	SPN   string // the service that a ticket was asked for
}

// A detailed is an error that knows what it is about.
type detailed struct {
	error
	about About
}

func (d detailed) Unwrap() error { return d.error }

// because adds to the text of err what is wrong.
func because(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	return detailed{fmt.Errorf("%w (%s)", err, what), About{What: what}}
}

// inRealm notes with err whose KDC it is about. The text stays as it is.
func inRealm(err error, realm string) error {
	if err == nil {
		return nil
	}
	return detailed{err, About{Realm: realm}}
}

// AboutOf returns what is known of the failure in err, or joined in it, that is target.
func AboutOf(err, target error) About {
	if !errors.Is(err, target) {
		return About{}
	}
	var a About
	if d, ok := err.(detailed); ok {
		a = d.about
	}
	var inner []error
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		inner = []error{err.Unwrap()}
	case interface{ Unwrap() []error }:
		inner = err.Unwrap()
	}
	for _, err := range inner {
		b := AboutOf(err, target)
		a = About{cmp.Or(a.What, b.What), cmp.Or(a.Realm, b.Realm), cmp.Or(a.SPN, b.SPN)}
	}
	return a
}

// A heldUntil is the error of a secret that is held back for a while.
type heldUntil struct {
	error
	until time.Time
}

func (h heldUntil) Unwrap() error { return h.error }

// RetryOf returns when the secret that err says is held back may be sent again, the zero
// time if err says no such thing.
func RetryOf(err error) time.Time {
	h, _ := errors.AsType[heldUntil](err)
	return h.until
}
