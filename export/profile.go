package export

import (
	"fmt"
	"strings"

	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Profile is the form in which a graph is written, chosen for the runtimes
// that read it: [Plain], [Cache], [Flat] or [Train]. Each type has its own
// options; its zero value has the defaults. Profiles can be compared with ==.
type Profile interface {
	// Name returns the name of the profile, as in a file's metadata.
	Name() string
	// Check returns a *ProfileError or a *precision.NumbersError if the
	// options are invalid for any graph.
	Check() error
	// Numbers returns the number types of weights and activations.
	Numbers() precision.Form

	opsets() opsets
	lower(g *graph.Graph, weights []format.Tensor) (lowered, error)
}

// Plain keeps the graph's open axes and writes one node for each operator of
// the operator set.
type Plain struct {
	Opset    int                // 17 to 21; 0: 17
	DType    format.DType       // of weights and activations: Float16 or BFloat16; 0: Float32
	Quantize precision.Quantize // weights as integers; "": unchanged
	Keep     precision.Keep     // weights that Quantize leaves in higher precision; "": none

	// AdapterInputs makes the matrices of an adapter inputs, whose values are those of
	// the file unless a run gives others.
	AdapterInputs bool
}

// Cache is the network with a past: its inputs include keys and values of
// earlier tokens, its outputs those for the next run. A graph without a past
// gets one, see graph.Cached.
type Cache struct {
	Opset      int                // 17 to 21; 0: 21
	Fuse       bool               // use ONNX Runtime's own operators, and a cache of fixed length updated in place
	apart      bool               // Fuse leaves rotations and norms by root mean square in nodes of their own, as attnx once did
	LastLogits bool               // return only the logits of the last token
	DType      format.DType       // of weights and activations: Float16 or BFloat16; 0: Float32
	Quantize   precision.Quantize // weights as integers; "": unchanged
	Keep       precision.Keep     // weights that Quantize leaves in higher precision; "": none

	AdapterInputs bool // as in Plain
}

// Flat uses matrices only, for runtimes that cannot multiply tensors of higher
// rank: see flat.Write. It is float32 only.
type Flat struct {
	Opset  int // 9 to 12; 0: 12
	Length int // tokens of the sequence; 0: the network's context. Without tokens: rows of the features; 0: 1
}

// Train is for training: weights are inputs, so the file holds only the
// computation and the program that runs it provides the numbers. It is float32
// only.
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

// Numbers returns DType, Quantize and Keep.
func (p Plain) Numbers() precision.Form {
	return precision.Form{DType: p.DType, Quantize: p.Quantize, Keep: p.Keep}
}

// Numbers returns DType, Quantize and Keep.
func (p Cache) Numbers() precision.Form {
	return precision.Form{DType: p.DType, Quantize: p.Quantize, Keep: p.Keep}
}

// Numbers returns float32.
func (Flat) Numbers() precision.Form { return precision.Form{} }

// Numbers returns float32.
func (Train) Numbers() precision.Form { return precision.Form{} }

// Check rejects an operator set outside the range of the profile, and number
// types that a model cannot have.
func (p Plain) Check() error { return check(p) }

// Check rejects an operator set outside the range of the profile, and number
// types that a model cannot have.
func (p Cache) Check() error { return check(p) }

// Check rejects an operator set outside the range of the profile, and a
// negative length.
func (p Flat) Check() error {
	if p.Length < 0 {
		return &ProfileError{p.Name(), fmt.Sprintf("cannot have a sequence of %d tokens", p.Length), "take 1 or more, or 0 for the network's context"}
	}
	return check(p)
}

// Check rejects an operator set outside the range of the profile.
func (p Train) Check() error { return check(p) }

func check(p Profile) error {
	if s := p.opsets(); s.asked != 0 && (s.asked < s.oldest || s.asked > s.newest) {
		return &ProfileError{p.Name(), fmt.Sprintf("is written in opset %d to %d, not %d", s.oldest, s.newest, s.asked), "take one of these"}
	}
	return p.Numbers().Check()
}

// opsets is the range of operator sets of a profile.
type opsets struct{ asked, usual, oldest, newest int }

// written returns the operator set of the file.
func (s opsets) written() int {
	if s.asked == 0 {
		return s.usual
	}
	return s.asked
}

// Opset 17 is the first with LayerNormalization. Up to 21, CUDA has every
// kernel that the plain profile needs.
func (p Plain) opsets() opsets { return opsets{p.Opset, 17, 17, 21} }
func (p Cache) opsets() opsets { return opsets{p.Opset, 21, 17, 21} }
func (p Train) opsets() opsets { return opsets{p.Opset, 17, 17, 21} }

// Flat ends before opset 13, which changed the meaning of Softmax: onnx-go has
// the old one. It starts with opset 9, whose IR version is the first in which
// weights need not be inputs.
func (p Flat) opsets() opsets { return opsets{p.Opset, 12, 9, 12} }

// Profiles returns the profiles with default options.
func Profiles() []Profile { return []Profile{Plain{}, Cache{}, Flat{}, Train{}} }

// ProfileNames returns the names of the profiles.
func ProfileNames() []string {
	var names []string
	for _, p := range Profiles() {
		names = append(names, p.Name())
	}
	return names
}

// ParseProfile returns the named profile with default options.
func ParseProfile(name string) (Profile, error) {
	for _, p := range Profiles() {
		if p.Name() == name {
			return p, nil
		}
	}
	names := ProfileNames()
	last := len(names) - 1
	return nil, fmt.Errorf("unknown profile %.80q: take %s or %s", name, strings.Join(names[:last], ", "), names[last])
}

// WithNumbers returns p with other number types of weights and activations. A
// float32-only profile gives a *ProfileError.
func WithNumbers(p Profile, f precision.Form) (Profile, error) {
	switch p := p.(type) {
	case Plain:
		p.DType, p.Quantize, p.Keep = f.DType, f.Quantize, f.Keep
		return p, nil
	case Cache:
		p.DType, p.Quantize, p.Keep = f.DType, f.Quantize, f.Keep
		return p, nil
	}
	if f.Changes() {
		return p, &ProfileError{p.Name(), "is float32 only", "leave the number types unchanged, or take the profile plain or cache"}
	}
	return p, nil
}

// SetLength is the remedy of a ProfileError about a sequence without a length.
const SetLength = "set Length"

// ProfileError reports that a graph cannot be written in a profile, or with
// its options.
type ProfileError struct {
	Profile string // its name
	Reason  string // what the profile does or does not support
	Do      string // the remedy
}

func (e *ProfileError) Error() string {
	return fmt.Sprintf("export: profile %s %s: %s", e.Profile, e.Reason, e.Do)
}

// Remedy returns what to do about it.
func (e *ProfileError) Remedy() string { return e.Do }
