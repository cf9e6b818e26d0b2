package placement

import (
	"container/heap"
	"slices"
)

// smallWeight is the number of elements up to which a weight does not keep a
// node on the GPU (kSmallInitializerThreshold in
// onnxruntime/core/framework/fallback_cpu_capability.cc).
const smallWeight = 100

// notPulled are the element types that keep a node on the GPU (the same file):
// the CPU is slow with them.
var notPulled = []string{"float16", "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "float4e2m1"}

// preferCPU moves to the CPU what only works on shapes (GetCpuPreferredNodes
// in onnxruntime/core/framework/fallback_cpu_capability.cc). It begins with
// values that a CUDA kernel leaves in the CPU's memory, such as Shape's, and
// follows them: a node that has no other inputs than those, small weights and
// the graph's inputs goes to the CPU, and what it makes is such a value, too.
// Nodes without a CUDA kernel are followed through once such a value has
// reached them.
//
// An input that the node's kernel wants in the CPU's memory, as Reshape wants
// the shape, is no reason to move: it is where it should be.
func (p *planner) preferCPU() {
	onHost := map[string]bool{}
	reached := &queue{}
	follow := func(value string) {
		onHost[value] = true
		for _, u := range p.uses[value] {
			heap.Push(reached, u.node)
		}
	}
	for i, k := range p.kernels {
		if k == nil {
			continue
		}
		for _, j := range k.HostOutputs {
			if out := p.source[i].Outputs; j < len(out) && out[j] != "" {
				follow(out[j])
			}
		}
	}
	// In the order of the graph, so that all that makes a node's inputs has
	// been judged before it; each node once.
	for last := -1; reached.Len() > 0; {
		i := heap.Pop(reached).(int)
		if i == last {
			continue
		}
		last = i
		if p.kernels[i] != nil {
			if !p.onlyShapes(i, onHost) {
				continue
			}
			p.kernels[i] = nil
			p.nodes[i].Device, p.nodes[i].Why = OnCPU, "pulled to the CPU: it only works on shapes, which are in the CPU's memory"
			p.onCPU(i)
		}
		for _, out := range p.source[i].Outputs {
			if out != "" {
				follow(out)
			}
		}
	}
}

// onlyShapes reports whether a node that has a CUDA kernel is better placed on
// the CPU. An optional input that is left out keeps it on the GPU: ONNX
// Runtime looks for its name among the values and does not find it.
func (p *planner) onlyShapes(i int, onHost map[string]bool) bool {
	for j, in := range p.source[i].Inputs {
		elements, weight := p.weights[in]
		switch {
		case slices.Contains(notPulled, p.types[in]):
			return false
		case weight && elements <= smallWeight, p.inputs[in]:
		case !onHost[in], slices.Contains(p.kernels[i].HostInputs, j):
			return false
		}
	}
	return true
}

// queue is a heap of node indices, the first of the graph on top.
type queue []int

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i] < q[j] }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(int)) }

func (q *queue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}
