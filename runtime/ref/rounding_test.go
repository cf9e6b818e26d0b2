package ref

import (
	"reflect"
	"slices"
	"testing"

	"github.com/attnx/attnx/model/graph"
)

// Every operator has a rounding rule, a decomposition, or a reason why values
// after it are not certified.
func TestEveryOperatorIsBounded(t *testing.T) {
	for _, op := range slices.Concat(graph.Operators(), graph.Imported()) {
		switch op.(type) {
		case graph.Input, graph.Param, graph.Const:
			continue
		}
		of := reflect.TypeOf(op)
		_, rule := roundingRules[of]
		_, composite := op.(graph.Composite)
		why, without := withoutRule[of]
		if !rule && !composite && !without {
			t.Errorf("%s has neither a rounding rule nor a decomposition: add a row to roundingRules, or a reason to withoutRule", op.Name())
		}
		if without && (rule || composite || why == "") {
			t.Errorf("%s is listed as without a rule: %q", op.Name(), why)
		}
		if f, ok := op.(graph.Unary); ok && f.Float() != nil && exactFunctions[f] == (accuracies[f].typical > 0) {
			t.Errorf("%s: its accuracy is not known, or known twice", op.Name())
		}
	}
}
