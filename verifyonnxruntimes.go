package attnx

import (
	"cmp"
	"errors"
	"slices"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// oracleCandidate is the oracle on the first file, as a candidate.
func (v *onnxVerification) oracleCandidate() runtime.Candidate {
	return runtime.Candidate{Name: runtime.OracleName, Own: true, DType: precision.ComputedIn(v.files[0].File), Open: func() (runtime.Session, error) {
		if v.oracle == nil {
			return nil, withoutIt(v.refused)
		}
		return v.oracle, nil
	}}
}

// graphCandidate is the oracle on a file that is compared with the first one.
func (f *verified) graphCandidate() runtime.Candidate {
	return runtime.Candidate{Name: runtime.OracleName, Own: true, DType: f.pair.computed, Open: func() (runtime.Session, error) {
		if err := f.openOracle(); err != nil {
			return nil, notRead(err)
		}
		return f.pair.of(refusing{evaluating{f.ONNX}}), nil
	}}
}

// notRead marks an error of a file that the oracle does not read: it is no
// disagreement.
func notRead(err error) error {
	if !isUnread(err) {
		return err
	}
	return withoutIt(err)
}

// withoutIt is the error of an oracle that does not read a file.
func withoutIt(err error) error {
	return &runtime.UnavailableError{Runtime: runtime.OracleName, Reason: err.Error(), Remedy: "the runtimes are compared without it"}
}

// isUnread reports whether an error says that the oracle does not read a file, which may be
// right: its operators or inputs are none that the oracle has, or data decide how often its
// loops run.
func isUnread(err error) bool {
	_, kind := isKind(err)
	return kind || errors.As(err, new(*read.UnsupportedError)) || errors.As(err, new(*read.OpenError))
}

// refusing marks what the oracle does not read when it runs.
type refusing struct{ runtime.Session }

func (r refusing) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	out, err := r.Session.Run(inputs)
	if err != nil {
		err = notRead(err)
	}
	return out, err
}

// candidates returns the requested runtimes, on each device and level, and the
// names of all runtimes.
func (f *verified) candidates(o VerifyOptions) (candidates []runtime.Candidate, names []string) {
	for _, e := range entrants() {
		open := f.opener(e)
		if open == nil {
			continue
		}
		names = append(names, e.String())
		named := slices.Contains(o.Runtimes, e.String())
		if !named && (len(o.Runtimes) > 0 || e.level != "") || f.ONNX == nil {
			continue
		}
		open = f.guarded(open)
		levels, rows := e.levels()
		for i, level := range levels {
			c := runtime.Candidate{Name: rows[i], Named: named, TF32: o.TF32 && e.elsewhere(), Partial: e.openAny != nil}
			if f.pair != nil {
				c.DType = f.pair.computed
			}
			if f.kinds != nil {
				c.Says, c.Names = f.kinds.says, func(output string) bool { return f.kinds.texts[output] }
			}
			how := runtime.Options{Library: e.libraryOf(o.Library), Device: e.device, AnyOf: len(o.Runtimes) != 1, TF32: o.TF32, Level: level, Turns: true}
			c.Part = func(part runtime.File) (runtime.Session, error) { return f.opened(open, part, how) }
			c.Open = func() (runtime.Session, error) {
				if err := cmp.Or(e.available(how), f.leftOut(c.Name, i == 0, named), f.tooExact(e)); err != nil {
					return nil, err
				}
				file, err := e.file(f.Path, f.File)
				if err == nil && f.apart {
					file.Path = ""
					file.Data, err = inlined(f.File, f.cuts.dir)
				}
				if err != nil {
					return nil, err
				}
				s, err := f.opened(open, file, how)
				if err == nil && f.pair != nil {
					s = f.pair.of(s)
				}
				return s, err
			}
			candidates = append(candidates, c)
		}
	}
	return candidates, names
}

// opened opens the file or a part of it; results that have no order are sorted.
func (x *ONNX) opened(open openFile, file runtime.File, how runtime.Options) (runtime.Session, error) {
	s, err := open(file, how)
	if err != nil {
		return s, err
	}
	if x.partly && !x.apart {
		s = without{s, x.left}
	}
	return inOrder(s, x.File), nil
}

// without is a session of a file some of whose outputs are not compared.
type without struct {
	runtime.Session
	left map[string]bool
}

func (s without) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	out, err := s.Session.Run(inputs)
	for name := range s.left {
		delete(out, name)
	}
	return out, err
}

// tooExact returns why a runtime that computes float64 in float32 does not run a file
// with float64 in it.
func (x *ONNX) tooExact(e entrant) error {
	if e.Widest != format.Float32 || !x.hasDoubles() {
		return nil
	}
	return &runtime.UnavailableError{Runtime: e.String(), Reason: "it computes in float32, and the file in float64", Remedy: "compare it in another runtime"}
}

// hasDoubles reports whether the file's numbers are float64 somewhere.
func (x *ONNX) hasDoubles() bool {
	for _, v := range slices.Concat(x.File.Graph.Inputs, x.File.Graph.Outputs) {
		if v.DataType == onnx.Double {
			return true
		}
	}
	r, err := x.reading()
	if err != nil {
		return precision.HasDoubles(x.File)
	}
	for v := range r.Graph.Values() {
		if v.DType == format.Float64 && !v.Leaf() {
			return true
		}
	}
	return false
}

// opener returns how the entrant opens the file; nil if it opens no files of other tools.
func (f *verified) opener(e entrant) openFile {
	open := e.anyFile()
	if open != nil && f.ONNX != nil && f.kinds != nil {
		return f.kinds.opener(e)
	}
	return open
}

// anyFile returns how the entrant opens files of any tool; nil if it does not.
func (e entrant) anyFile() openFile {
	if e.openAny != nil {
		return e.openAny
	}
	if _, plain := e.profile.(export.Plain); plain {
		return e.Open
	}
	return nil
}

// quantized reports whether a file computes with integers in the place of
// floating-point numbers.
func (f *verified) quantized() bool {
	for _, n := range f.File.Graph.Nodes {
		if slices.Contains(quantizing, n.Op) {
			return true
		}
	}
	return false
}

// quantizing are the operators that files have whose weights became integers.
var quantizing = []string{"DequantizeLinear", "DynamicQuantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "ConvInteger", "MatMulInteger",
	"MatMulIntegerToFloat", "MatMulNBits", "QLinearConv", "QLinearMatMul", "QGemm", "GatherBlockQuantized"}

// coarser returns the less exact of two types.
func coarser(a, b format.DType) format.DType {
	for _, d := range []format.DType{format.BFloat16, format.Float16, format.Float32} {
		if a == d || b == d {
			return d
		}
	}
	return cmp.Or(a, format.Float32)
}
