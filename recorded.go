package attnx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/runtime"
)

// recording is a set of recorded inputs and outputs of a file.
type recording struct {
	name    string // of its folder
	path    string
	others  []string        // what was said of tensors that have names of their own
	inputs  []format.Tensor // in the order of the file's
	outputs []format.Tensor
	lacks   []string // the outputs that it does not have
}

// maxRecordings bounds the sets of a folder.
const maxRecordings = 1000

// recordings reads the sets beside the model of a folder, in order; none if path is a
// file.
func recordings(path string, x *ONNX) (all []recording, err error) {
	if !find.IsFolder(path) {
		return nil, nil
	}
	folders := find.TestSets(filepath.Dir(x.Path))
	if len(folders) > maxRecordings {
		return nil, fmt.Errorf("%s: it has more than %d folders test_data_set_N: leave some out", path, maxRecordings)
	}
	for _, folder := range folders {
		r, err := record(folder, x)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// hasRecorded reports whether a set has outputs to compare with: those of a file that is
// compared in parts may all be left out.
func (v *onnxVerification) hasRecorded() bool {
	return slices.ContainsFunc(v.recorded, func(r recording) bool { return len(r.outputs) > 0 })
}

// record reads a set. A tensor is for the input or output of its name, or else of its
// file's number.
func record(folder string, x *ONNX) (recording, error) {
	if x.kinds != nil {
		return x.kinds.record(folder)
	}
	r := recording{name: filepath.Base(folder), path: folder}
	var inputs, outputs []string // names by number
	for _, in := range x.File.Graph.Inputs {
		inputs = append(inputs, in.Name)
	}
	outputs = x.recordedNames()
	if err := stray(folder, map[string]int{"input_": len(inputs), "output_": len(outputs)}); err != nil {
		return r, err
	}
	given, err := numbered(&r, "input_", inputs, nil, numbers)
	if err != nil {
		return r, err
	}
	declared := map[string]runtime.Value{}
	for _, v := range x.inputs {
		declared[v.Name] = v
	}
	for name, t := range given {
		v, ok := declared[name]
		if !ok {
			return r, fmt.Errorf("%s: it has an input %.80q, which the file does not take: it takes %s", folder, name, x.takes())
		}
		t = asRecorded(t, v.DType).WithName(name)
		if err := fits(t, v); err != nil {
			return r, fmt.Errorf("%s: %w", folder, err)
		}
		given[name] = t
	}
	for _, v := range x.inputs {
		t, ok := given[v.Name]
		if !ok {
			return r, fmt.Errorf("%s: it has no input %.80q: record it too", folder, v.Name)
		}
		r.inputs = append(r.inputs, t)
	}
	results, err := numbered(&r, "output_", outputs, x.left, numbers)
	if err != nil {
		return r, err
	}
	if len(results) == 0 && !x.partly {
		return r, fmt.Errorf("%s: it has no output_0.pb: record the outputs too", folder)
	}
	r.lacks = x.lacking(func(name string) bool { _, ok := results[name]; return ok })
	types, err := outputsOf(x.File)
	if err != nil {
		return r, fmt.Errorf("%s: %w", x.Path, err)
	}
	for name, t := range results {
		results[name] = t.WithName(name)
	}
	if err := sortOpen(results, orderings(x.File)); err != nil {
		return r, fmt.Errorf("%s: %w", folder, err)
	}
	for _, out := range types {
		t, ok := results[out.Name]
		if !ok {
			continue
		}
		if t, err = inFloat64(asRecorded(t, out.DType)); err != nil {
			return r, fmt.Errorf("%s: %w", folder, err)
		}
		r.outputs = append(r.outputs, t)
	}
	return r, nil
}

// asRecorded mends data that has the bits of bfloat16 as uint16, as ONNX's tests had
// them before version 1.18.
func asRecorded(t format.Tensor, to format.DType) format.Tensor {
	if to == format.BFloat16 && t.DType == format.Uint16 {
		t.DType = to
	}
	return t
}

// stray refuses a folder with more recorded tensors than the file has inputs or
// outputs: they are another file's.
func stray(folder string, counts map[string]int) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for prefix, most := range counts {
			digits, is := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".pb"), prefix)
			n, err := strconv.Atoi(digits)
			if is && err == nil && filepath.Ext(e.Name()) == ".pb" && n >= most {
				what := strings.TrimSuffix(prefix, "_")
				if most != 1 {
					what += "s"
				}
				return fmt.Errorf("%s: the model has %d %s: it is recorded for another one; remove it, or record the set again", filepath.Join(folder, e.Name()), most, what)
			}
		}
	}
	return nil
}

// numbered reads the files prefix0.pb, prefix1.pb and so on, by the names of what they hold. A
// name that is none of the file's gives way to the number, as in ONNX's own tests, and others
// says so. What is left is not read. decode returns a value and its own name.
func numbered[T any](r *recording, prefix string, names []string, left map[string]bool, decode func(path string, number int) (T, string, error)) (map[string]T, error) {
	all := map[string]T{}
	for i, name := range names {
		path := filepath.Join(r.path, prefix+strconv.Itoa(i)+".pb")
		if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if err := gap(r.path, prefix, i, len(names)); err != nil {
				return nil, err
			}
			break
		} else if err == nil && !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s: it is not a regular file", path)
		}
		x, own, err := decode(path, i)
		known := slices.Contains(names, own)
		if known {
			name = own
		}
		if left[name] {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !known && own != "" {
			r.others = append(r.others, fmt.Sprintf("%s: %s%d.pb is called %.80q, which the file does not have: it was taken for %.80q by its number", r.name, prefix, i, own, name))
		}
		if _, twice := all[name]; twice {
			return nil, fmt.Errorf("%s: %.80q is there twice: leave one", path, name)
		}
		all[name] = x
	}
	return all, nil
}

// numbers reads a tensor of numbers, and its own name.
func numbers(path string, _ int) (format.Tensor, string, error) {
	t, err := protoTensor(path)
	return t, t.Name, err
}

// gap refuses a set in which a later number follows a missing one.
func gap(folder, prefix string, missing, count int) error {
	for i := missing + 1; i < count; i++ {
		if _, err := os.Lstat(filepath.Join(folder, prefix+strconv.Itoa(i)+".pb")); err == nil {
			return fmt.Errorf("%s: there is %s%d.pb and no %s%d.pb: record the whole set", folder, prefix, i, prefix, missing)
		}
	}
	return nil
}

// keep writes the part as a folder with recorded inputs and outputs: the outputs of
// the oracle, and beside them those that were computed.
func (f *found) keep(folder string) error {
	fed := map[string]format.Tensor{}
	for v, t := range f.fed {
		if v != f.value {
			fed[v] = t
		}
	}
	nodes, reads := f.Between([]string{f.value}, has(fed))
	give := onnx.ValueInfo{Name: f.value, NoShape: true}
	if f.want.Data != nil {
		give = info(f.value, f.want.dtype, f.want.Shape)
	}
	model, inputs, _, err := f.part(nodes, reads, fed, []onnx.ValueInfo{give})
	if err != nil {
		return err
	}
	data, err := inlined(model, f.dir)
	if err != nil {
		return err
	}
	files := []store.File{{Name: "model.onnx", Write: func(w io.Writer) error { _, err := w.Write(data); return err }}}
	add := func(name string, t format.Tensor) error {
		var b bytes.Buffer
		if err := proto(t).Encode(&b); err != nil {
			return err
		}
		files = append(files, store.File{Name: filepath.ToSlash(filepath.Join("test_data_set_0", name+".pb")), Write: func(w io.Writer) error { _, err := w.Write(b.Bytes()); return err }})
		return nil
	}
	for i, v := range reads {
		if err := add("input_"+strconv.Itoa(i), inputs[v]); err != nil {
			return err
		}
	}
	if f.want.Data != nil {
		t, err := f.want.rounded()
		if err == nil {
			err = add("output_0", t.WithName(f.value))
		}
		if err != nil {
			return err
		}
	}
	if f.got != nil {
		if err := add("actual_0", f.got.WithName(f.value)); err != nil {
			return err
		}
	}
	return store.SaveFolder(strings.TrimRight(folder, "/"), files)
}

// proto returns a tensor in the form of ONNX.
func proto(t format.Tensor) *onnx.Tensor {
	p := &onnx.Tensor{Name: t.Name, DataType: dataType(t.DType), Raw: t.Data}
	for _, n := range t.Shape {
		p.Dims = append(p.Dims, int64(n))
	}
	if bytes, ok := p.DataType.BytesOf(8); ok && bytes < 8 { // several elements a byte
		p.Raw = packed(t.Data, int(bytes))
	}
	return p
}

// packed packs elements of one byte each into the given bits, the first into the
// lowest ones.
func packed(data []byte, bits int) []byte {
	out := make([]byte, (len(data)*bits+7)/8)
	for i, b := range data {
		out[i*bits/8] |= (b & (1<<bits - 1)) << (i * bits % 8)
	}
	return out
}
