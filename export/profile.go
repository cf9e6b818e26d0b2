package export

import (
	"fmt"

	"github.com/attnx/attnx/model/graph"
)

// Profile is a form in which a graph is written, chosen for the runtimes that
// will read it.
type Profile string

// The profiles.
const (
	// Plain keeps the graph's open axes and writes one node for each operator
	// that the operator set has.
	Plain Profile = "plain"
	// Cache is Plain for graphs that take the keys and values of a past and
	// give those of the next run: see graph.Cached.
	Cache Profile = "cache"
	// Flat is for runtimes that multiply matrices only: see flatten.
	Flat Profile = "flat"
	// Train is for graphs that train: weights are inputs, so that the file
	// holds the computation alone and whoever runs it brings the numbers.
	Train Profile = "train"
)

// profileRow is what a profile fixes.
type profileRow struct {
	opset, oldest, newest int64
	valueInfo             bool // name the type and shape of every value
	weightInputs          bool // weights are inputs instead of initializers
}

// Opset 17 is the first with LayerNormalization, and no CUDA kernel that the
// plain profile needs is missing up to 21. Flat ends before opset 13, where
// Softmax changed its meaning: onnx-go has the old one. It begins with opset 9,
// which came with the first IR version whose weights need not be inputs.
var profiles = map[Profile]profileRow{
	Plain: {opset: 17, oldest: 17, newest: 21, valueInfo: true},
	Cache: {opset: 21, oldest: 17, newest: 21, valueInfo: true},
	Flat:  {opset: 12, oldest: 9, newest: 12},
	Train: {opset: 17, oldest: 17, newest: 21, weightInputs: true},
}

// Profiles returns the names of the profiles.
func Profiles() []Profile { return []Profile{Plain, Cache, Flat, Train} }

// ParseProfile returns the profile of the given name.
func ParseProfile(name string) (Profile, error) {
	if _, ok := profiles[Profile(name)]; !ok {
		return "", fmt.Errorf("no profile is called %.80q: take %s, %s, %s or %s", name, Plain, Cache, Flat, Train)
	}
	return Profile(name), nil
}

// irVersions gives the IR version that came with an operator set, from ONNX's
// docs/Versioning.md. Runtimes refuse one that is newer than they know.
var irVersions = map[int64]int64{
	9: 4, 10: 5, 11: 6, 12: 7, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10,
}

// opset returns the operator set to write: the profile's own, or the one that
// was asked for if the profile can be written in it.
func (p Profile) opset(asked int) (int64, error) {
	row, ok := profiles[p]
	switch {
	case !ok:
		return 0, fmt.Errorf("export: no profile is called %.80q", p)
	case asked == 0:
		return row.opset, nil
	case int64(asked) < row.oldest || int64(asked) > row.newest:
		return 0, fmt.Errorf("export: profile %s is written in opset %d to %d, not %d", p, row.oldest, row.newest, asked)
	}
	return int64(asked), nil
}

// Lower returns g with the operators that the plain profile has no node for
// written with others: the graph whose values the file's nodes compute, name
// by name.
func Lower(g *graph.Graph) (*graph.Graph, error) {
	return graph.Apply(g, graph.SliceRanges, graph.Decompose(hasNode), graph.Merge)
}

// hasNode reports whether the profiles have a node for a composite operator.
func hasNode(n *graph.Node) bool {
	switch n.Op.(type) {
	case graph.LayerNormalization, graph.Gemm, graph.OneHot:
		return true
	}
	return false
}
