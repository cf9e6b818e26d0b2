package placement

import (
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/schema"
)

// kernel finds the kernel of a node as ONNX Runtime does: CUDA's, otherwise
// the CPU's (KernelRegistry::TryFindKernel in
// onnxruntime/core/framework/kernel_registry.cc).
func (p *planner) kernel(i int) {
	n := &p.nodes[i]
	if _, known := p.facts.newest[n.Domain]; !known {
		n.Device, n.Why = OnUnknown, fmt.Sprintf("the table has no operators of domain %.80q", n.Domain)
		return
	}
	if why := p.refused(i); why != "" {
		n.Device, n.Why = OnNothing, fmt.Sprintf("not valid with the operators of ONNX Runtime %s: %s", p.facts.version, why)
		return
	}
	k, unknown, why := p.find(i, CUDA)
	switch {
	case unknown != "":
		n.Device, n.Why = OnUnknown, fmt.Sprintf("the element type of %.80q is not known: declare it in the graph", unknown)
	case k != nil:
		n.Device, p.kernels[i] = OnCUDA, k
	default:
		n.Device, n.Why = OnCPU, why
		p.onCPU(i)
	}
}

// onCPU looks for a CPU kernel for a node that is not on the GPU.
func (p *planner) onCPU(i int) {
	n := &p.nodes[i]
	if k, unknown, why := p.find(i, CPU); k == nil && unknown == "" {
		n.Device = OnNothing
		n.Why += "; " + why + ": ONNX Runtime puts the operator's definition in its place, which is not planned, or refuses the model"
	}
}

// find returns a provider's kernel for a node; or a value whose type must be
// known to decide; or the reason why there is none.
func (p *planner) find(i int, provider Provider) (k *Kernel, unknown, why string) {
	n, s := p.source[i], p.schemas[i]
	op := operator{standard(n.Domain), n.Op}
	list := p.facts.kernels[kernelKey{provider, op}]
	where := map[Provider]string{CPU: "the CPU", CUDA: "CUDA"}[provider]
	if len(list) == 0 {
		return nil, "", fmt.Sprintf("%s has no kernel for %s", where, n.Op)
	}
	if provider == CUDA {
		if rule, ok := leftToCPU[op]; ok {
			for _, a := range n.Attributes {
				if a.Name == rule.attribute && rule.refuses(a.Int) {
					return nil, "", "CUDA refuses it: " + rule.why
				}
			}
		}
	}
	versions := false
	for j := range list {
		if !list[j].takes(s.Since) {
			continue
		}
		versions = true
		fits, u, w := p.fits(n, s, &list[j])
		if fits && u == "" {
			return &list[j], "", ""
		}
		if fits {
			unknown = u
		} else if why == "" {
			why = fmt.Sprintf("%s has no kernel for %s %s", where, n.Op, w)
		}
	}
	if !versions {
		return nil, "", fmt.Sprintf("%s has no kernel for %s-%d, only for %s", where, n.Op, s.Since, ranges(list))
	}
	return nil, unknown, why
}

// fits compares the types of a node's values with a kernel's. It compares a
// restriction with the first present value to which it applies
// (MatchKernelDefTypes in onnxruntime/core/framework/kernel_registry.cc).
// unknown is a value without a type: then fits says that nothing else speaks
// against the kernel.
func (p *planner) fits(n *onnx.Node, s *schema.Operator, k *Kernel) (fits bool, unknown, why string) {
	names := make([]string, 0, len(k.Types))
	for name := range k.Types {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value, ok := first(n.Inputs, s.Input, name)
		if !ok {
			if value, ok = first(n.Outputs, s.Output, name); !ok {
				continue
			}
		}
		t, known := p.types[value]
		switch {
		case !known:
			unknown = value
		case !slices.Contains(k.Types[name], t):
			return false, "", fmt.Sprintf("with %s %s (%.80q), only with %s", name, t, value, strings.Join(p.allowed(k, name), ", "))
		}
	}
	return true, unknown, ""
}

// first returns the first value whose parameter a restriction is about.
func first(values []string, parameter func(int) *schema.Parameter, name string) (string, bool) {
	for i, v := range values {
		if v != "" && is(parameter(i), name) {
			return v, true
		}
	}
	return "", false
}

// allowed returns the types that any kernel of the operator's version accepts
// for a type variable.
func (p *planner) allowed(k *Kernel, name string) []string {
	var out []string
	for _, other := range p.facts.kernels[kernelKey{k.Provider, operator{k.Domain, k.Op}}] {
		if other.Since == k.Since {
			out = append(out, other.Types[name]...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ranges formats the versions of kernels: 1-4, 13, 14-18.
func ranges(list []Kernel) string {
	var out []string
	for _, k := range list {
		text := fmt.Sprint(k.Since)
		if k.Until > k.Since {
			text = fmt.Sprintf("%d-%d", k.Since, k.Until)
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return strings.Join(out, ", ")
}

// leftToCPU lists operators that the CUDA provider leaves to the CPU for
// certain values of an attribute, even with a kernel
// (CUDAExecutionProvider::GetCapability in
// onnxruntime/core/providers/cuda/cuda_execution_provider.cc).
var leftToCPU = map[operator]struct {
	attribute string
	refuses   func(int64) bool
	why       string
}{
	{"", "Cast"}:   {"to", func(v int64) bool { return onnx.DataType(v) == onnx.String }, "it makes strings"},
	{"", "ArgMax"}: {"select_last_index", func(v int64) bool { return v != 0 }, "it selects the last index"},
	{"", "ArgMin"}: {"select_last_index", func(v int64) bool { return v != 0 }, "it selects the last index"},
}
