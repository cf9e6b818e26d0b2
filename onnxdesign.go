package attnx

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// Limits of designed cases.
const (
	longestProbed = 1 << 14 // texts are assumed to have no limit beyond
	longestWhole  = 1024    // up to here a text of the whole context is a case, whatever the budget
)

// shapes returns the shapes of the inputs for a design.
func (t texts) shapes(d runtime.Design) (map[string][]int, error) {
	return t.sizes(nil, openSizes{d.Batch, d.Length, t.axes(d)})
}

// axes returns the sizes of the axes of which the roles are known.
func (t texts) axes(d runtime.Design) map[string]map[int]int {
	all := map[string]map[int]int{t.tokens.Name: {0: d.Batch, 1: d.Length}}
	if t.positions != "" {
		for _, v := range t.inputs {
			if v.Name == t.positions && v.Ranked && len(v.Shape) == 2 {
				all[v.Name] = map[int]int{1: d.Length}
			}
		}
	}
	for name, axis := range t.pasts {
		all[name] = map[int]int{axis: max(0, d.Past)}
	}
	for _, v := range t.inputs { // a mask of another length than the new tokens' spans the past too
		if len(t.pasts) > 0 && slices.Contains(t.masks, v.Name) && v.Shape[1].Name != t.tokens.Shape[1].Name {
			all[v.Name] = map[int]int{1: max(0, d.Past) + d.Length}
		}
	}
	return all
}

// inputsFor draws the inputs of a design. deal gives the ids of each input.
func (t texts) inputsFor(d runtime.Design, seed uint64, deal func(name string, n int) []int64) (map[string]format.Tensor, error) {
	shapes, err := t.shapes(d)
	if err != nil {
		return nil, err
	}
	inputs, _, err := t.drawn(shapes, t.below, nil, seed)
	if err != nil {
		return nil, err
	}
	random := func(i int) uint64 { return runtime.Random(seed, i) }
	for i, v := range t.inputs {
		x := inputs[v.Name]
		n, width := x.Elements(), 1
		if len(x.Shape) > 0 {
			width = max(1, x.Shape[len(x.Shape)-1])
		}
		var values []int64
		switch below := t.below[v.Name]; {
		case v.Name == t.positions:
			values = make([]int64, n)
			for j := range values {
				values[j] = int64(j%width + max(0, d.Past))
				if d.Apart {
					values[j] = int64(random(j) % uint64(max(1, cmp.Or(below, d.Length+max(0, d.Past)))))
				}
			}
		case below > 0:
			values = deal(v.Name, n)
		case slices.Contains(t.masks, v.Name):
			values = make([]int64, n)
			for j := range values {
				if d.Mask.Shows(j%width, width, random(i<<16+j/width)) {
					values[j] = 1
				}
			}
		default:
			continue
		}
		if bits, _ := v.DType.Integer(); bits == 0 && v.DType != format.Bool {
			continue // it is given as a floating-point number
		}
		x.Data = make([]byte, 0, n*v.DType.Size())
		for _, value := range values {
			x.Data = appendInteger(x.Data, v.DType, uint64(value))
		}
		inputs[v.Name] = x
	}
	return inputs, nil
}

// first returns the ids of a case that only asks whether a design can run: the last ones of
// the table, because the first ones are often special, such as that of padding.
func (t texts) first(name string, n int) []int64 {
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(t.below[name] - 1 - i%min(5, (t.below[name]+1)/2))
	}
	return ids
}

// admits reports whether the graph can run with inputs.
func (t texts) admits(inputs map[string]format.Tensor, err error) bool {
	if err != nil {
		return false
	}
	o, err := t.oracleFor(inputs)
	return err == nil && o.Admits(inputs) == nil
}

// context returns the longest text that the graph admits, 0 if no limit is found.
func (t texts) context() int {
	d := runtime.Design{Batch: 1, Past: -1}
	if len(t.pasts) > 0 {
		d.Past = 0
	}
	fits := func(n int) bool { d.Length = n; return t.admits(t.inputsFor(d, t.seed, t.first)) }
	low, high := 1, 2
	for fits(high) {
		if low, high = high, 2*high; high > longestProbed {
			return 0
		}
	}
	for high-low > 1 {
		if middle := (low + high) / 2; fits(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// kinds returns the kinds of masks under which the file gives numbers, with digits, and what
// is left out. Where a token may see nothing, many files do not.
func (t texts) kinds() (kinds []runtime.MaskKind, left []string) {
	kinds = []runtime.MaskKind{runtime.MaskWhole}
	if len(t.masks) == 0 {
		return kinds, nil
	}
	for _, k := range []runtime.MaskKind{runtime.MaskEnd, runtime.MaskStart, runtime.MaskHoles} {
		why := "the file's attention takes the length of each text"
		if !t.grouped {
			why = t.refuses(k)
		}
		if why == "" {
			kinds = append(kinds, k)
		} else {
			left = append(left, fmt.Sprintf("masks with %s: %s", k, why))
		}
	}
	return kinds, left
}

// blind is by how many times a token that sees nothing may raise the errors of an output: the
// numbers by which masks hide are large, and added to scores they leave few digits of them.
const blind = 30

// refuses returns why the file gives no numbers for a kind of mask, or numbers with fewer digits
// than for the whole one.
func (t texts) refuses(k runtime.MaskKind) string {
	for try := range uint64(4) {
		whole, why := t.errorsOf(runtime.Design{Batch: 2, Length: 5, Past: -1}, t.seed+try)
		if why != "" {
			return why
		}
		errors, why := t.errorsOf(runtime.Design{Batch: 2, Length: 5, Past: -1, Mask: k}, t.seed+try)
		if why != "" {
			return why
		}
		for name, e := range errors {
			if e >= 1 || e > blind*whole[name] {
				return "a token sees nothing there, and rounding leaves few digits"
			}
		}
	}
	return ""
}

// errorsOf returns the bounds of each output as a share of its size, or why there are none.
func (t texts) errorsOf(d runtime.Design, seed uint64) (shares map[string]float64, why string) {
	inputs, err := t.inputsFor(d, seed, t.first)
	if err != nil {
		return nil, err.Error()
	}
	b, err := evaluating{t.ONNX}.Bounds(inputs, runtime.Numbers{})
	if err != nil {
		return nil, strings.TrimPrefix(err.Error(), t.Path+": ")
	}
	shares = map[string]float64{}
	for name, out := range b.Outputs {
		x, err := out.AsFloat64s()
		if err != nil || !out.DType.Float() {
			continue
		}
		bounds, err := b.Bounds[0].Of[name].AsFloat64s()
		if err != nil {
			bounds = nil
		}
		sizes, limits := 0.0, 0.0
		for i, y := range x {
			if math.IsNaN(y) || math.IsInf(y, 0) {
				return nil, "the outputs are no numbers there"
			}
			sizes += y * y
			if i < len(bounds) {
				limits += bounds[i] * bounds[i]
			}
		}
		if limits > 0 {
			shares[name] = math.Sqrt(limits / sizes)
		}
	}
	return shares, ""
}

// designedCase is a case, with what its coverage is counted from.
type designedCase struct {
	runtime.Case
	runtime.Design
	ids map[string][]int64
}

// designed are the cases of a file that takes texts.
type designed struct {
	texts
	cases   []designedCase
	context int // 0: no limit is known
	pairs   runtime.Count
	left    []string
	dealers map[string]func() int64
	dealt   map[string]int
}

// design makes cases within the budget.
func (t texts) design() (*designed, error) {
	all := &designed{texts: t, context: t.context(), dealers: map[string]func() int64{}, dealt: map[string]int{}}
	var kinds []runtime.MaskKind
	kinds, all.left = t.kinds()
	reach := all.context
	if reach == 0 {
		reach = max(24, min(512, t.budget/8))
	}
	reach = min(reach, max(longestWhole, t.budget))
	apart := t.positions != ""
	designs := runtime.Designs(reach, t.budget, kinds, apart)
	past := -1
	if len(t.pasts) > 0 {
		past = 0
		for i := range designs {
			designs[i].Past = past
		}
		more, pairs := runtime.PastDesigns(max(2, reach), t.budget, kinds, apart, func(d runtime.Design) bool {
			return !t.grouped || d.Batch == 1 || d.Past == 0 || d.Length == 1
		})
		designs, all.pairs = append(designs, more...), pairs
	}
	for _, d := range designs {
		if _, err := all.add(d); err != nil {
			return nil, err
		}
	}
	vocab := t.below[t.tokens.Name]
	for spare := t.budget / 2; vocab > all.dealt[t.tokens.Name] && vocab-all.dealt[t.tokens.Name] <= spare; {
		d := runtime.Design{Batch: max(1, min(8, (vocab-all.dealt[t.tokens.Name])/64+1)), Length: min(reach, 64), Past: past}
		added, err := all.add(d)
		if err != nil || !added {
			return all, err
		}
		spare -= d.Area()
	}
	return all, nil
}

// deal returns the next ids of an input.
func (t *designed) deal(name string, n int) []int64 {
	if t.dealers[name] == nil {
		t.dealers[name] = runtime.Dealer(t.below[name], t.seed+uint64(len(t.dealers)))
	}
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = t.dealers[name]()
	}
	t.dealt[name] += n
	return ids
}

// add makes the case of a design, unless the graph cannot run it. Its ids are dealt now,
// everything else is drawn for each run.
func (t *designed) add(d runtime.Design) (bool, error) {
	seed, ids := t.seed+uint64(len(t.cases))+1, map[string][]int64{}
	inputs := func() (map[string]format.Tensor, error) {
		return t.inputsFor(d, seed, func(name string, n int) []int64 {
			if ids[name] == nil {
				ids[name] = t.deal(name, n)
			}
			return ids[name]
		})
	}
	if x, err := inputs(); err != nil || !t.admits(x, nil) {
		return false, err
	}
	draw := func() (all []format.Tensor, err error) {
		x, err := inputs()
		for _, v := range t.inputs {
			all = append(all, x[v.Name].WithName(v.Name))
		}
		return all, err
	}
	t.cases = append(t.cases, designedCase{runtime.Case{Batch: d.Batch, Length: d.Length, Name: d.String(), Optional: true, Draw: draw}, d, ids})
	return true, nil
}

// coverage returns what the cases that ran cover.
func (t *designed) coverage(verified *runtime.Coverage) *runtime.Coverage {
	var ran []runtime.Design
	seen := map[string]map[int64]bool{}
	for _, c := range t.cases {
		if !verified.Ran(c.Case) {
			continue
		}
		ran = append(ran, c.Design)
		for name, ids := range c.ids {
			if seen[name] == nil {
				seen[name] = map[int64]bool{}
			}
			for _, id := range ids {
				seen[name][id] = true
			}
		}
	}
	c := runtime.CoverageOfDesigns(ran, runtime.Count{Covered: len(seen[t.tokens.Name]), Of: t.below[t.tokens.Name]}, t.context, len(t.masks) > 0)
	c.LeftOut = slices.Clone(t.left)
	for _, v := range t.inputs {
		if n := t.below[v.Name]; n > len(seen[v.Name]) && v.Name != t.tokens.Name && v.Name != t.positions {
			c.LeftOut = append(c.LeftOut, fmt.Sprintf("%d of %d numbers of %s", n-len(seen[v.Name]), n, v.Name))
		}
	}
	return c.With(t.budget, t.pairs, verified)
}
