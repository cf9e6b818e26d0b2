package ref

import "github.com/attnx/attnx/model/graph"

// countedKernels are the operators whose result sizes depend on data.
var countedKernels = []kernel{
	certain(func(_ graph.NonZero, c call) array { return nonZero(c.args[0]) }),
}

// nonZero returns the positions of the nonzero elements: (rank, count).
func nonZero(x array) array {
	var places [][]int
	for i := range x.len() {
		if x.number(i) != 0 {
			places = append(places, position(i, x.shape))
		}
	}
	out := newArray(ints, []int{len(x.shape), len(places)})
	for j, p := range places {
		for axis, at := range p {
			out.i[axis*len(places)+j] = int64(at)
		}
	}
	return out
}
