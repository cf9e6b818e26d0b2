package placement

import (
	"container/heap"
	"slices"
)

// smallWeight is the largest number of elements of a weight that does not keep
// a node on the GPU (kSmallInitializerThreshold in
// onnxruntime/core/framework/fallback_cpu_capability.cc).
const smallWeight = 100

// notPulled lists the element types that keep a node on the GPU (same file),
// because the CPU is slow with them.
var notPulled = []string{"float16", "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "float4e2m1"}

// preferCPU moves nodes that only compute shapes to the CPU
// (GetCpuPreferredNodes in
// onnxruntime/core/framework/fallback_cpu_capability.cc). It starts with
// values that a CUDA kernel leaves in CPU memory, such as the output of Shape,
// and follows them: a node whose inputs are only such values, small weights
// and inputs of the graph moves to the CPU, and its outputs are such values
// too. It also follows nodes without a CUDA kernel once such a value reaches
// them.
//
// An input that the node's kernel expects in CPU memory, such as the shape of
// Reshape, does not make them move.
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
	// Visit each node once, in graph order, so that the nodes before it are
	// decided.
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

// onlyShapes reports whether a node with a CUDA kernel is better placed on the
// CPU. An omitted optional input keeps it on the GPU: ONNX Runtime looks its
// empty name up among the values and does not find it.
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

// queue is a heap of node indices, smallest first.
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
