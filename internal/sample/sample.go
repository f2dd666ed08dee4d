// Package sample decides how many variants of a test run: all of them if PROXYAUTH_THOROUGH is
// set, as by ci/test.sh, and otherwise a sample, so that the tests are quick enough to be run
// after each change.
//
// Its functions are to be called in a test: go test takes results from its cache regardless of
// an environment variable that is read before the tests begin.
package sample

import "os"

// Thorough reports whether all variants are to run.
func Thorough() bool { return os.Getenv("PROXYAUTH_THOROUGH") != "" }

// Size returns a number, which is less for a sample.
func Size(some, all int) int {
	if Thorough() {
		return all
	}
	return some
}

// Of returns variants, or for a sample one of them, with the next i the next one.
func Of[T any](i int, variants []T) []T {
	if Thorough() {
		return variants
	}
	i %= len(variants)
	return variants[i : i+1]
}
