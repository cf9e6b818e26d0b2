package export

import (
	"fmt"
	"strings"

	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Profile is a form in which a graph is written, chosen for the runtimes that
// will read it: [Plain], [Cache], [Flat] or [Train]. Each has the options that
// make sense for it, and its zero value is the usual form. Profiles can be
// compared with ==.
type Profile interface {
	// Name returns the name of the form, as the metadata of a file have it.
	Name() string
	// Check returns a *ProfileError or a *precision.NumbersError if the options
	// cannot be written, whatever the graph.
	Check() error
	// Numbers returns the numbers of weights and activations.
	Numbers() precision.Form

	opsets() opsets
	lower(g *graph.Graph, weights []format.Tensor) (lowered, error)
}

// Plain keeps the graph's open axes and writes one node for each operator that
// the operator set has.
type Plain struct {
	Opset    int                // 17 to 21; 0: 17
	DType    format.DType       // of weights and activations: Float16 or BFloat16; 0: Float32
	Quantize precision.Quantize // weights as integers; "": as they are
}

// Cache is the network with a past: it takes the keys and values of the tokens
// before its own, and gives those of the next run. A graph without a past gets
// one, see graph.Cached.
type Cache struct {
	Opset      int                // 17 to 21; 0: 21
	Fuse       bool               // ONNX Runtime's own operators, and a cache of fixed length that is written in place
	LastLogits bool               // logits of the last token alone
	DType      format.DType       // of weights and activations: Float16 or BFloat16; 0: Float32
	Quantize   precision.Quantize // weights as integers; "": as they are
}

// Flat has matrices only, for runtimes that multiply nothing of higher rank:
// see flat.Write. It is written in float32 alone.
type Flat struct {
	Opset  int // 9 to 12; 0: 12
	Length int // tokens in the sequence; 0: the network's context
}

// Train is for graphs that train: weights are inputs, so that the file holds
// the computation alone and whoever runs it brings the numbers. It is written
// in float32 alone.
type Train struct {
	Opset int // 17 to 21; 0: 17
}

// Name returns "plain".
func (Plain) Name() string { return "plain" }

// Name returns "cache".
func (Cache) Name() string { return "cache" }

// Name returns "flat".
func (Flat) Name() string { return "flat" }

// Name returns "train".
func (Train) Name() string { return "train" }

// Numbers returns DType and Quantize.
func (p Plain) Numbers() precision.Form { return precision.Form{DType: p.DType, Quantize: p.Quantize} }

// Numbers returns DType and Quantize.
func (p Cache) Numbers() precision.Form { return precision.Form{DType: p.DType, Quantize: p.Quantize} }

// Numbers returns float32.
func (Flat) Numbers() precision.Form { return precision.Form{} }

// Numbers returns float32.
func (Train) Numbers() precision.Form { return precision.Form{} }

// Check refuses an operator set that the profile is not written in, and numbers
// that a model cannot have.
func (p Plain) Check() error { return check(p) }

// Check refuses an operator set that the profile is not written in, and numbers
// that a model cannot have.
func (p Cache) Check() error { return check(p) }

// Check refuses an operator set that the profile is not written in, and a
// negative length.
func (p Flat) Check() error {
	if p.Length < 0 {
		return &ProfileError{p.Name(), fmt.Sprintf("cannot have a sequence of %d tokens", p.Length), "take 1 or more, or 0 for the network's context"}
	}
	return check(p)
}

// Check refuses an operator set that the profile is not written in.
func (p Train) Check() error { return check(p) }

func check(p Profile) error {
	if s := p.opsets(); s.asked != 0 && (s.asked < s.oldest || s.asked > s.newest) {
		return &ProfileError{p.Name(), fmt.Sprintf("is written in opset %d to %d, not %d", s.oldest, s.newest, s.asked), "take one of these"}
	}
	return p.Numbers().Check()
}

// opsets are the operator sets that a profile can be written in.
type opsets struct{ asked, usual, oldest, newest int }

// written returns the operator set of the file.
func (s opsets) written() int {
	if s.asked == 0 {
		return s.usual
	}
	return s.asked
}

// Opset 17 is the first with LayerNormalization, and no CUDA kernel that the
// plain profile needs is missing up to 21.
func (p Plain) opsets() opsets { return opsets{p.Opset, 17, 17, 21} }
func (p Cache) opsets() opsets { return opsets{p.Opset, 21, 17, 21} }
func (p Train) opsets() opsets { return opsets{p.Opset, 17, 17, 21} }

// Flat ends before opset 13, where Softmax changed its meaning: onnx-go has the
// old one. It begins with opset 9, which came with the first IR version whose
// weights need not be inputs.
func (p Flat) opsets() opsets { return opsets{p.Opset, 12, 9, 12} }

// Profiles returns the profiles in their usual forms.
func Profiles() []Profile { return []Profile{Plain{}, Cache{}, Flat{}, Train{}} }

// ProfileNames returns the names of the profiles.
func ProfileNames() []string {
	var names []string
	for _, p := range Profiles() {
		names = append(names, p.Name())
	}
	return names
}

// ParseProfile returns the profile of the given name, in its usual form.
func ParseProfile(name string) (Profile, error) {
	for _, p := range Profiles() {
		if p.Name() == name {
			return p, nil
		}
	}
	names := ProfileNames()
	last := len(names) - 1
	return nil, fmt.Errorf("no profile is called %.80q: take %s or %s", name, strings.Join(names[:last], ", "), names[last])
}

// WithNumbers returns p with other numbers of weights and activations. A
// profile that is written in float32 alone refuses others with a *ProfileError.
func WithNumbers(p Profile, f precision.Form) (Profile, error) {
	switch p := p.(type) {
	case Plain:
		p.DType, p.Quantize = f.DType, f.Quantize
		return p, nil
	case Cache:
		p.DType, p.Quantize = f.DType, f.Quantize
		return p, nil
	}
	if f.Changes() {
		return p, &ProfileError{p.Name(), "is written in float32 alone", "leave the numbers as they are, or take the profile plain or cache"}
	}
	return p, nil
}

// ProfileError says that a graph cannot be written in a profile, or not with
// its options.
type ProfileError struct {
	Profile string // its name
	Reason  string // what it is or does not do
	Do      string // the remedy
}

func (e *ProfileError) Error() string {
	return fmt.Sprintf("export: profile %s %s: %s", e.Profile, e.Reason, e.Do)
}

// Remedy returns what to do about it.
func (e *ProfileError) Remedy() string { return e.Do }
