package attnx

import (
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// pairing maps the inputs and outputs of a file to those of the first one: by name
// and, where names differ, by position among inputs or outputs of the same type.
type pairing struct {
	takes    []runtime.Value   // inputs of the file
	ours     map[string]string // inputs of the first file, by name in this one
	outputs  map[string]string // outputs of the first file, by name in this one
	types    map[string]format.DType
	computed format.DType // in which the file is compared: see comparedIn
	// arithmetic says that the file computes in less exact numbers than the first one;
	// "": it does not.
	arithmetic string
	ins        matching
	outs       matching
}

// matching describes how values were matched.
type matching struct {
	total int // of the first file
	named int
	moved []string // matched by position
	lost  []string // of the first file, without a counterpart
	added []string // of this file, without a counterpart
}

// paired matches a file with the first one.
func paired(first, x *ONNX) (*pairing, error) {
	p := &pairing{takes: x.inputs, types: map[string]format.DType{}}
	p.computed, p.arithmetic = comparedIn(first.File, x.File)
	p.ours, p.ins = match(first.inputs, x.inputs)
	ours, err := outputsOf(first.File)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", first.Path, err)
	}
	theirs, err := outputsOf(x.File)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", x.Path, err)
	}
	p.outputs, p.outs = match(ours, theirs)
	for _, v := range ours {
		p.types[v.Name] = v.DType
	}
	if len(p.ins.added) > 0 {
		return nil, fmt.Errorf("%s: it takes %s, which %s does not: compare files with the same inputs", x.Path, strings.Join(few(p.ins.added), ", "), first.Path)
	}
	if len(p.outputs) == 0 {
		return nil, fmt.Errorf("%s: it gives none of the outputs of %s: compare files with the same outputs", x.Path, first.Path)
	}
	return p, nil
}

// comparedIn returns the arithmetic whose roundings bound the difference of a file from
// the first one: that of the first one. Only a file whose weights were stored as less exact
// numbers is held to those numbers, and the report says so. A cast that only the
// file has loses digits that it should have.
func comparedIn(first, other *onnx.Model) (computed format.DType, less string) {
	computed = precision.ComputedIn(first)
	if stored := precision.StoredIn(other); coarser(computed, stored) != computed {
		return stored, fmt.Sprintf("%s, where the first file computes in %s", precision.NameOf(stored), precision.NameOf(computed))
	}
	return computed, ""
}

// match matches values by name, then the others in order by type.
func match(first, other []runtime.Value) (names map[string]string, m matching) {
	names = map[string]string{}
	m.total = len(first)
	var left []runtime.Value
	for _, v := range first {
		if slices.ContainsFunc(other, func(o runtime.Value) bool { return o.Name == v.Name }) {
			names[v.Name] = v.Name
			m.named++
		} else {
			left = append(left, v)
		}
	}
	for _, o := range other {
		if names[o.Name] != "" {
			continue
		}
		i := slices.IndexFunc(left, func(v runtime.Value) bool { return alike(v, o) })
		if i < 0 {
			m.added = append(m.added, o.String())
			continue
		}
		names[o.Name] = left[i].Name
		m.moved = append(m.moved, fmt.Sprintf("%.80q is %.80q of the first file", o.Name, left[i].Name))
		left = slices.Delete(left, i, i+1)
	}
	for _, v := range left {
		m.lost = append(m.lost, v.String())
	}
	return names, m
}

// alike reports whether values can be the same under another name.
func alike(a, b runtime.Value) bool {
	number := func(v runtime.Value) bool { bits, _ := v.DType.Integer(); return bits > 0 }
	same := a.DType == b.DType || a.DType.Float() && b.DType.Float() || number(a) && number(b)
	if !same || !a.Ranked || !b.Ranked {
		return same
	}
	if len(a.Shape) != len(b.Shape) {
		return false
	}
	for i, d := range a.Shape {
		if d.Name == "" && b.Shape[i].Name == "" && d.Size != b.Shape[i].Size {
			return false
		}
	}
	return true
}

// outputsOf returns the declared outputs of a file.
func outputsOf(m *onnx.Model) (all []runtime.Value, err error) {
	for _, out := range m.Graph.Outputs {
		v := runtime.Value{Name: out.Name, Ranked: !out.NoShape}
		if v.DType, err = read.ElementType(out.DataType); err != nil {
			return nil, fmt.Errorf("output %.80q: %w", out.Name, err)
		}
		for _, d := range out.Dims {
			if d.Open {
				v.Shape = append(v.Shape, runtime.Dim{Name: "?"})
			} else {
				v.Shape = append(v.Shape, runtime.Dim{Size: int(d.Value)})
			}
		}
		all = append(all, v)
	}
	return all, nil
}

// checks reports how the inputs and outputs of a file were matched.
func (p *pairing) checks(file string) (all []runtime.Check) {
	for part, m := range map[string]matching{"inputs": p.ins, "outputs": p.outs} {
		c := runtime.Check{File: file, Part: part, Status: runtime.StatusOK, Compared: len(m.moved) + m.named, Total: m.total}
		var notes []string
		if len(m.moved) > 0 {
			notes = append(notes, "matched by position and type: "+strings.Join(few(m.moved), ", "))
		}
		if len(m.lost) > 0 {
			notes = append(notes, "it has no counterpart of "+strings.Join(few(m.lost), ", "))
		}
		if len(m.added) > 0 {
			notes = append(notes, "not compared: "+strings.Join(few(m.added), ", "))
		}
		if len(m.lost) > 0 && part == "outputs" {
			c.Status = runtime.StatusFail
		}
		c.Reason = strings.Join(notes, "; ")
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b runtime.Check) int { return strings.Compare(a.Part, b.Part) })
	return all
}

// inputs returns inputs of the first file as this file takes them.
func (p *pairing) inputs(ours map[string]format.Tensor) (map[string]format.Tensor, error) {
	inputs := map[string]format.Tensor{}
	for _, v := range p.takes {
		t, err := asType(ours[p.ours[v.Name]], v.DType)
		if err != nil {
			return nil, fmt.Errorf("input %.80q: %w", v.Name, err)
		}
		inputs[v.Name] = t.WithName(v.Name)
	}
	return inputs, nil
}

// asType converts a tensor to a type that represents all of its elements.
func asType(t format.Tensor, to format.DType) (format.Tensor, error) {
	switch {
	case t.DType == to:
		return t, nil
	case t.DType.Float() && to.Float():
		out, r, err := t.Convert(to)
		if err == nil && r.Changed > 0 {
			err = fmt.Errorf("%d of its numbers are none of %s: give others", r.Changed, to)
		}
		return out, err
	}
	bits, signed := to.Integer()
	if from, _ := t.DType.Integer(); bits == 0 || from == 0 {
		return t, fmt.Errorf("%s is not converted to %s: compare files whose inputs have one type", t.DType, to)
	}
	values, err := t.AsFloat64s()
	if err != nil {
		return t, err
	}
	out := format.Tensor{Name: t.Name, DType: to, Shape: t.Shape, Data: make([]byte, 0, len(values)*to.Size())}
	for _, v := range values {
		n := int64(v)
		if float64(n) != v || n < 0 && !signed || bits < 64 && (n >= 1<<bits || signed && (n >= 1<<(bits-1) || n < -1<<(bits-1))) {
			return t, fmt.Errorf("%v does not fit %s: give others", v, to)
		}
		out.Data = appendInteger(out.Data, to, uint64(n))
	}
	return out, nil
}

// of returns a session of the file with the inputs and outputs of the first one.
func (p *pairing) of(s runtime.Session) runtime.Session { return pairedSession{s, p} }

type pairedSession struct {
	runtime.Session
	p *pairing
}

func (s pairedSession) Run(ours map[string]format.Tensor) (map[string]format.Tensor, error) {
	inputs, err := s.p.inputs(ours)
	if err != nil {
		return nil, err
	}
	out, err := s.Session.Run(inputs)
	if err != nil {
		return nil, err
	}
	return s.p.results(out)
}

// results returns outputs of this file under the names of the first one.
func (p *pairing) results(out map[string]format.Tensor) (map[string]format.Tensor, error) {
	results := map[string]format.Tensor{}
	for name, t := range out {
		if our, ok := p.outputs[name]; ok {
			if want := p.types[our]; !t.DType.Float() && !want.Float() && t.DType != want {
				var err error
				if t, err = asType(t, want); err != nil {
					return nil, fmt.Errorf("output %.80q: %w", name, err)
				}
			}
			results[our] = t.WithName(our)
		}
	}
	return results, nil
}

// oracle is of for an oracle.
func (p *pairing) oracle(o runtime.Oracle) runtime.Oracle { return pairedOracle{o, p} }

type pairedOracle struct {
	runtime.Oracle
	p *pairing
}

func (o pairedOracle) Run(ours map[string]format.Tensor) (map[string]format.Tensor, error) {
	return o.p.of(o.Oracle).Run(ours)
}

func (o pairedOracle) Bounds(ours map[string]format.Tensor, numbers ...runtime.Numbers) (runtime.Bounded, error) {
	inputs, err := o.p.inputs(ours)
	if err != nil {
		return runtime.Bounded{}, err
	}
	b, err := o.Oracle.Bounds(inputs, numbers...)
	if err != nil {
		return b, err
	}
	out, err := o.p.results(b.Outputs)
	named := runtime.Bounded{Outputs: out}
	for _, x := range b.Bounds {
		of := map[string]format.Tensor{}
		for name, t := range x.Of {
			if our, ok := o.p.outputs[name]; ok {
				of[our] = t.WithName(our)
			}
		}
		named.Bounds = append(named.Bounds, runtime.Bounds{Of: of, Unknown: x.Unknown})
	}
	return named, err
}
