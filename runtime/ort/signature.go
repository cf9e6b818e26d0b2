package ort

import (
	"strings"

	"github.com/attnx/attnx/runtime"
)

// signature is what a model takes and gives.
type signature struct {
	inputs, outputs []runtime.Value
	limits          map[string]int64 // of inputs that hold ids: the smallest number that is none
}

func list(values []runtime.Value) string {
	s := make([]string, len(values))
	for i, v := range values {
		s[i] = v.String()
	}
	return strings.Join(s, ", ")
}
