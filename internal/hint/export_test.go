package hint

import (
	"maps"
	"slices"
)

// Causes returns the causes with a hint.
func Causes() []string { return slices.Collect(maps.Keys(texts)) }
