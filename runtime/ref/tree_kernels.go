package ref

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/attnx/attnx/model/graph"
)

// treeKernels walk decision trees.
var treeKernels = []kernel{single(trees)}

func trees(op graph.Trees, c call) (array, error) {
	x, y := c.args[0], newArray(floats, c.shapes[0])
	features, modes, splits, next, tracks := c.args[1].i, c.args[2].i, c.args[3].f, c.args[4].i, c.args[5].i
	roots, leaves, targets, weights := c.args[6].i, c.args[7].i, c.args[8].i, c.args[9].f
	columns := x.shape[1]
	var failed error
	var once sync.Once
	parallel(x.shape[0], func(row int) {
		scores, reached := y.f[row*op.Targets:(row+1)*op.Targets], make([]bool, op.Targets)
		for _, root := range roots {
			leaf, err := walk(root, len(modes), func(node int64) (int64, bool, error) {
				if modes[node] == int64(len(graph.TreeModes)-1) {
					return node, true, nil
				}
				if features[node] < 0 || features[node] >= int64(columns) {
					return 0, false, fmt.Errorf("feature %d of a row with %d", features[node], columns)
				}
				v := x.number(row*columns + int(features[node]))
				if branches(modes[node], v, splits[node]) || math.IsNaN(v) && tracks[node] != 0 {
					return next[2*node], false, nil
				}
				return next[2*node+1], false, nil
			})
			if err == nil && (leaves[2*leaf] < 0 || leaves[2*leaf+1] > int64(len(targets)) || leaves[2*leaf] > leaves[2*leaf+1]) {
				err = fmt.Errorf("leaf %d has the entries %v", leaf, leaves[2*leaf:2*leaf+2])
			}
			if err != nil {
				once.Do(func() { failed = err })
				return
			}
			for e := leaves[2*leaf]; e < leaves[2*leaf+1]; e++ {
				t := targets[e]
				if t < 0 || t >= int64(op.Targets) {
					once.Do(func() { failed = fmt.Errorf("target %d of %d", t, op.Targets) })
					return
				}
				switch {
				case op.Aggregate == "MIN" && reached[t]:
					scores[t] = min(scores[t], weights[e])
				case op.Aggregate == "MAX" && reached[t]:
					scores[t] = max(scores[t], weights[e])
				default:
					scores[t] += weights[e]
				}
				reached[t] = true
			}
		}
		if op.Aggregate == "AVERAGE" {
			for i := range scores {
				scores[i] /= float64(len(roots))
			}
		}
	})
	return y, failed
}

// walk returns the leaf that a tree leads to. It refuses a tree that has no end.
func walk(node int64, nodes int, step func(node int64) (next int64, leaf bool, err error)) (int64, error) {
	for range nodes + 1 {
		if node < 0 || node >= int64(nodes) {
			return 0, fmt.Errorf("node %d of %d", node, nodes)
		}
		next, leaf, err := step(node)
		if leaf || err != nil {
			return next, err
		}
		node = next
	}
	return 0, errors.New("a tree leads back to itself")
}

// branches compares a feature with a split.
func branches(mode int64, v, split float64) bool {
	switch mode {
	case 0:
		return v <= split
	case 1:
		return v < split
	case 2:
		return v >= split
	case 3:
		return v > split
	case 4:
		return v == split
	}
	return v != split
}
