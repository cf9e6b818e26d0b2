package read

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// treeFamily has the decision trees of ai.onnx.ml, and the classifiers.
var treeFamily = family{
	"TreeEnsembleRegressor":  records(readTreeRegressor),
	"TreeEnsembleClassifier": {read: readTreeClassifier},
	"TreeEnsemble":           records(readTreeEnsemble),
	"LinearClassifier":       {read: readLinearClassifier},
}

// forest is decision trees as lists: see graph.Trees.
type forest struct {
	features, modes, next, tracks, roots, leaves, targets []int64
	splits, weights                                       []float64
}

// int64s returns an attribute of integers.
func (n *node) int64s(name string) []int64 {
	var out []int64
	for _, v := range n.ints(name) {
		out = append(out, int64(v))
	}
	return out
}

// numbersOf returns an attribute of numbers, as floats or as a tensor.
func (n *node) numbersOf(name, tensor string) []float64 {
	if a := n.attribute(tensor, onnx.AttrTensor); a != nil {
		t, err := Tensor(a.Tensor, n.r.o.Dir)
		if err != nil {
			panic(refusal{err})
		}
		numbers, err := t.AsFloat64s()
		if err != nil {
			n.invalid("attribute %.80q: %v", tensor, err)
		}
		return numbers
	}
	return n.floats(name)
}

// trees records the forest's sums.
func (n *node) trees(f *forest, x *graph.Value, aggregate string, targets int, to format.DType) *graph.Value {
	nodes := len(f.modes)
	for _, list := range [][]int64{f.features, f.tracks} {
		if len(list) != nodes {
			n.invalid("lists of %d and %d nodes", nodes, len(list))
		}
	}
	if len(f.splits) != nodes || len(f.next) != 2*nodes || len(f.leaves) != 2*nodes || len(f.weights) != len(f.targets) {
		n.invalid("lists of other lengths than %d nodes and %d leaves", nodes, len(f.targets))
	}
	if !slices.Contains([]string{"SUM", "AVERAGE", "MIN", "MAX"}, aggregate) {
		n.refuse("aggregate_function %.80q", aggregate)
	}
	ints := func(name string, shape []int, v []int64) *graph.Value {
		return n.b.Const(format.FromInt64s(name, shape, v))
	}
	numbers := func(name string, v []float64) *graph.Value {
		return n.b.Const(format.FromFloat64s(name, []int{len(v)}, v))
	}
	return n.apply(graph.Trees{Aggregate: aggregate, Targets: targets, To: to}, x,
		ints("columns", []int{nodes}, f.features), ints("modes", []int{nodes}, f.modes), numbers("splits", f.splits), ints("next", []int{nodes, 2}, f.next),
		ints("tracks", []int{nodes}, f.tracks), ints("roots", []int{len(f.roots)}, f.roots), ints("leaves", []int{nodes, 2}, f.leaves),
		ints("targets", []int{len(f.targets)}, f.targets), numbers("weights", f.weights))
}

// nodeKey names a node of an old ensemble: its tree and its number there.
type nodeKey struct{ tree, node int64 }

// ensemble reads the trees of TreeEnsembleRegressor and TreeEnsembleClassifier, whose
// leaves are in lists that begin with the given word.
func (n *node) ensemble(leaf string) *forest {
	n.pass([]string{"nodes_hitrates", "nodes_hitrates_as_tensor"})
	f := &forest{features: n.int64s("nodes_featureids"), splits: n.numbersOf("nodes_values", "nodes_values_as_tensor"), tracks: n.int64s("nodes_missing_value_tracks_true")}
	tree, number := n.int64s("nodes_treeids"), n.int64s("nodes_nodeids")
	yes, no := n.int64s("nodes_truenodeids"), n.int64s("nodes_falsenodeids")
	modes := n.attribute("nodes_modes", onnx.AttrStrings)
	if modes == nil || len(tree) != len(modes.Strings) || len(number) != len(tree) || len(yes) != len(tree) || len(no) != len(tree) {
		n.invalid("its lists of nodes have other lengths")
	}
	if f.tracks == nil {
		f.tracks = make([]int64, len(tree))
	}
	places := map[nodeKey]int64{}
	for i := range tree {
		places[nodeKey{tree[i], number[i]}] = int64(i)
	}
	leaves := len(graph.TreeModes) - 1
	for i, m := range modes.Strings {
		mode := slices.Index(graph.TreeModes, string(m))
		if mode < 0 {
			n.refuse("the mode %.80q of a node", m)
		}
		f.modes = append(f.modes, int64(mode))
		if i == 0 || tree[i] != tree[i-1] {
			f.roots = append(f.roots, int64(i))
		}
		for _, to := range []int64{yes[i], no[i]} {
			at, there := places[nodeKey{tree[i], to}]
			if !there && mode != leaves {
				n.invalid("node %d of tree %d continues with %d, which is not there", number[i], tree[i], to)
			}
			f.next = append(f.next, at)
		}
	}
	n.entries(f, leaf, places)
	return f
}

// entries sorts the entries of the leaves by their nodes.
func (n *node) entries(f *forest, leaf string, places map[nodeKey]int64) {
	trees, nodes, ids := n.int64s(leaf+"_treeids"), n.int64s(leaf+"_nodeids"), n.int64s(leaf+"_ids")
	weights := n.numbersOf(leaf+"_weights", leaf+"_weights_as_tensor")
	if len(nodes) != len(trees) || len(ids) != len(trees) || len(weights) != len(trees) {
		n.invalid("its lists of leaves have other lengths")
	}
	of := make([][]int, len(f.modes))
	for i := range trees {
		at, there := places[nodeKey{trees[i], nodes[i]}]
		if !there {
			n.invalid("leaf %d of tree %d is not there", nodes[i], trees[i])
		}
		of[at] = append(of[at], i)
	}
	for _, list := range of {
		f.leaves = append(f.leaves, int64(len(f.targets)))
		for _, i := range list {
			f.targets, f.weights = append(f.targets, ids[i]), append(f.weights, weights[i])
		}
		f.leaves = append(f.leaves, int64(len(f.targets)))
	}
}

// based adds the base values to scores (N,E).
func (n *node) based(y *graph.Value, base []float64) *graph.Value {
	if len(base) == 0 {
		return y
	}
	if !y.Shape[1].Is(len(base)) && len(base) != 1 {
		n.invalid("%d base values for %s", len(base), y.Shape)
	}
	return n.b.Add(y, n.b.Const(single(n, "base", base)))
}

// single returns numbers as float32.
func single(n *node, name string, v []float64) format.Tensor {
	t, _, err := format.FromFloat64s(name, []int{len(v)}, slices.Clone(v)).Convert(format.Float32)
	if err != nil {
		n.invalid("%s: %v", name, err)
	}
	return t
}

// transformed applies post_transform to scores.
func (n *node) transformed(y *graph.Value) *graph.Value {
	switch t := n.text("post_transform", "NONE"); t {
	case "NONE":
		return y
	case "LOGISTIC":
		return n.b.Sigmoid(y)
	case "SOFTMAX":
		return n.b.Softmax(y, -1)
	default:
		n.refuse("post_transform %.80q", t)
		return nil
	}
}

func readTreeRegressor(n *node) *graph.Value {
	f, x := n.ensemble("target"), n.arg(0)
	y := n.trees(f, x, n.text("aggregate_function", "SUM"), max(1, n.int("n_targets", 1)), format.Float32)
	return n.transformed(n.based(y, n.numbersOf("base_values", "base_values_as_tensor")))
}

// classes returns the labels of a classifier.
func (n *node) classes(name string) []int64 {
	if a := n.attribute("classlabels_strings", onnx.AttrStrings); a != nil && len(a.Strings) > 0 {
		n.refuse("labels that are strings")
	}
	labels := n.int64s(name)
	if len(labels) == 0 {
		n.invalid("it has no labels")
	}
	return labels
}

// labelled returns the label of the largest score of each row, the first one of equals.
func (n *node) labelled(scores *graph.Value, labels []int64) *graph.Value {
	return n.b.Gather(n.b.Const(format.FromInt64s("classes", []int{len(labels)}, labels)), n.apply(graph.ArgMax{Axis: 1}, scores))
}

// readTreeClassifier gives the label and the scores of each row. Of two classes whose leaves
// are all of one, the score is that of the second class: ONNX Runtime reads it
// as a probability if no weight is negative, and otherwise as a number around 0.
func readTreeClassifier(n *node) []*graph.Value {
	f, x := n.ensemble("class"), n.arg(0)
	labels, base := n.classes("classlabels_int64s"), n.numbersOf("base_values", "base_values_as_tensor")
	ids := slices.Compact(slices.Sorted(slices.Values(f.targets)))
	if len(labels) > 2 || len(ids) != 1 {
		if len(labels) == 2 { // ONNX Runtime's label is that of the second one if its score is positive
			n.refuse("two classes that have leaves each")
		}
		y := n.based(n.trees(f, x, "SUM", len(labels), format.Float32), base)
		return []*graph.Value{n.labelled(y, labels), n.transformed(y)}
	}
	if len(labels) != 2 || len(base) > 1 {
		n.refuse("%d labels, %d base values and leaves of one class", len(labels), len(base))
	}
	f.targets = make([]int64, len(f.targets))
	score := n.based(n.trees(f, x, "SUM", 1, format.Float32), base)
	limit, positive := 0.0, slices.Min(f.weights) >= 0
	if positive {
		limit = 0.5
	}
	second := n.b.Cast(n.b.Greater(score, n.like(score, limit)), format.Int64)
	label := n.b.Gather(n.b.Const(format.FromInt64s("classes", []int{2}, labels)), n.b.Reshape(second, second.Shape[0]))
	switch t := n.text("post_transform", "NONE"); {
	case positive && t == "NONE":
		return []*graph.Value{label, n.b.Concat(1, n.b.Sub(n.like(score, 1), score), score)}
	case t == "LOGISTIC":
		return []*graph.Value{label, n.b.Concat(1, n.b.Sigmoid(n.b.Neg(score)), n.b.Sigmoid(score))}
	case t == "NONE":
		return []*graph.Value{label, n.b.Concat(1, n.b.Neg(score), score)}
	default:
		n.refuse("post_transform %.80q for two classes", t)
		return nil
	}
}

// readTreeEnsemble reads the trees of ai.onnx.ml 5, whose leaves are apart from the nodes.
func readTreeEnsemble(n *node) *graph.Value {
	n.pass([]string{"nodes_hitrates"})
	x := n.arg(0)
	f := &forest{features: n.int64s("nodes_featureids"), splits: n.numbersOf("", "nodes_splits"), tracks: n.int64s("nodes_missing_value_tracks_true"), roots: n.int64s("tree_roots")}
	modes, members := n.numbersOf("", "nodes_modes"), n.numbersOf("", "membership_values")
	yes, no := n.int64s("nodes_truenodeids"), n.int64s("nodes_falsenodeids")
	yesLeaf, noLeaf := n.int64s("nodes_trueleafs"), n.int64s("nodes_falseleafs")
	targets, weights := n.int64s("leaf_targetids"), n.numbersOf("", "leaf_weights")
	count := len(modes)
	for _, list := range [][]int64{f.features, yes, no, yesLeaf, noLeaf} {
		if len(list) != count {
			n.invalid("lists of %d and %d nodes", count, len(list))
		}
	}
	if len(f.splits) != count || len(targets) != len(weights) {
		n.invalid("its lists have other lengths")
	}
	if f.tracks == nil {
		f.tracks = make([]int64, count)
	}
	leafMode, leaf := int64(len(graph.TreeModes)-1), func(i int64) int64 { return -1 - i } // until the number of nodes is known
	for i, m := range modes {
		if m < 0 || m > float64(leafMode) {
			n.refuse("the mode %g of a node", m)
		}
		f.modes = append(f.modes, int64(m))
		for _, to := range [2][2]int64{{yes[i], yesLeaf[i]}, {no[i], noLeaf[i]}} {
			limit := int64(count)
			if to[1] != 0 {
				limit = int64(len(targets))
			}
			if to[0] < 0 || to[0] >= limit {
				n.invalid("node %d continues with %d of %d", i, to[0], limit)
			}
			if to[1] != 0 {
				to[0] = leaf(to[0])
			}
			f.next = append(f.next, to[0])
		}
	}
	members = n.members(f, count, members)
	if len(members) > 0 {
		n.invalid("%d members of sets that no node looks for", len(members))
	}
	end := int64(len(f.modes)) // the leaves follow the nodes
	for i, to := range f.next {
		if to < 0 {
			f.next[i] = end - 1 - to
		}
	}
	f.leaves = make([]int64, 2*end)
	for i := range targets {
		f.features, f.modes, f.splits = append(f.features, 0), append(f.modes, leafMode), append(f.splits, 0)
		f.next, f.tracks = append(f.next, 0, 0), append(f.tracks, 0)
		f.leaves = append(f.leaves, int64(i), int64(i+1))
	}
	f.targets, f.weights = targets, weights
	aggregates, transforms := []string{"AVERAGE", "SUM", "MIN", "MAX"}, []string{"NONE", "SOFTMAX", "LOGISTIC"}
	aggregate, transform := n.int("aggregate_function", 1), n.int("post_transform", 0)
	if aggregate < 0 || aggregate >= len(aggregates) || transform < 0 || transform >= len(transforms) {
		n.refuse("aggregate_function %d or post_transform %d", aggregate, transform)
	}
	y := n.trees(f, x, aggregates[aggregate], max(1, n.int("n_targets", 1)), x.DType)
	switch transforms[transform] {
	case "LOGISTIC":
		return n.b.Sigmoid(y)
	case "SOFTMAX":
		return n.b.Softmax(y, -1)
	}
	return y
}

// readLinearClassifier gives the label and the scores of each row.
func readLinearClassifier(n *node) []*graph.Value {
	n.pass([]string{"multi_class"})
	x, labels := n.cast(n.arg(0), format.Float32), n.classes("classlabels_ints")
	numbers, intercepts := n.floats("coefficients"), n.floats("intercepts")
	classes := max(1, len(intercepts))
	if len(x.Shape) != 2 || !x.Shape[1].Mul(graph.N(classes)).Is(len(numbers)) {
		n.invalid("%d coefficients for %s and %d classes", len(numbers), x.Shape, classes)
	}
	if classes != len(labels) {
		n.refuse("%d scores for %d labels", classes, len(labels))
	}
	t := single(n, "coefficients", numbers)
	t.Shape = []int{classes, len(numbers) / classes}
	y := n.b.Add(n.b.MatMul(x, n.b.Transpose(n.b.Const(t), 1, 0)), n.row("intercepts", 0, graph.N(classes)))
	return []*graph.Value{n.labelled(y, labels), n.transformed(y)}
}

// members turns each of the first count nodes that looks for its feature in a set into a
// chain of nodes that compare it with one member each. The sets follow one another
// in the order of the nodes, each with a NaN behind it. It returns what is left.
func (n *node) members(f *forest, count int, sets []float64) []float64 {
	const member, equal = 6, 4
	for i := range count {
		if f.modes[i] != member {
			continue
		}
		size := slices.IndexFunc(sets, func(v float64) bool { return v != v })
		if size < 1 {
			n.invalid("node %d looks for its feature in a set that is empty or not there", i)
		}
		at, otherwise := i, f.next[2*i+1]
		f.modes[i], f.splits[i] = equal, sets[0]
		for _, v := range sets[1:size] {
			f.next[2*at+1] = int64(len(f.modes))
			at = len(f.modes)
			f.features, f.modes, f.splits = append(f.features, f.features[i]), append(f.modes, equal), append(f.splits, v)
			f.next, f.tracks = append(f.next, f.next[2*i], otherwise), append(f.tracks, f.tracks[i])
		}
		sets = sets[size+1:]
	}
	return sets
}
