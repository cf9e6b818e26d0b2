package attnx

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/npy"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/runtime"
)

// RunOptions configure RunONNX.
type RunOptions struct {
	Options       // Runtime may be Oracle
	Inputs  Files // inputs read from files; the others are drawn
	// Tokenizer is for inputs that are texts: a tokenizer.json, or a folder or checkpoint
	// with one. Empty: the one beside the file.
	Tokenizer string
	Seed      uint64 // of drawn inputs
	Out       string // new folder for the outputs as .npy files; empty: none
	Saving    func() // called before they are written; may be nil
}

// File is a file with an input.
type File struct {
	Input string // its name in the model
	Path  string // .npy, .npz, .json, .pb or .txt; or "text:" and a text
}

// Files are files with inputs. They are the value of a flag: each Set adds one, given
// as NAME=FILE.
type Files []File

// Set adds a file.
func (f *Files) Set(text string) error {
	name, path, ok := strings.Cut(text, "=")
	if !ok || name == "" || path == "" {
		return errors.New("give NAME=FILE, or NAME=text:WORDS")
	}
	*f = append(*f, File{Input: name, Path: path})
	return nil
}

// String returns the files as they are given.
func (f *Files) String() string {
	var texts []string
	for _, file := range *f {
		texts = append(texts, file.Input+"="+file.Path)
	}
	return strings.Join(texts, " ")
}

// Type names the type of the flag.
func (f *Files) Type() string { return "NAME=FILE" }

// RunReport describes a run's inputs and outputs.
type RunReport struct {
	File    string      `json:"file"`
	Runtime string      `json:"runtime"`
	Seed    uint64      `json:"seed"`
	Inputs  []RunInput  `json:"inputs"`
	Outputs []RunOutput `json:"outputs"`
}

// RunInput is an input and its source: a file, or a description of how it was
// drawn.
type RunInput struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	From  string `json:"from"`
}

// RunOutput is an output. Its statistics cover the finite elements, and are
// null if there are none.
type RunOutput struct {
	Name      string           `json:"name"`
	DType     string           `json:"dtype"`
	Shape     []int            `json:"shape"`
	Min       runtime.Number   `json:"min"`
	Max       runtime.Number   `json:"max"`
	Mean      runtime.Number   `json:"mean"`
	Deviation runtime.Number   `json:"deviation"`
	NotFinite int              `json:"not_finite"`
	First     []runtime.Number `json:"first"`
	Value     json.RawMessage  `json:"value,omitempty"` // of an output that is not a tensor of numbers: all of it
	File      string           `json:"file,omitempty"`

	exact *exactly // of integers: a float64 does not hold each
}

// exactly holds integers as decimal numbers.
type exactly struct {
	Min, Max json.RawMessage
	First    []json.RawMessage
}

// MarshalJSON implements json.Marshaler: integers are exact.
func (o RunOutput) MarshalJSON() ([]byte, error) {
	type plain RunOutput
	if o.exact == nil {
		return json.Marshal(plain(o))
	}
	return json.Marshal(struct {
		plain
		Min   json.RawMessage   `json:"min"` // in the place of those of plain
		Max   json.RawMessage   `json:"max"`
		First []json.RawMessage `json:"first"`
	}{plain: plain(o), Min: o.exact.Min, Max: o.exact.Max, First: o.exact.First})
}

// exactIntegers returns the statistics of integers; nil if t has none.
func exactIntegers(t format.Tensor, values []float64) *exactly {
	bits, signed := t.DType.Integer()
	if bits == 0 || len(values) == 0 {
		return nil
	}
	at := func(i int) int64 { // the bits of an unsigned integer
		if bits == 64 {
			return int64(binary.LittleEndian.Uint64(t.Data[8*i:]))
		}
		return int64(values[i])
	}
	less := func(a, b int64) bool {
		if signed {
			return a < b
		}
		return uint64(a) < uint64(b)
	}
	text := func(v int64) json.RawMessage {
		if signed {
			return strconv.AppendInt(nil, v, 10)
		}
		return strconv.AppendUint(nil, uint64(v), 10)
	}
	low, high, e := at(0), at(0), &exactly{First: []json.RawMessage{}}
	for i := range values {
		v := at(i)
		if i < shownValues {
			e.First = append(e.First, text(v))
		}
		if less(v, low) {
			low = v
		}
		if less(high, v) {
			high = v
		}
	}
	e.Min, e.Max = text(low), text(high)
	return e
}

// shownValues bounds the elements of an output that a report shows.
const shownValues = 6

// RunONNX runs an ONNX file of any tool once and reports its outputs. A file whose inputs
// or outputs are strings or maps runs in ONNX Runtime only, one with sequences or optional
// values of numbers also in the oracle; such an input is read from a .json or .pb file.
func RunONNX(path string, o RunOptions) (*RunReport, error) {
	o.Options = o.runName()
	if o.Out != "" {
		claim, err := output.Claim(output.Folder, o.Out, path)
		if err != nil {
			return nil, err
		}
		defer claim.Close()
	}
	x, err := OpenONNX(path, o.Options)
	if other, is := isKind(err); is {
		return runData(path, o, other)
	}
	if err != nil {
		return nil, err
	}
	defer x.Close()
	given, from, err := x.readInputs(o.Inputs, o.Tokenizer)
	if err != nil {
		return nil, err
	}
	inputs, how, err := x.Draw(given, o.Seed)
	if err != nil {
		return nil, err
	}
	outputs, err := x.Run(inputs)
	if err != nil {
		return nil, err
	}
	r := &RunReport{File: x.Path, Runtime: x.Runtime.String(), Seed: o.Seed, Inputs: []RunInput{}, Outputs: []RunOutput{}}
	for _, v := range x.inputs {
		t := inputs[v.Name]
		r.Inputs = append(r.Inputs, RunInput{v.Name, t.DType.String(), t.Shape, from[v.Name] + how[v.Name]})
	}
	for _, t := range outputs {
		out, err := measured(t)
		if err != nil {
			return nil, fmt.Errorf("%s: output %.80q: %w", x.Path, t.Name, err)
		}
		r.Outputs = append(r.Outputs, out)
	}
	if o.Out == "" {
		return r, nil
	}
	if o.Saving != nil {
		o.Saving()
	}
	return r, r.save(o.Out, outputs)
}

// readInputs reads inputs from files and texts. from says where they are from.
func (x *ONNX) readInputs(files []File, tokenizer string) (given map[string]format.Tensor, from map[string]string, err error) {
	given, from = map[string]format.Tensor{}, map[string]string{}
	texts := 0
	for _, f := range files {
		if f.isText() {
			texts++
			continue
		}
		if _, twice := given[f.Input]; twice {
			return nil, nil, fmt.Errorf("%s: input %.80q is given twice: give it once", x.Path, f.Input)
		}
		var was format.DType
		if given[f.Input], was, err = x.readInput(f.Input, f.Path); err != nil {
			return nil, nil, err
		}
		if from[f.Input] = f.Path; given[f.Input].DType != was {
			from[f.Input] += ", there " + was.String()
		}
	}
	if tokenizer != "" && texts == 0 {
		return nil, nil, fmt.Errorf("%s: a tokenizer is for an input that is a text: give NAME=text:WORDS", x.Path)
	}
	for _, f := range files { // they fill what no file gives
		if !f.isText() {
			continue
		}
		if _, twice := given[f.Input]; twice {
			return nil, nil, fmt.Errorf("%s: input %.80q is given twice: give it once", x.Path, f.Input)
		}
		if err := x.readText(f, tokenizer, given, from); err != nil {
			return nil, nil, err
		}
	}
	return given, from, nil
}

// save writes the outputs to files in a new folder.
func (r *RunReport) save(folder string, outputs []format.Tensor) error {
	var files []store.File
	taken := map[string]bool{}
	for i, t := range outputs {
		name := freeName(t.Name, taken)
		r.Outputs[i].File = name + ".npy"
		files = append(files, store.File{Name: name + ".npy", Write: func(w io.Writer) error { return npy.Write(w, t) }})
	}
	return store.SaveFolder(folder, files)
}

// freeName returns a file's name for an output that is not taken, and takes it.
func freeName(output string, taken map[string]bool) string {
	name := fileName(output)
	for n := 2; taken[strings.ToLower(name)]; n++ {
		name = fmt.Sprintf("%s-%d", fileName(output), n)
	}
	taken[strings.ToLower(name)] = true
	return name
}

// fileName converts the name of an output to one that every file system
// accepts.
func fileName(name string) string {
	clean := strings.Map(func(c rune) rune {
		if c == '_' || c == '.' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '_'
	}, name)
	clean = strings.TrimLeft(clean[:min(len(clean), 100)], ".-")
	if clean == "" {
		return "output"
	}
	return clean
}

// measured describes an output.
func measured(t format.Tensor) (RunOutput, error) {
	out := RunOutput{Name: t.Name, DType: t.DType.String(), Shape: t.Shape, First: []runtime.Number{}}
	values, err := t.AsFloat64s()
	if err != nil {
		return out, err
	}
	out.exact = exactIntegers(t, values)
	low, high, sum, n := math.Inf(1), math.Inf(-1), 0.0, 0
	for i, v := range values {
		if i < shownValues {
			out.First = append(out.First, runtime.Number(v))
		}
		if !isFinite(v) {
			out.NotFinite++
			continue
		}
		low, high, sum, n = min(low, v), max(high, v), sum+v, n+1
	}
	none := runtime.Number(math.NaN())
	out.Min, out.Max, out.Mean, out.Deviation = none, none, none, none
	if n == 0 {
		return out, nil
	}
	mean, squares := sum/float64(n), 0.0
	for _, v := range values {
		if isFinite(v) {
			squares += (v - mean) * (v - mean)
		}
	}
	out.Min, out.Max, out.Mean = runtime.Number(low), runtime.Number(high), runtime.Number(mean)
	out.Deviation = runtime.Number(math.Sqrt(squares / float64(n)))
	return out, nil
}

// WriteText writes the report as text.
func (r *RunReport) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s\n", quote.Line(r.File, 400), r.Runtime)
	for _, in := range r.Inputs {
		fmt.Fprintf(&b, "input   %s %s%v  %s\n", quote.Line(in.Name, 80), in.DType, in.Shape, quote.Line(in.From, 400))
	}
	for _, out := range r.Outputs {
		fmt.Fprintf(&b, "output  %s %s%v", quote.Line(out.Name, 80), out.DType, out.Shape)
		if out.exact != nil {
			fmt.Fprintf(&b, "  min %s, max %s, mean %.6g, deviation %.6g", out.exact.Min, out.exact.Max, float64(out.Mean), float64(out.Deviation))
		} else if isFinite(float64(out.Min)) {
			fmt.Fprintf(&b, "  min %.6g, max %.6g, mean %.6g, deviation %.6g", float64(out.Min), float64(out.Max), float64(out.Mean), float64(out.Deviation))
		}
		if out.NotFinite > 0 {
			fmt.Fprintf(&b, ", %s not finite", quote.Count(out.NotFinite))
		}
		b.WriteString("\n        ")
		if out.Value != nil {
			b.WriteString(quote.Line(string(out.Value), 400))
		}
		for i, v := range out.First {
			if out.exact != nil {
				fmt.Fprintf(&b, "%s ", out.exact.First[i])
			} else {
				fmt.Fprintf(&b, "%.6g ", float64(v))
			}
		}
		if n, _ := format.Elements(out.Shape); out.Value == nil && n > len(out.First) {
			b.WriteString("...")
		}
		if out.File != "" {
			b.WriteString(" → " + out.File)
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// isFinite reports whether v is neither NaN nor infinite.
func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
