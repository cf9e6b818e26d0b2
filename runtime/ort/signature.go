package ort

import (
	"fmt"
	"strings"

	"github.com/attnx/attnx/runtime"
)

// signature holds a model's inputs and outputs.
type signature struct {
	inputs, outputs []runtime.Value
	limits          map[string]int64 // exclusive upper bounds of the ids, by input
}

func list(values []runtime.Value) string {
	const most = 20
	var s []string
	for _, v := range values[:min(len(values), most)] {
		s = append(s, v.String())
	}
	if more := len(values) - most; more > 0 {
		s = append(s, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(s, ", ")
}
