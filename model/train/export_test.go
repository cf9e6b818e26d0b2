package train

// Float64Gradients returns the gradients of the last Step of an engine in
// double precision, before they were rounded to float32; nil for a parameter
// without a part in the loss.
func (g *Gorgonia) Float64Gradients() [][]float64 {
	p := g.engine.(*runner[float64]).kept[0].program
	var out [][]float64
	for _, slot := range p.grads {
		if slot < 0 {
			out = append(out, nil)
			continue
		}
		out = append(out, p.slots[slot].f)
	}
	return out
}

// KeptPrograms returns how many programs a session keeps.
func KeptPrograms(f *Forward) int { return len(f.engine.(*runner[float32]).kept) }
