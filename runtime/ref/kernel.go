package ref

import (
	"fmt"
	"reflect"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// call is one application of an operator.
type call struct {
	args   []array
	shapes [][]int        // of the results; nil if the elements decide it (graph.Counted)
	types  []format.DType // of the results
	sizes  map[string]int // of the named dimensions
}

// kernel computes an operator: a row of a table. The tables are in the files of
// their operators.
type kernel struct {
	op      reflect.Type
	compute func(op graph.Op, c call) ([]array, error)
	narrow  bool // it reads arguments that have s or are turned
}

// narrow makes the row of an operator that reads matrices of weights as they are.
func narrow(k kernel) kernel {
	k.narrow = true
	return k
}

// several makes the row of an operator with several results.
func several[O graph.Op](f func(op O, c call) ([]array, error)) kernel {
	return kernel{op: reflect.TypeFor[O](), compute: func(op graph.Op, c call) ([]array, error) { return f(op.(O), c) }}
}

// single makes the row of an operator with one result.
func single[O graph.Op](f func(op O, c call) (array, error)) kernel {
	return several(func(op O, c call) ([]array, error) {
		a, err := f(op, c)
		return []array{a}, err
	})
}

// certain makes the row of an operator with one result that cannot fail.
func certain[O graph.Op](f func(op O, c call) array) kernel {
	return several(func(op O, c call) ([]array, error) { return []array{f(op, c)}, nil })
}

// kernels contains every operator that the oracle computes directly.
var kernels = tabulate(
	elementwiseKernels,
	movingKernels,
	productKernels,
	reducingKernels,
	sizeKernels,
	networkKernels,
	countedKernels,
	convKernels,
	poolKernels,
	channelKernels,
	imageKernels,
	quantizeKernels,
	statisticsKernels,
	recurrentKernels,
	attendingKernels,
	scatterKernels,
	rankingKernels,
	signalKernels,
	treeKernels,
)

func tabulate(tables ...[]kernel) map[reflect.Type]kernel {
	all := map[reflect.Type]kernel{}
	for _, table := range tables {
		for _, k := range table {
			if _, twice := all[k.op]; twice {
				panic("ref: two kernels of " + k.op.String())
			}
			all[k.op] = k
		}
	}
	return all
}

// known reports whether the oracle computes a node directly. Other nodes are
// decomposed.
func known(n *graph.Node) bool {
	_, ok := kernels[reflect.TypeOf(n.Op)]
	return ok || n.Results[0].Leaf()
}

// apply computes the results of n. graph.Verify has checked all that is known
// without sizes.
func apply(n *graph.Node, c call) ([]array, error) {
	k, ok := kernels[reflect.TypeOf(n.Op)]
	if !ok {
		return nil, fmt.Errorf("the oracle does not compute this operator, and it has no decomposition")
	}
	if !k.narrow {
		for i := range c.args {
			c.args[i] = c.args[i].wide()
		}
	}
	results, err := k.compute(n.Op, c)
	if err != nil {
		return nil, err
	}
	for i := range n.Results {
		results[i] = results[i].settle(c.types[i])
	}
	return results, nil
}
