package attnx

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/cut"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/runtime"
)

// maxTaken bounds the elements that are taken from a sequence.
const maxTaken = 256

// keepNumbers returns what of a file can be compared whose outputs are not all tensors of
// numbers that it alone decides; x.notes says what is left out. A ZipMap gives way to the
// tensor that it reads, and a sequence of numbers to its elements, so that every runtime and
// the oracle see tensors: the runtimes then get a copy of the file. What depends on random
// draws is left out too: the oracle does not see it, and the runtimes run the file as it
// is. other is why the file itself is not compared.
func keepNumbers(file *ONNX, other error) (_ *ONNX, err error) {
	path, m := file.Path, file.File
	whole, graph := *m, *m.Graph
	whole.Graph = &graph
	x := &ONNX{Path: path, File: &whole, partly: true, left: map[string]bool{}}
	graph.Outputs, graph.Nodes = nil, slices.Clone(graph.Nodes)
	parts, random := cut.Of(m), randomOutputs(m)
	for _, out := range m.Graph.Outputs {
		x.named = append(x.named, out.Name)
		numbers := isNumbers(typeOf(out))
		x.apart = x.apart || !numbers
		if x.leavesRandom(out.Name, random) {
			continue
		}
		if numbers {
			graph.Outputs = append(graph.Outputs, out)
			continue
		}
		x.left[out.Name] = true
		graph.Outputs = append(graph.Outputs, x.unpacked(m, parts, out)...)
	}
	if _, kind := isKind(other); len(graph.Outputs) == 0 && kind {
		return nil, fmt.Errorf("%s: none of its outputs is made of numbers: %w", path, other)
	} else if len(graph.Outputs) == 0 {
		return nil, fmt.Errorf("%s: %w", path, other)
	}
	if x.inputs, err = inputsOf(&whole); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var give []string
	for _, out := range graph.Outputs {
		give = append(give, out.Name)
	}
	added := graph.Nodes[len(m.Graph.Nodes):]
	for _, n := range added {
		give = append(give, n.Inputs...)
	}
	needed, _ := parts.Between(give, func(string) bool { return false })
	var nodes []*onnx.Node
	for i, n := range m.Graph.Nodes {
		if _, is := slices.BinarySearch(needed, i); is || n.Op == "Constant" {
			nodes = append(nodes, n)
		}
	}
	graph.Nodes = append(nodes, added...)
	if x.apart {
		x.leavesFile()
	}
	return x, nil
}

// unpacked returns the tensors that stand for an output of another kind, and notes what
// they are.
func (x *ONNX) unpacked(m *onnx.Model, parts *cut.Model, out onnx.ValueInfo) (all []onnx.ValueInfo) {
	t, name := typeOf(out), out.Name
	if at, made := parts.Maker(out.Name); made && m.Graph.Nodes[at].Op == "ZipMap" {
		if from := m.Graph.Nodes[at].Inputs[0]; !slices.ContainsFunc(m.Graph.Outputs, func(v onnx.ValueInfo) bool { return v.Name == from }) {
			x.standsFor(name, fmt.Sprintf("%s: output %.80q is a %.200s: its numbers are compared, as the tensor %.80q", x.Path, name, t, from))
			return []onnx.ValueInfo{{Name: from, DataType: onnx.Float, NoShape: true}}
		}
	}
	if t.Kind == onnx.SequenceType && t.Elem != nil && isNumbers(t.Elem) {
		r, err := read.Model(m, read.Options{Dir: filepath.Dir(x.Path)})
		if err == nil && r.Outputs[out.Name].List != nil && len(*r.Outputs[out.Name].List) <= maxTaken {
			n := len(*r.Outputs[out.Name].List)
			for i := range n {
				if taken := fmt.Sprintf("%s[%d]", name, i); hasValue(m, taken) {
					x.leaves(name, fmt.Sprintf("it is a %.200s, and the file has a value of its own that is called %.80q, as its element would be", t, taken))
					return nil
				}
			}
			for i := range n {
				element := onnx.ValueInfo{Name: fmt.Sprintf("%s[%d]", out.Name, i), DataType: t.Elem.DataType, NoShape: true}
				place := element.Name + ".place"
				x.File.Graph.Nodes = append(x.File.Graph.Nodes,
					&onnx.Node{Op: "Constant", Outputs: []string{place}, Attributes: []onnx.Attribute{onnx.TensorAttr("value", &onnx.Tensor{DataType: onnx.Int64, Raw: []byte{byte(i), byte(i >> 8), 0, 0, 0, 0, 0, 0}})}},
					&onnx.Node{Op: "SequenceAt", Inputs: []string{out.Name, place}, Outputs: []string{element.Name}})
				all = append(all, element)
			}
			x.standsFor(name, fmt.Sprintf("%s: output %.80q is a %.200s: its elements are compared, as %d tensors", x.Path, name, t, n))
			return all
		}
	}
	x.leaves(name, fmt.Sprintf("it is a %.200s", t))
	return nil
}

// leavesFile says that the runtimes do not run the file on the disk.
func (x *ONNX) leavesFile() {
	const why = "the runtimes ran a copy of it, in memory, that has outputs of numbers only"
	x.ignored = append(x.ignored, "the file as it is: "+why)
	x.notes = append(x.notes, fmt.Sprintf("%s: %s", x.Path, why))
}

// standsFor notes that tensors are compared in an output's place.
func (x *ONNX) standsFor(output, note string) {
	if x.stands == nil {
		x.stands = map[string]string{}
	}
	x.stands[output], x.notes = note, append(x.notes, note)
}

// leaves leaves an output out of the comparison, and notes why.
func (x *ONNX) leaves(output, why string) {
	if x.left == nil {
		x.left = map[string]bool{}
	}
	x.left[output], x.ignored = true, append(x.ignored, fmt.Sprintf("output %.80q: %s", output, why))
	x.notes = append(x.notes, fmt.Sprintf("%s: output %.80q is not compared: %s", x.Path, output, why))
}

// hasValue reports whether a value of a file's graph has a name.
func hasValue(m *onnx.Model, name string) bool {
	g := m.Graph
	return slices.ContainsFunc(slices.Concat(g.Inputs, g.Outputs), func(v onnx.ValueInfo) bool { return v.Name == name }) ||
		slices.ContainsFunc(g.Initializers, func(t *onnx.Tensor) bool { return t.Name == name }) ||
		slices.ContainsFunc(g.Nodes, func(n *onnx.Node) bool { return slices.Contains(n.Outputs, name) })
}

// withoutIgnored adds the outputs that are not compared to what a verification leaves out, so
// that a receipt has them too.
func (x *ONNX) withoutIgnored(c *runtime.Coverage) {
	if c != nil {
		c.LeftOut = append(c.LeftOut, x.ignored...)
	}
}

// recordedNames returns the names of the outputs by number, as the file on the disk has them.
func (x *ONNX) recordedNames() (names []string) {
	if x.partly {
		return x.named
	}
	for _, out := range x.File.Graph.Outputs {
		names = append(names, out.Name)
	}
	return names
}

// leavesRandom leaves an output out that depends on random draws, and notes it.
func (x *ONNX) leavesRandom(output string, random map[string]string) bool {
	node := random[output]
	if node == "" {
		return false
	}
	x.leaves(output, fmt.Sprintf("it depends on what node %s draws at random", node))
	return true
}

// readCompared reads a file to be verified.
func readCompared(path string) (*ONNX, error) {
	x, err := readStructure(path)
	if err != nil {
		return nil, err
	}
	err = x.declareNumbers()
	other, is := isKind(err)
	switch {
	case is && other.what == "output":
		return keepNumbers(x, other)
	case is:
		return readKinds(x, other)
	case err != nil:
		return nil, err
	}
	random := randomOutputs(x.File)
	for _, out := range x.File.Graph.Outputs {
		if node := random[out.Name]; node != "" {
			return keepNumbers(x, &RandomError{node})
		}
	}
	return x, nil
}

// runtimeNames replaces the names that attnx run has for runtimes by those of verify.
func runtimeNames(names []string) (all []string) {
	for _, name := range names {
		if i := slices.IndexFunc(runtimes, func(r row) bool { return r.Name == name && len(r.Devices) > 0 }); i >= 0 {
			name += "-" + runtimes[i].Devices[0]
		}
		if name == Oracle {
			name = "ref"
		}
		all = append(all, name)
	}
	return all
}

// runName replaces the names that verify has for runtimes by those of attnx run.
func (o Options) runName() Options {
	if o.Runtime == "ref" {
		o.Runtime = Oracle
	}
	for _, r := range runtimes {
		device, is := strings.CutPrefix(o.Runtime, r.Name+"-")
		if is && slices.Contains(r.Devices, device) && (o.Device == "" || o.Device == "auto" || o.Device == device) {
			o.Runtime, o.Device = r.Name, device
		}
	}
	return o
}
