package ref

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/model/graph"
)

// poleOf returns the argument of an operator that must not be 0, -1 if there is none.
func poleOf(op graph.Op) int {
	switch op {
	case graph.Log, graph.Reciprocal:
		return 0
	case graph.Div:
		return 1
	}
	return -1
}

// poles makes results unknown whose argument rounding may bring to 0: a runtime gives an
// infinity there, or anything. Numbers that underflow are among them.
func (s *shaking) poles(n *graph.Node, args, results []*shaken, slips []slip) {
	at := poleOf(n.Op)
	if at < 0 || results[0].kind != floats {
		return
	}
	a := args[at]
	if a.stack.f == nil && a.lazy == nil && !(n.Args[at].Leaf() && s.leafUnit(n.Args[at]) > 0) {
		return
	}
	x := a.wide().f
	squares := make([]float64, len(x))
	for k := range s.copies {
		for i, y := range s.copyOf(n.Args[at], a, k).wide().f {
			squares[i] += square((y - x[i]) / s.shrink)
		}
	}
	var reached []bool
	for i, sum := range squares {
		if e := sigmas * math.Sqrt(sum/float64(s.copies)); e > 0 && e >= math.Abs(x[i]) {
			if reached == nil {
				reached = make([]bool, len(x))
			}
			reached[i] = true
		}
	}
	if reached == nil {
		return
	}
	if s.beyond == "" {
		s.beyond = fmt.Sprintf("%s of %s: rounding may bring %s to 0", n.Name(), n.Op.Name(), n.Args[at].Name)
	}
	if slips[0].deviation == nil {
		slips[0] = newSlip(results[0].len())
	}
	from := places(a.shape, results[0].shape)
	for i := range slips[0].deviation {
		if reached[from(i)] {
			slips[0].deviation[i] = math.NaN()
		}
	}
}
