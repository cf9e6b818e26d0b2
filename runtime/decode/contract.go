package decode

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
)

// ContractError reports that a Decoder cannot drive a model.
type ContractError struct {
	Declares string // what the model declares
	Needs    string // what the loop needs instead
}

func (e *ContractError) Error() string {
	return fmt.Sprintf("the model declares %s, the decode loop needs %s: %s", e.Declares, e.Needs, runtime.ExportCache)
}

// RuntimeError makes it a runtime.Error.
func (e *ContractError) RuntimeError() {}

// The names of a run's inputs and outputs other than the cache.
var (
	idsName       = role.Of(role.Tokens).Name()
	maskName      = role.Of(role.AttentionMask).Name()
	positionsName = role.Of(role.Positions).Name()
	logitsName    = role.Of(role.Logits).Name()
)

// contract holds the indexes of the model's inputs and outputs that the loop
// uses.
type contract struct {
	ids, mask, positions int // inputs; positions is -1 if the model has none
	logits               int // output
	vocab                int
	lastOnly             bool // logits are (B,1,V), for the last position only
	shared               bool
	caches               []cacheTensor
}

// cacheTensor is a key or a value of one layer, (B,heads,tokens,width).
type cacheTensor struct {
	past, present string
	in, out       int // their indexes
	heads, width  int
	dtype         format.DType
}

// What a declared dimension may be, besides a name or a specific number.
const (
	anySize   = -1 // known only when the model runs
	fixedSize = -2 // a number, at least 1
)

// fits reports whether a declared dimension meets the loop's need.
func fits(d runtime.Dim, want int) bool {
	switch want {
	case anySize:
		return d.Name != ""
	case fixedSize:
		return d.Name == "" && d.Size > 0
	}
	return d.Name != "" || d.Size == want
}

// readContract finds the values of the contract among those that the model
// declares. It refuses a model with other values, or with other shapes.
func readContract(d runtime.Device, o Options) (contract, error) {
	c := contract{positions: -1}
	kind, ok := d.Metadata(role.MetaCache)
	if ok && kind != role.CacheConcat && kind != role.CacheShared {
		return c, &ContractError{fmt.Sprintf("%s = %.80q", role.MetaCache, kind), role.CacheConcat + " or " + role.CacheShared}
	}
	c.shared = kind == role.CacheShared
	batch, pastLength, presentLength := o.Batch, anySize, anySize
	if c.shared {
		pastLength, presentLength = o.Context, o.Context
		if batch > 1 { // prompts run one by one, but a step runs all sequences together
			batch = anySize
		}
	}
	in, out := newSide("input", d.Inputs()), newSide("output", d.Outputs())
	integer, float := []format.DType{format.Int64}, []format.DType{format.Float32, format.Float16, format.BFloat16}

	c.ids = in.take(idsName, integer, "I64[batch,tokens]", batch, anySize)
	c.mask = in.take(maskName, integer, "I64[batch,past+tokens]", batch, anySize)
	if in.has(positionsName) {
		c.positions = in.take(positionsName, integer, "I64[batch,tokens]", batch, anySize)
	}
	c.logits = out.take(logitsName, []format.DType{format.Float32}, "F32[batch,tokens or 1,vocabulary]", batch, 1, fixedSize)
	if out.err == nil {
		shape := out.values[c.logits].Shape
		c.vocab, c.lastOnly = shape[2].Size, shape[1].Name == ""
	}
	for layer := 0; layer == 0 || in.has(role.Layered(role.PastKey, layer).Name()); layer++ {
		for _, kinds := range [...][2]role.Kind{{role.PastKey, role.PresentKey}, {role.PastValue, role.PresentValue}} {
			t := cacheTensor{past: role.Layered(kinds[0], layer).Name(), present: role.Layered(kinds[1], layer).Name()}
			t.in = in.take(t.past, float, "F32, F16 or BF16[batch,HEADS,past,WIDTH], HEADS and WIDTH numbers", batch, fixedSize, pastLength, fixedSize)
			if in.err != nil {
				return c, in.err
			}
			past := in.values[t.in]
			t.heads, t.width, t.dtype = past.Shape[1].Size, past.Shape[3].Size, past.DType
			t.out = out.take(t.present, []format.DType{t.dtype}, fmt.Sprintf("%s[batch,%d,past+tokens,%d] as %s has it", t.dtype, t.heads, t.width, t.past),
				batch, t.heads, presentLength, t.width)
			if out.err == nil {
				out.err = c.checkLengths(past, out.values[t.out])
			}
			c.caches = append(c.caches, t)
		}
	}
	in.nothingElse()
	out.nothingElse()
	if in.err != nil {
		return c, in.err
	}
	return c, out.err
}

// checkLengths refuses a past and a present whose dimension names contradict
// the kind of cache: a shared buffer has one length, and a grown cache has a
// new one.
func (c *contract) checkLengths(past, present runtime.Value) error {
	before, after := past.Shape[2].Name, present.Shape[2].Name
	named := before != "" && before != "?" && after != "" && after != "?"
	if !named || (before == after) == c.shared {
		return nil
	}
	declares := fmt.Sprintf("input %s and output %s", past, present)
	if c.shared {
		return &ContractError{declares, fmt.Sprintf("one length for both where %s = %.80q", role.MetaCache, role.CacheShared)}
	}
	return &ContractError{declares, fmt.Sprintf("two lengths, unless %s = %.80q", role.MetaCache, role.CacheShared)}
}

// side is the inputs or the outputs of a model during the search. After its
// first error, which it keeps, it takes no more values.
type side struct {
	kind   string
	values []runtime.Value
	place  map[string]int
	taken  []bool
	err    error
}

func newSide(kind string, values []runtime.Value) *side {
	s := &side{kind: kind, values: values, place: make(map[string]int, len(values)), taken: make([]bool, len(values))}
	for i, v := range values {
		s.place[v.Name] = i
	}
	return s
}

func (s *side) has(name string) bool { _, ok := s.place[name]; return ok }

// take returns the index of a value, and checks its type and shape.
func (s *side) take(name string, dtypes []format.DType, needs string, shape ...int) int {
	if s.err != nil {
		return 0
	}
	needs = s.kind + " " + name + " " + needs
	i, ok := s.place[name]
	if !ok {
		s.err = &ContractError{fmt.Sprintf("no %s %s", s.kind, name), needs}
		return 0
	}
	v := s.values[i]
	if !slices.Contains(dtypes, v.DType) || !slices.EqualFunc(v.Shape, shape, fits) {
		s.err = &ContractError{s.kind + " " + v.String(), needs}
	}
	s.taken[i] = true
	return i
}

// nothingElse refuses values that were not taken. They include names used
// twice.
func (s *side) nothingElse() {
	if i := slices.Index(s.taken, false); s.err == nil && i >= 0 {
		s.err = &ContractError{fmt.Sprintf("an %s %s", s.kind, s.values[i]), "no such " + s.kind}
	}
}
