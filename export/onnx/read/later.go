package read

import "github.com/attnx/attnx/model/graph"

// later is a node whose results are known while reading, and rounded. Where they
// decide a size, their elements do. Where the graph takes the values themselves, it
// gets the node, so that what bounds its rounding sees the operator.
type later struct {
	n      *node
	read   func(n *node) []*graph.Value
	values []*value // once recorded
}

// rounds reports whether the known results of a node are recorded as the node:
// they, or numbers that it takes, are rounded, or it takes a weight that is trained.
func (n *node) rounds(result *elements) bool {
	if !result.dtype.Float() || n.onnx.Op == "Range" { // which is recorded of integers only
		return false
	}
	for _, v := range n.args {
		if v != nil && (v.later != nil || v.learned) {
			return true
		}
	}
	return result.rounded
}

// results records the node.
func (l *later) results() (values []*value, err error) {
	if l.values != nil {
		return l.values, nil
	}
	defer l.n.recovered(&err)
	if l.values, err = l.n.recordBy(l.read); err != nil {
		return nil, err
	}
	for _, v := range l.values {
		if v != nil {
			l.n.r.late[v.recorded] = true
		}
	}
	return l.values, nil
}
