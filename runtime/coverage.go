package runtime

import (
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// Coverage is what the cases of a verification reach.
type Coverage struct {
	Budget    int    `json:"budget"`    // tokens
	IDs       Count  `json:"ids"`       // of the vocabulary
	Positions Count  `json:"positions"` // of the context
	Lengths   string `json:"lengths"`   // of texts: "1-33, 64"
	Lacking   string `json:"lacking"`   // the lengths among those around powers of two that no text has
	Batches   string `json:"batches"`   // sizes of the batch
	Masks     string `json:"masks"`     // kinds of masks; empty if the network takes none
	Pairs     Count  `json:"pairs"`     // of batch, past, new tokens, mask and positions; 0 without a past
	Elements  Count  `json:"elements"`  // of the oracle's outputs, that are compared
	// LeftOut is what no case has beside what the counts say, and why.
	LeftOut []string `json:"left_out,omitempty"`

	uncertain map[string]bool // names of optional cases that were left out
}

// Ran reports whether a case was not left out of the verdict.
func (c *Coverage) Ran(k Case) bool { return c == nil || !c.uncertain[k.String()] }

// leave notes an optional case that has no bounds.
func (c *Coverage) leave(k Case, why string) {
	if c.uncertain == nil {
		c.uncertain = map[string]bool{}
	}
	c.uncertain[k.String()] = true
	if n := len(c.uncertain); n > fewLeftOut { // the reasons are alike
		c.LeftOut[len(c.LeftOut)-1] = fmt.Sprintf("%d more cases that are not certified", n-fewLeftOut+1)
		return
	}
	c.LeftOut = append(c.LeftOut, fmt.Sprintf("%s, not certified: %s", k, why))
}

// fewLeftOut is the number of cases that are left out by name, and a count of the others.
const fewLeftOut = 3

// Count is a part of a whole.
type Count struct {
	Covered int `json:"covered"`
	Of      int `json:"of"`
}

func (c Count) String() string { return fmt.Sprintf("%d of %d", c.Covered, c.Of) }

// CoverageOf returns what cases of a network with the given inputs and context reach.
func CoverageOf(cases []Case, inputs []Input, context int) *Coverage {
	vocab := vocabulary(inputs)
	c := &Coverage{IDs: Count{Of: vocab}}
	ids, lengths, batches, masks := map[int64]bool{}, map[int]bool{}, map[int]bool{}, map[string]bool{}
	for _, k := range cases {
		batches[k.Batch] = true
		if k.Length > 0 {
			lengths[k.Length] = true
		}
		for _, id := range k.IDs {
			ids[id] = true
		}
		for _, t := range k.Given {
			if of, _ := role.FromName(t.Name); of.Kind == role.AttentionMask || of.Kind == role.SourceMask {
				for _, kind := range maskKinds(t) {
					masks[kind] = true
				}
			}
		}
	}
	c.IDs.Covered = len(ids)
	c.Lengths, c.Batches = ranges(keys(lengths)), ranges(keys(batches))
	if context > 0 && len(lengths) > 0 {
		c.Positions = Count{slices.Max(keys(lengths)), context}
		c.Lacking = ranges(slices.DeleteFunc(edgeLengths(context), func(n int) bool { return lengths[n] }))
	}
	c.Masks = strings.Join(keys(masks), ", ")
	return c
}

// With returns c with a budget, the pairs of the cases with a past, and the elements
// that Verify compared.
func (c *Coverage) With(budget int, pairs Count, verified *Coverage) *Coverage {
	c.Budget, c.Pairs = budget, pairs
	if verified != nil {
		c.Elements = verified.Elements
		c.LeftOut = append(c.LeftOut, verified.LeftOut...)
	}
	return c
}

// maskKinds returns the kinds of the rows of a mask.
func maskKinds(t format.Tensor) (kinds []string) {
	if len(t.Shape) != 2 {
		return nil
	}
	x, size := make([]int, t.Elements()), t.DType.Size()
	for i, b := range t.Data {
		if b != 0 {
			x[i/size] = 1
		}
	}
	for width := t.Shape[1]; len(x) > 0 && width > 0; x = x[width:] {
		row := x[:width]
		first, last := slices.Index(row, 1), width-1
		for last > 0 && row[last] == 0 {
			last--
		}
		kind := "whole"
		switch {
		case first < 0:
			kind = "empty"
		case slices.Contains(row[first:last+1], 0):
			kind = "holes"
		case first > 0:
			kind = "left padding"
		case last < width-1:
			kind = "right padding"
		}
		kinds = append(kinds, kind)
	}
	return kinds
}

// edgeLengths returns the lengths at which kernels change their blocks: powers of two
// up to the context and their neighbours.
func edgeLengths(context int) (all []int) {
	for p := 1; p <= context; p *= 2 {
		for n := max(1, p-1); n <= min(p+1, context); n++ {
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	return all
}

func keys[K ~int | string](set map[K]bool) []K {
	all := make([]K, 0, len(set))
	for k := range set {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// ranges returns sorted numbers as a text: "1-5, 8".
func ranges(n []int) string {
	var parts []string
	for i := 0; i < len(n); {
		j := i
		for j+1 < len(n) && n[j+1] == n[j]+1 {
			j++
		}
		part := fmt.Sprint(n[i])
		if j > i {
			part = fmt.Sprintf("%d-%d", n[i], n[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

// write writes what was covered and what was left out.
func (c *Coverage) write(text *strings.Builder) {
	var covered, left []string
	part := func(name string, n Count) {
		if n.Of > 0 {
			covered = append(covered, fmt.Sprintf("%s %s", name, n))
		}
		if n.Covered < n.Of {
			left = append(left, fmt.Sprintf("%d %s", n.Of-n.Covered, name))
		}
	}
	list := func(name, text string) {
		if text != "" {
			covered = append(covered, name+" "+text)
		}
	}
	part("ids", c.IDs)
	part("positions", c.Positions)
	list("lengths", c.Lengths)
	list("batches", c.Batches)
	list("masks", c.Masks)
	part("pairs of batch, past, new tokens, mask and positions", c.Pairs)
	part("elements of outputs", c.Elements)
	if c.Lacking != "" {
		left = append(left, "lengths around powers of two "+c.Lacking)
	}
	left = append(left, c.LeftOut...)
	text.WriteString("covered: " + strings.Join(covered, "; ") + "\n")
	if len(left) > 0 {
		text.WriteString("left out: " + strings.Join(left, "; ") + "\n")
	}
}
