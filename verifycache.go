package attnx

import (
	"cmp"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// cachedCandidates returns the candidates that run the network with a past. On
// the runtime's first device there is one candidate per optimization level: the
// file must be right both unoptimized and as deployed.
func (v *verification) cachedCandidates(e entrant, named bool) []runtime.Candidate {
	m := v.file(e.profile).model
	shape, computed := cacheShape(v.checkpoint, m), format.Float32
	if m != nil {
		computed = precision.ComputedIn(m)
	}
	if v.anyPast == nil { // once for all runtimes, which share what its oracle gives
		f := v.anyPastOf(shape)
		v.anyPast = &f
	}
	var out []runtime.Candidate
	given := []role.Kind{role.Logits, role.PresentKey, role.PresentValue}
	if len(shape.States) > 0 {
		given = []role.Kind{role.Logits, role.PresentState, role.PresentCell}[:1+len(shape.States)]
	}
	levels, names := e.levels()
	for i, level := range levels {
		var forms []runtime.Form
		for j, way := range shape.Ways() {
			f := runtime.Form{Name: string(way), Of: func(s runtime.Session) runtime.Session { return runtime.Cached(s, shape, way) }}
			if v.proved() && j%len(levels) != i { // a long text goes each way once, at one of the levels
				f.Runs = func(k runtime.Case) bool { return k.Length < longText }
			}
			forms = append(forms, f)
		}
		if !shape.Shared && len(v.anyPast.Cases) > 0 {
			forms = append(forms, *v.anyPast)
		}
		c := runtime.Candidate{Name: names[i], Named: named, Forms: forms, DType: computed, TF32: v.options.TF32 && e.elsewhere(), Gives: given}
		c.Open = func() (runtime.Session, error) { return v.open(e, level) }
		c.Locate = func(k runtime.Case, f runtime.Form) (runtime.Origin, error) { return v.locate(e, level, k, f) }
		out = append(out, c)
	}
	return out
}

// longText is the length from which on a text takes more time than all shorter ones.
const longText = 512

// anyPastOf returns the form that gives a network with a past inputs that no text
// produces. Its oracle is the network with a past, in float64.
func (v *verification) anyPastOf(shape runtime.CacheShape) runtime.Form {
	f := runtime.Form{
		Name: "any past, mask and positions",
		Of:   func(s runtime.Session) runtime.Session { return s },
		Oracle: &lateOracle{open: func() (runtime.Oracle, error) {
			g, err := model.Cached(v.graph, false)
			if err != nil {
				return nil, err
			}
			return ref.New(g, v.checkpoint.Weights)
		}},
	}
	f.Cases, v.pairs = runtime.PastCases(shape, v.checkpoint.IDs(), max(8, v.budget()/16), v.options.Seed)
	return f
}

// lateOracle is an oracle that is opened at its first run.
type lateOracle struct {
	open func() (runtime.Oracle, error)
	runtime.Oracle
}

// Unwrap returns the oracle, nil before its first run.
func (l *lateOracle) Unwrap() runtime.Oracle { return l.Oracle }

func (l *lateOracle) Bounds(inputs map[string]format.Tensor, numbers ...runtime.Numbers) (runtime.Bounded, error) {
	return l.BoundsOf(inputs, nil, numbers...)
}

func (l *lateOracle) BoundsOf(inputs map[string]format.Tensor, keep func(map[string][]int) map[string]runtime.Selection, numbers ...runtime.Numbers) (b runtime.Bounded, err error) {
	if l.Oracle == nil {
		if l.Oracle, err = l.open(); err != nil {
			return b, err
		}
	}
	return runtime.BoundsOf(l.Oracle, inputs, keep, numbers...)
}

// cacheShape describes a network with a past, in the given file or, if m is
// nil, in a default export.
func cacheShape(c *model.Checkpoint, m *onnx.Model) runtime.CacheShape {
	shape := runtime.CacheShape{Context: cmp.Or(c.Context(), flatLength), DType: format.Float32}
	layers := c.Attentions()
	shape.Layers = len(layers)
	if shape.Layers > 0 {
		keys := layers[0].Args[1].Shape
		shape.Heads, _ = keys[1].Number()
		shape.HeadWidth, _ = keys[3].Number()
	}
	if states := graph.States(c.Graph); len(states) > 0 {
		shape.Layers, shape.States = len(states), []role.Kind{role.PastState, role.PastCell}
		if _, gru := states[0].Op.(graph.GRU); gru {
			shape.States = shape.States[:1]
		}
		shape.HeadWidth, _ = states[0].Args[2].Shape[1].Number()
	}
	for _, n := range layers {
		if a, ok := n.Op.(graph.Attention); ok && a.Window > 0 {
			shape.Window = true
		}
	}
	for _, n := range c.Graph.Nodes {
		if _, ok := n.Op.(graph.Positions); ok {
			shape.Positions = true
		}
	}
	if m != nil {
		shape.Shared = fixedShapes(m)
		shape.DType = pastType(m)
	}
	return shape
}

// pastType returns the type that a file declares for its past.
func pastType(m *onnx.Model) format.DType {
	for _, in := range m.Graph.Inputs {
		if in.Name == role.PastKey.Name() && find.WeightTypes[in.DataType] != format.Invalid {
			return find.WeightTypes[in.DataType]
		}
	}
	return format.Float32
}

// oracle returns the network in float64. With past it also returns the keys and
// values of a text, which the network computes without a past too.
func (v *verification) oracle(past bool) (runtime.Oracle, error) {
	g := v.graph
	if past {
		var err error
		if g, err = graph.KeysAndValues(g); err != nil {
			return nil, err
		}
	}
	return ref.New(g, v.checkpoint.Weights)
}
