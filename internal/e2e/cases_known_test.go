package e2e_test

// knownFailures holds the tests of cases that fail today. One that passes says so: its
// name is taken out with the change that mended it.
var knownFailures = map[string]bool{}
