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
var ErrAllFrozen = errors.New("every weight that the loss depends on is frozen: there is nothing to learn")

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
	for _, w := range c.Weights {
		n += w.Elements()
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

// Reaching returns how many of the named parameters (nil: all) the loss depends
// on through floating-point values.
func Reaching(loss *graph.Graph, names []string) (int, error) {
	out, ok := loss.Output(role.Of(role.Loss))
	if !ok {
		return 0, errors.New("train: the graph has no loss")
	}
	count := 0
	seen := map[*graph.Value]bool{}
	var visit func(v *graph.Value)
	visit = func(v *graph.Value) {
		if seen[v] || !v.DType.Float() {
			return
		}
		seen[v] = true
		if _, ok := graph.Is[graph.Param](v); ok && (names == nil || slices.Contains(names, v.Name)) {
			count++
		}
		for _, a := range v.Args() {
			visit(a)
		}
	}
	visit(out.Value)
	return count, nil
}
