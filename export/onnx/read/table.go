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

// row is how an operator is read.
type row struct {
	// read records the operator and returns its results: all, or the first ones.
	read func(n *node) []*graph.Value
	// know computes the results while reading, where what it needs is known; it
	// returns nil otherwise, and read is called.
	know func(n *node) []*elements
	// values does everything itself: for control flow.
	values func(n *node) []*value
}

// records is the row of an operator that is recorded, with one result.
func records(f func(n *node) *graph.Value) row {
	return row{read: func(n *node) []*graph.Value { return one(f(n)) }}
}

// knows adds to a row what computes the one result while reading.
func (w row) knows(f func(n *node) *elements) row {
	w.know = func(n *node) []*elements {
		if e := f(n); e != nil {
			return []*elements{e}
		}
		return nil
	}
	return w
}

// family is the operators of one file, by their names.
type family = map[string]row

// table has every operator that is read. A new family is a line here, a new operator
// a row in its family.
var table map[key]row

// The families name functions that look into the table (Loop reads nodes), so it
// cannot be initialized by its declaration.
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
	maps.Copy(table, tabulate(trainingDomain, trainingFamily))
	maps.Copy(table, tabulate(mlDomain, mlFamily))
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
