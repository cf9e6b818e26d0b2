package attnx

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
)

// judged refuses recorded sets that leave outputs unjudged: a set without outputs beside one
// that has them and, without an oracle, a set that lacks one. The tensors that stand for an
// output of another kind are never recorded, so without an oracle they are not compared.
func (v *onnxVerification) judged() error {
	if !v.hasRecorded() {
		return nil
	}
	for _, r := range v.recorded {
		if len(r.outputs) == 0 {
			return fmt.Errorf("%s: it has no output that is compared, and another set has: record the outputs of %s too", r.path, r.name)
		}
		if v.oracle == nil && len(r.lacks) > 0 {
			return fmt.Errorf("%s: it has no output %.80q, and there is no oracle that says what is right: record it too", r.path, r.lacks[0])
		}
	}
	if v.oracle == nil {
		v.files[0].leavesUnpacked()
	}
	return nil
}

// leavesUnpacked leaves out the outputs of other kinds for which tensors stand.
func (x *ONNX) leavesUnpacked() {
	for _, name := range x.named {
		if note, stands := x.stands[name]; stands {
			x.notes = slices.DeleteFunc(x.notes, func(n string) bool { return n == note })
			x.leaves(name, "there is no oracle for the tensors that stand for it")
		}
	}
}

// lacking returns the outputs of a file that a set does not have.
func (x *ONNX) lacking(has func(name string) bool) (names []string) {
	for _, name := range x.recordedNames() {
		if !x.left[name] && !has(name) {
			names = append(names, name)
		}
	}
	return names
}

// unreadFor returns why the oracle does not read a file for one of the cases, nil if it reads
// it for all of them: data may decide how often a loop runs.
func (v *onnxVerification) unreadFor(f *verified) error {
	for _, c := range v.cases {
		inputs := c.Inputs()
		if f.pair != nil {
			var err error
			if inputs, err = f.pair.inputs(inputs); err != nil {
				return nil // the comparison says it
			}
		}
		if err := f.unreadWith(inputs); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return nil
}

// unreadWith returns why the oracle does not read a file for the given inputs; nil if it does.
func (x *ONNX) unreadWith(inputs map[string]format.Tensor) error {
	if _, err := x.readFor(inputs); err != nil && isUnread(err) {
		return err
	}
	return nil
}
