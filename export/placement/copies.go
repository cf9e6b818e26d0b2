package placement

import "slices"

// copies returns the copies that ONNX Runtime would insert: one for each value
// that is in one memory and used in the other, however many nodes use it there
// (TransformerMemcpyImpl::ModifyGraph in
// onnxruntime/core/optimizer/transformer_memcpy.cc). Weights need no copy
// during a run, because each memory has its own. An input of the graph that is
// used in one memory only is moved there before the run.
func (p *planner) copies() []Copy {
	out := []Copy{}
	for _, v := range p.graph.Inputs {
		if p.inputs[v.Name] && len(p.users(v.Name, false)) > 0 {
			if gpu := p.users(v.Name, true); len(gpu) > 0 {
				out = append(out, Copy{"MemcpyFromHost", v.Name, "input", gpu})
			}
		}
	}
	for i, n := range p.source {
		for j, value := range n.Outputs {
			if value == "" {
				continue
			}
			if k := p.kernels[i]; k != nil && !slices.Contains(k.HostOutputs, j) {
				if cpu := p.users(value, false); len(cpu) > 0 {
					out = append(out, Copy{"MemcpyToHost", value, p.nodes[i].Node, cpu})
				}
			} else if gpu := p.users(value, true); len(gpu) > 0 {
				out = append(out, Copy{"MemcpyFromHost", value, p.nodes[i].Node, gpu})
			}
		}
	}
	return out
}

// users returns the nodes that expect a value in the GPU's memory, or those
// that expect it in the CPU's.
func (p *planner) users(value string, gpu bool) []string {
	var out []string
	last := -1
	for _, u := range p.uses[value] {
		k := p.kernels[u.node]
		if u.node == last || gpu != (k != nil && !slices.Contains(k.HostInputs, u.input)) {
			continue
		}
		last = u.node
		out = append(out, p.nodes[u.node].Node)
	}
	return out
}
