package train

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// ErrAllFrozen reports that no weight is left to train.
var ErrAllFrozen = errors.New("every weight that the loss depends on is frozen, so there is nothing to learn: freeze fewer")

// FreezeError reports a pattern of Options.Freeze that freezes nothing.
type FreezeError struct {
	Pattern string
	Reason  string
}

func (e *FreezeError) Error() string { return fmt.Sprintf("%.80q: %s", e.Pattern, e.Reason) }

// Trained returns the names of the parameters that are not frozen, in the order
// of the graph; nil if none is frozen.
func (o Options) Trained(g *graph.Graph) ([]string, error) {
	if len(o.Freeze) == 0 {
		return nil, nil
	}
	frozen := make([]bool, len(g.Params))
	for _, pattern := range o.Freeze {
		rest, thaw := strings.CutPrefix(pattern, "!")
		matched := false
		for i, p := range g.Params {
			ok, err := Match(rest, p.Name)
			if err != nil {
				return nil, &FreezeError{pattern, "it is no pattern: take * for any characters, ? for one, [a-z] for one of several"}
			}
			if ok {
				matched, frozen[i] = true, !thaw
			}
		}
		if !matched {
			return nil, &FreezeError{pattern, "no weight has such a name: they are " + someNames(g)}
		}
	}
	var names []string
	for i, p := range g.Params {
		if !frozen[i] {
			names = append(names, p.Name)
		}
	}
	if names == nil {
		return nil, ErrAllFrozen
	}
	return names, nil
}

// Frozen returns the number of parameters that are not trained.
func (o Options) Frozen(c *model.Checkpoint) (n int, err error) {
	learned, err := o.learned(c)
	if err == nil {
		n, err = c.Parameters()
	}
	for _, w := range learned {
		n -= w.Elements()
	}
	return n, err
}

// someNames lists the first names of parameters for a message.
func someNames(g *graph.Graph) string {
	const most = 6
	var names []string
	for i, p := range g.Params {
		if i == most {
			return strings.Join(names, ", ") + fmt.Sprintf(" and %d more", len(g.Params)-most)
		}
		names = append(names, quote.Line(p.Name, 60))
	}
	return strings.Join(names, ", ")
}

// Match reports whether a weight's name matches a pattern. The patterns are
// those of path.Match, but * and ? match / too.
func Match(pattern, name string) (bool, error) {
	const other = "\x00"
	return path.Match(strings.ReplaceAll(pattern, "/", other), strings.ReplaceAll(name, "/", other))
}

// Reaching returns how many of the named parameters (nil: all) a gradient of the loss
// reaches: those that it depends on through floating-point values. flat is a value
// whose derivative is 0 (graph.Flat, or of another type) between the loss and such a parameter, nil if there is none.
func Reaching(loss *graph.Graph, names []string) (count int, flat *graph.Value, err error) {
	out, ok := loss.Output(role.Of(role.Loss))
	if !ok {
		return 0, nil, errors.New("train: the graph has no loss")
	}
	seen := map[*graph.Value][2]bool{} // without and with a flat value on the way
	var visit func(v, by *graph.Value)
	visit = func(v, by *graph.Value) {
		at := seen[v]
		i := 0
		if by != nil {
			i = 1
		}
		if at[i] {
			return
		}
		at[i] = true
		seen[v] = at
		if _, ok := graph.Is[graph.Param](v); ok && v.DType.Float() && (names == nil || slices.Contains(names, v.Name)) {
			if by == nil {
				count++
			} else {
				flat = by
			}
		}
		if by == nil && (graph.Flat(v.Op()) || !v.DType.Float() && !graph.Through(v)) {
			by = v
		}
		for _, a := range v.Args() {
			visit(a, by)
		}
	}
	visit(out.Value, nil)
	return count, flat, nil
}
