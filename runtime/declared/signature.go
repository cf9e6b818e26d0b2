package declared

import (
	"fmt"
	"strings"

	"github.com/attnx/attnx/runtime"
)

// Signature holds a model's inputs and outputs.
type Signature struct {
	Inputs, Outputs []runtime.Value
	Limits          map[string]int64 // exclusive upper bounds of the ids, by input
}

// List returns the values as text, the first 20 of them.
func List(values []runtime.Value) string {
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
