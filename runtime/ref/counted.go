package ref

import "github.com/attnx/attnx/model/graph"

// countedKernels are the operators whose results have sizes that data decide.
var countedKernels = []kernel{
	certain(func(_ graph.NonZero, c call) array { return nonZero(c.args[0]) }),
}

// nonZero returns the places of the elements that are not zero: (rank, count).
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
