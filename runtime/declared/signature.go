package declared

import (
	"fmt"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// Signature holds a model's inputs and outputs.
type Signature struct {
	Inputs, Outputs []runtime.Value
	Limits          map[string]int64 // exclusive upper bounds of the ids, by input
	Foreign         bool             // see runtime.Options; set by who opens the model
}

// Ordered returns the given inputs in the order of the model's.
func (s Signature) Ordered(inputs map[string]format.Tensor) []format.Tensor {
	all := make([]format.Tensor, len(s.Inputs))
	for i, v := range s.Inputs {
		all[i] = inputs[v.Name].WithName(v.Name)
	}
	return all
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
