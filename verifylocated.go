package attnx

import (
	"cmp"

	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// located gives candidates that run a file the search for the first node that
// departs. against is the same file, if it is compared with the first one; recorded says
// that it is compared with recorded outputs.
func (v *onnxVerification) located(f *verified, candidates []runtime.Candidate, against *verified, recorded bool) []runtime.Candidate {
	for i := range candidates {
		c := &candidates[i]
		locate := func(k runtime.Case, refused bool) (runtime.Origin, error) {
			inputs := k.Inputs()
			if against != nil {
				o, err := v.locateInFile(f, inputs)
				if o.Value != "" || err != nil || c.Own {
					return o, err
				}
				if inputs, err = f.pair.inputs(inputs); err != nil {
					return runtime.Origin{}, err
				}
			} else if f.pair != nil {
				var err error
				if inputs, err = f.pair.inputs(inputs); err != nil {
					return runtime.Origin{}, err
				}
			}
			return v.locateInRuntime(f, *c, inputs, refused, recorded)
		}
		c.Locate = func(k runtime.Case, _ runtime.Form) (runtime.Origin, error) { return locate(k, false) }
		c.Refused = func(k *runtime.Case, _ error) (runtime.Origin, error) {
			if k == nil {
				k = &v.cases[0]
			}
			return locate(*k, true)
		}
	}
	return candidates
}

// locateInFile finds the node of a file that departs from the first file, in the
// oracle.
func (v *onnxVerification) locateInFile(f *verified, inputs map[string]format.Tensor) (runtime.Origin, error) {
	key := keyOf(inputs)
	if at, known := f.at[key]; known || v.oracle == nil {
		return at, nil
	}
	theirs, err := f.pair.inputs(inputs)
	if err != nil {
		return runtime.Origin{}, err
	}
	first := v.files[0]
	if f.same == nil {
		if f.same, err = counterparts(first, f); err != nil {
			return runtime.Origin{}, err
		}
	}
	s := &fileSearch{first: first.cuts, other: f.cuts, counterpart: f.same, computed: f.pair.computed}
	at, err := s.find(inputs, theirs)
	if err != nil {
		return runtime.Origin{}, err
	}
	f.at[key] = v.note(at)
	return f.at[key], nil
}

// locateInRuntime finds the node of a file that a runtime computes wrongly, or
// refuses.
func (v *onnxVerification) locateInRuntime(f *verified, c runtime.Candidate, inputs map[string]format.Tensor, refused, recorded bool) (runtime.Origin, error) {
	if c.Part == nil || v.oracle == nil {
		return runtime.Origin{}, nil
	}
	s := &runSearch{cuts: f.cuts, open: c.Part, computed: cmp.Or(c.DType, precision.ComputedIn(f.File))}
	search := s.find
	if refused {
		search = s.findRefused
	}
	at, err := search(inputs)
	if err != nil {
		return runtime.Origin{}, err
	}
	if at == nil && !refused {
		return runtime.Origin{Note: v.notLocated(s, recorded, inputs)}, nil
	}
	return v.note(at), nil
}

// notLocated is what is known of a difference that no node and no piece of the file
// shows. A difference beyond its bound is never called one of roundings: the bound is
// what they explain.
func (v *onnxVerification) notLocated(s *runSearch, recorded bool, inputs map[string]format.Tensor) string {
	right, err := s.whole(inputs)
	switch {
	case err != nil:
		return "not located: each node is right from the right inputs; the graph in one piece was not run: " + err.Error()
	case right && recorded:
		return "the runtime agrees with the file's graph: the recorded outputs are others than this file's"
	case right:
		return "not located: each node, each piece and the whole graph, written anew with its weights as raw bytes, agree with the oracle: look at how this file stores its weights, or at differences below a node's tolerance"
	}
	return "not located: each node is right from the right inputs, and each piece of the file, but not the whole"
}

// note remembers the first part that departs.
func (v *onnxVerification) note(at *found) runtime.Origin {
	if at == nil {
		return runtime.Origin{}
	}
	if v.first == nil {
		v.first = at
	}
	return at.origin()
}
