package attnx

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/runtime"
)

// kinds is a file with inputs that are not tensors of numbers, as its cases have them. Each
// such input is a number there, which stands for a value in held; outputs are taken apart into
// tensors, in which a number stands for each word.
type kinds struct {
	kinded
	why   *kindError // why the oracle does not read it
	held  []runtime.Datum
	words []string
	ids   map[string]int64
	texts map[string]bool // tensors of words
}

// readKinds returns a file with inputs that are not tensors of numbers.
func readKinds(file *ONNX, why *kindError) (*ONNX, error) {
	path, m := file.Path, file.File
	x := &ONNX{Path: path, File: m}
	x.kinds = &kinds{kinded: kinded{ONNX: x}, why: why, ids: map[string]int64{}, texts: map[string]bool{}}
	random := randomOutputs(m)
	if len(random) == len(m.Graph.Outputs) {
		return nil, fmt.Errorf("%s: %w", path, &RandomError{random[m.Graph.Outputs[0].Name]})
	}
	for _, out := range m.Graph.Outputs {
		x.leavesRandom(out.Name, random)
	}
	return x, x.kinds.declare()
}

// refusal is why the oracle does not read the file.
func (k *kinds) refusal() error {
	return fmt.Errorf("input %.80q is a %.200s, and the oracle has tensors of numbers only", k.why.name, k.why.kind)
}

// handle returns a number as a tensor.
func handle(name string, n int) format.Tensor {
	return format.Tensor{Name: name, DType: format.Int64, Shape: []int{}, Data: binary.LittleEndian.AppendUint64(nil, uint64(n))}
}

// given returns an input of a case.
func (k *kinds) given(name string, d runtime.Datum) format.Tensor {
	if d.Tensor != nil && isNumbers(k.all[slices.Index(k.names, name)]) {
		return d.Tensor.WithName(name)
	}
	k.held = append(k.held, d)
	return handle(name, len(k.held)-1)
}

// kindDraws is the number of cases whose inputs are drawn.
const kindDraws = 3

// cases returns cases with inputs that are read and drawn.
func (k *kinds) cases(o VerifyOptions) (all []runtime.Case, err error) {
	for i := range kindDraws {
		inputs, _, err := k.data(RunOptions{Inputs: o.Inputs, Tokenizer: o.Tokenizer, Seed: o.Seed + uint64(i)})
		if err != nil {
			return nil, err
		}
		c := runtime.Case{Batch: 1, Name: fmt.Sprintf("draw %d", i+1)}
		for _, name := range k.names {
			c.Given = append(c.Given, k.given(name, inputs[name]))
		}
		if len(o.Inputs) == len(k.names) {
			c.Name = "the given inputs"
			return []runtime.Case{c}, nil
		}
		all = append(all, c)
	}
	return all, nil
}

// record reads a recorded set.
func (k *kinds) record(folder string) (recording, error) {
	r := recording{name: filepath.Base(folder), path: folder}
	g := k.File.Graph
	if err := stray(folder, map[string]int{"input_": len(g.Inputs), "output_": len(g.Outputs)}); err != nil {
		return r, err
	}
	given, err := k.numbered(&r, "input_", g.Inputs, nil)
	if err != nil {
		return r, err
	}
	for i, name := range k.names {
		d, there := given[name]
		if !there {
			return r, fmt.Errorf("%s: it has no input %.80q: record it too", folder, name)
		}
		if wrong := unlike(d, k.all[i]); wrong != "" {
			return r, fmt.Errorf("%s: input %.80q: %s, the file takes a %.200s: record that", folder, name, wrong, k.all[i])
		}
		r.inputs = append(r.inputs, k.given(name, d))
	}
	results, err := k.numbered(&r, "output_", g.Outputs, k.left)
	if err != nil {
		return r, err
	}
	r.lacks = k.lacking(func(name string) bool { _, ok := results[name]; return ok })
	outputs := map[string]format.Tensor{}
	for _, out := range g.Outputs { // in order, so that words have the same numbers each time
		if d, there := results[out.Name]; there {
			if err := k.take(out.Name, d, outputs); err != nil {
				return r, err
			}
		}
	}
	if err := sortOpen(outputs, orderings(k.File)); err != nil {
		return r, fmt.Errorf("%s: %w", folder, err)
	}
	for name, t := range outputs {
		if t, err = inFloat64(t.WithName(name)); err != nil {
			return r, fmt.Errorf("%s: %w", folder, err)
		}
		r.outputs = append(r.outputs, t)
	}
	return r, nil
}

// numbered reads the values of a recorded set, each of the kind that the file declares.
func (k *kinds) numbered(r *recording, prefix string, values []onnx.ValueInfo, left map[string]bool) (map[string]runtime.Datum, error) {
	var names []string
	for _, v := range values {
		names = append(names, v.Name)
	}
	all, err := numbered(r, prefix, names, left, func(path string, number int) (runtime.Datum, string, error) {
		data, err := readRegular(path, maxProto)
		if err != nil {
			return runtime.Datum{}, "", err
		}
		d, name, err := datumIn(data, path, typeOf(values[number]))
		for _, v := range values { // it may be another one's, of another kind
			if err == nil && (name == values[number].Name || !slices.Contains(names, name)) {
				break
			}
			if other, own, wrong := datumIn(data, path, typeOf(v)); own == v.Name && wrong == nil {
				return other, own, nil
			}
		}
		return d, name, err
	})
	for _, v := range values {
		d, there := all[v.Name]
		if !there {
			continue
		}
		t := typeOf(v)
		if to, err := read.ElementType(t.DataType); d.Tensor != nil && err == nil && t.Kind == onnx.TensorType {
			*d.Tensor = asRecorded(*d.Tensor, to)
		}
		if wrong := misfit(d, t); wrong != "" {
			return nil, fmt.Errorf("%s: %s %.80q: %s, and the file declares %.200s: record that", r.path, strings.TrimSuffix(prefix, "_"), v.Name, wrong, t)
		}
	}
	return all, err
}

// take adds the tensors of an output: the elements of a sequence and their number, the keys of
// a map and its values. It refuses two of one name.
func (k *kinds) take(name string, d runtime.Datum, to map[string]format.Tensor) error {
	put := func(t format.Tensor) error {
		if _, taken := to[t.Name]; taken {
			return fmt.Errorf("%s: an output and a part of another one are both called %.80q: rename the output", k.Path, t.Name)
		}
		to[t.Name] = t
		return nil
	}
	switch {
	case d.Tensor != nil:
		return put(d.Tensor.WithName(name))
	case d.Strings != nil:
		t := format.Tensor{Name: name, DType: format.Int64, Shape: d.Strings.Shape, Data: []byte{}}
		for _, w := range d.Strings.Elements {
			id, known := k.ids[w]
			if !known {
				id = int64(len(k.words))
				k.ids[w], k.words = id, append(k.words, w)
			}
			t.Data = binary.LittleEndian.AppendUint64(t.Data, uint64(id))
		}
		k.texts[name] = true
		return put(t)
	case d.List != nil:
		for i, x := range *d.List {
			if err := k.take(fmt.Sprintf("%s[%d]", name, i), x, to); err != nil {
				return err
			}
		}
		return put(handle("the length of "+name, len(*d.List)))
	case d.Map != nil:
		if err := k.take(name+".keys", d.Map.Keys, to); err != nil {
			return err
		}
		return k.take(name+".values", d.Map.Values, to)
	}
	return put(handle("the absence of "+name, 1))
}

// says describes a difference in words.
func (k *kinds) says(b runtime.BadValue) string {
	word := func(id float64) string {
		if i := int(id); i >= 0 && i < len(k.words) {
			return quote.String(k.words[i])
		}
		return "no word"
	}
	if !k.texts[b.Name] {
		return ""
	}
	return fmt.Sprintf("%s is %s, the oracle says %s", b.Place(), word(b.Got), word(b.Oracle))
}

// opener returns how a runtime opens the file for its cases.
func (k *kinds) opener(e entrant) openFile {
	return func(f runtime.File, o runtime.Options) (runtime.Session, error) {
		if e.OpenData == nil {
			return nil, &runtime.UnavailableError{Runtime: e.String(), Reason: fmt.Sprintf("input %.80q is a %.200s, and it takes tensors of numbers only", k.why.name, k.why.kind), Remedy: "compare with another runtime"}
		}
		s, err := e.OpenData(f, o)
		if err != nil {
			return nil, err
		}
		return &kindSession{s, k}, nil
	}
}

// kindSession runs cases whose inputs are given in kinds.
type kindSession struct {
	runtime.DataSession
	k *kinds
}

func (s *kindSession) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	data := map[string]runtime.Datum{}
	for name, t := range inputs {
		if isNumbers(s.k.all[slices.Index(s.k.names, name)]) {
			data[name] = runtime.Datum{Tensor: &t}
		} else {
			data[name] = s.k.held[binary.LittleEndian.Uint64(t.Data)]
		}
	}
	results, err := s.RunData(data)
	if err != nil {
		return nil, err
	}
	out := map[string]format.Tensor{}
	for name, d := range results {
		if s.k.left[name] {
			continue
		}
		if err := s.k.take(name, d, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Place returns where the session runs.
func (s *kindSession) Place() runtime.Place {
	if p, says := s.DataSession.(runtime.Placed); says {
		return p.Place()
	}
	return runtime.Place{}
}
