package graph

import "fmt"

// PeakBytes returns the peak memory of the values of g if it runs in its own
// order and frees a value after its last use. Inputs, parameters, constants and
// outputs are never freed. Named dimensions must be bound. A runtime needs that
// much plus its own overhead.
func PeakBytes(g *Graph) (int64, error) {
	uses := map[*Value]int{}
	size := map[*Value]int64{}
	held := map[*Value]*Value{} // maps a value that is only reshaped to the owner of its memory
	for v := range g.Values() {
		n, known := v.Shape.Elements().Number()
		if !known {
			return 0, fmt.Errorf("graph: value %.80q has the shape %s: bind its names first", v.Name, v.Shape)
		}
		size[v], held[v] = int64(n)*int64(v.DType.Size()), v
		_, reshaped := Is[Reshape](v)
		if reshaped || v.Op() == Identity {
			size[v], held[v] = 0, held[v.Args()[0]]
		}
	}
	for _, n := range g.Nodes {
		for _, a := range n.Args {
			uses[held[a]]++
		}
	}
	for _, o := range g.Outputs {
		uses[held[o.Value]]++ // never freed
	}
	var now, peak int64
	for v := range g.Values() {
		if v.Leaf() {
			now += size[v]
			uses[v]++ // never freed
		}
	}
	peak = now
	for _, n := range g.Nodes {
		if leaf(n.Op) {
			continue
		}
		for _, v := range n.Results {
			now += size[v]
		}
		peak = max(peak, now)
		for _, a := range n.Args {
			h := held[a]
			if uses[h]--; uses[h] == 0 {
				now -= size[h]
			}
		}
	}
	return peak, nil
}
