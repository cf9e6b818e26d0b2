package read

import (
	"maps"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model/graph"
)

// key is the name of an operator.
type key struct{ domain, name string } // the standard domain is ""

func (k key) String() string {
	if k.domain == "" {
		return k.name
	}
	return k.domain + "." + k.name
}

// row describes how to read an operator.
type row struct {
	// read records the operator and returns its results: all, or the first ones.
	read func(n *node) []*graph.Value
	// know computes the results while reading, if their inputs are known. Otherwise
	// it returns nil, and read is called.
	know func(n *node) []*elements
	// values does everything itself; control flow uses it. If it returns nil, read is
	// called.
	values func(n *node) []*value
}

// records makes the row of an operator with one result that is recorded.
func records(f func(n *node) *graph.Value) row {
	return row{read: func(n *node) []*graph.Value { return one(f(n)) }}
}

// knows adds to a row a function that computes the one result while reading.
func (w row) knows(f func(n *node) *elements) row {
	w.know = func(n *node) []*elements {
		if e := f(n); e != nil {
			return []*elements{e}
		}
		return nil
	}
	return w
}

// family holds the operators of one file, by name.
type family = map[string]row

// table has every operator that can be read. A new family is a line here, a new
// operator a row in its family.
var table map[key]row

// The families refer to functions that use the table (Loop reads nodes), so its
// declaration cannot initialize it.
func init() {
	table = tabulate("",
		sizesFamily,
		elementwiseFamily,
		movingFamily,
		productsFamily,
		reducingFamily,
		networkFamily,
		controlFamily,
		convFamily,
		poolFamily,
		normalizeFamily,
		imageFamily,
		quantizeFamily,
		statisticsFamily,
		recurrentFamily,
		attendingFamily,
		scatterFamily,
		sequenceFamily,
		rankingFamily,
		signalFamily,
	)
	maps.Copy(table, tabulate(onnx.Microsoft, microsoftFamily, microsoftQuantizedFamily))
	maps.Copy(table, tabulate(nchwcDomain, nchwcFamily))
	maps.Copy(table, tabulate(trainingDomain, trainingFamily))
	maps.Copy(table, tabulate(mlDomain, mlFamily, treeFamily, encoderFamily))
	maps.Copy(table, tabulate("ai.onnx.preview", previewFamily))
}

func tabulate(domain string, families ...family) map[key]row {
	all := map[key]row{}
	for _, f := range families {
		for name, w := range f {
			if _, twice := all[key{domain, name}]; twice {
				panic("read: two rows of " + name)
			}
			all[key{domain, name}] = w
		}
	}
	return all
}
