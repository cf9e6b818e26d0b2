package attnx

import (
	"context"
	"fmt"
	"slices"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime"
)

// VerifyFiles is Verify for files: a checkpoint and its ONNX files, or a single
// ONNX file of any tool, which is passed to VerifyONNX.
func VerifyFiles(ctx context.Context, paths []string, tell Tell, o VerifyOptions) (runtime.Report, error) {
	if kind, err := find.ExpectModel(paths[0]); err == nil && kind == find.ONNX && len(paths) == 1 {
		return VerifyONNX(ctx, paths[0], o)
	}
	c, _, err := find.Load(paths[0], tell, model.LoadModel)
	if err != nil {
		return runtime.Report{}, err
	}
	return Verify(ctx, c, paths[1:], o)
}

// foreignCases are the sizes of a file's open dimensions.
var foreignCases = []openSizes{{1, drawnLength}, {2, 5}, {3, 1}, {1, 3}}

// VerifyONNX runs an ONNX file of any tool in every runtime that accepts such
// files, at each optimization level, and compares the outputs with the file's
// graph evaluated in float64. The inputs are drawn as in ONNX.Draw.
func VerifyONNX(ctx context.Context, path string, o VerifyOptions) (runtime.Report, error) {
	x, err := OpenONNX(path, Options{Runtime: Oracle})
	if err != nil {
		return runtime.Report{}, err
	}
	defer x.Close()
	candidates, names := x.candidates(o)
	for _, name := range o.Runtimes {
		if !slices.Contains(names, name) {
			return runtime.Report{}, fmt.Errorf("%s does not run ONNX files of other tools: take %s", name, quote.Or(names))
		}
	}
	cases, err := x.cases(o.Seed)
	if err != nil {
		return runtime.Report{}, err
	}
	var oracle runtime.Session = evaluating{x}
	if o.Progress != nil {
		oracle = watch(o.Progress, oracle, candidates, cases)
	}
	defer collectOften()()
	report, err := runtime.Verify(ctx, oracle, candidates, cases)
	return report.With(nil), err
}

// candidates returns the requested runtimes, on each device and level, and the
// names of all runtimes.
func (x *ONNX) candidates(o VerifyOptions) (candidates []runtime.Candidate, names []string) {
	for _, e := range entrants() {
		if _, plain := e.profile.(export.Plain); !plain {
			continue
		}
		names = append(names, e.String())
		named := slices.Contains(o.Runtimes, e.String())
		if len(o.Runtimes) > 0 && !named {
			continue
		}
		levels := e.Levels
		if len(levels) == 0 || e.elsewhere() {
			levels = []string{""}
		}
		for _, level := range levels {
			c := runtime.Candidate{Name: e.String(), Named: named, DType: precision.ComputedIn(x.File)}
			if level != "" {
				c.Name += " (" + level + ")"
			}
			how := runtime.Options{Library: o.Library, Device: e.device, AnyOf: len(o.Runtimes) != 1, TF32: o.TF32, Level: level, Turns: true}
			c.Open = func() (runtime.Session, error) {
				if err := e.available(how); err != nil {
					return nil, err
				}
				f, err := e.file(x.Path, x.File)
				if err != nil {
					return nil, err
				}
				return e.Open(f, how)
			}
			candidates = append(candidates, c)
		}
	}
	return candidates, names
}

// cases draws the inputs of each case. Without an open dimension the cases differ
// only in their numbers.
func (x *ONNX) cases(seed uint64) (cases []runtime.Case, err error) {
	for i, open := range foreignCases {
		inputs, _, err := x.draw(nil, seed+uint64(i), open)
		if err != nil {
			return nil, err
		}
		c := runtime.Case{Batch: open.batch, Length: open.length}
		for _, v := range x.inputs {
			c.Given = append(c.Given, inputs[v.Name])
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// evaluating makes an ONNX file a session.
type evaluating struct{ *ONNX }

func (e evaluating) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	outputs, err := e.ONNX.Run(inputs)
	named := map[string]format.Tensor{}
	for _, t := range outputs {
		named[t.Name] = t
	}
	return named, err
}
