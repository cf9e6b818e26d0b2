package exprgraph

import (
	"maps"
	"slices"
)

// Rows returns the names of the operators that are read.
func Rows() []string { return slices.Sorted(maps.Keys(table)) }
