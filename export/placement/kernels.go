package placement

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/attnx/attnx/export/onnx/schema"
)

// Provider is one of ONNX Runtime's execution providers.
type Provider string

// Providers in the table.
const (
	CPU  Provider = "cpu"
	CUDA Provider = "cuda"
)

// Kernel is an implementation of an operator.
type Kernel struct {
	Provider Provider
	Domain   string // "" for the standard domain
	Op       string

	// The kernel covers operator versions Since to Until. If Until is 0, it
	// covers only Since, because later versions did not exist when it was
	// registered (VerifyVersion in
	// onnxruntime/core/framework/kernel_registry.cc).
	Since, Until int64

	// Types lists the element types allowed for a type variable or a
	// parameter, by ONNX's names: "float", "float16", "int64".
	Types map[string][]string

	// Inputs and outputs in CPU memory although the kernel runs on the GPU.
	// Empty for CPU kernels.
	HostInputs, HostOutputs []int
}

// takes reports whether the kernel covers a version of the operator.
func (k *Kernel) takes(version int64) bool {
	return k.Since == version || k.Since <= version && version <= k.Until
}

// Version returns the version of ONNX Runtime in the table.
func Version() string { return table().version }

// Lookup returns a provider's kernels for an operator, oldest versions first.
func Lookup(provider Provider, domain, op string) []Kernel {
	return slices.Clone(table().kernels[kernelKey{provider, operator{standard(domain), op}}])
}

// operator is an operator of any version; the standard domain is "".
type operator struct{ domain, op string }

type kernelKey struct {
	provider Provider
	operator
}

// facts is the content of kernels.tsv.
type facts struct {
	version string
	ir      int64 // the newest IR version that ONNX Runtime opens
	kernels map[kernelKey][]Kernel
	definitions
	newest map[string]int64 // the last opset of a domain that ONNX Runtime opens
}

//go:embed kernels.tsv
var kernelsTSV string

// table returns the facts, parsed on first use. The file is embedded, so an
// error in it is a bug.
var table = sync.OnceValue(func() *facts {
	f, err := parse(kernelsTSV)
	if err != nil {
		panic(err)
	}
	return f
})

// parse reads the output of fixtures/oracle/placement_kernels.py.
func parse(text string) (*facts, error) {
	f := &facts{definitions: definitions{own: map[operator][]*schema.Operator{}, without: map[operator][]int64{}}, kernels: map[kernelKey][]Kernel{}, newest: map[string]int64{}}
	types := map[string][]string{} // lists that stand in many lines
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		c := strings.Split(line, "\t")
		var err error
		switch {
		case c[0] == "version" && len(c) == 2:
			f.version = c[1]
		case c[0] == "ir" && len(c) == 2:
			f.ir, err = strconv.ParseInt(c[1], 10, 64)
		case c[0] == "opset" && len(c) == 3:
			f.newest[standard(c[1])], err = strconv.ParseInt(c[2], 10, 64)
		case c[0] == "types" && len(c) == 3:
			types[c[1]] = strings.Split(c[2], ",")
		case c[0] == "kernel" && len(c) == 9:
			err = f.kernel(c[1:], types)
		case c[0] == "op":
			var o *schema.Operator
			if o, err = schema.Parse(c[1:]); err == nil {
				f.own[operator{o.Domain, o.Name}] = append(f.own[operator{o.Domain, o.Name}], o)
			}
		case c[0] == "without" && len(c) == 4:
			var since int64
			since, err = strconv.ParseInt(c[3], 10, 64)
			op := operator{standard(c[1]), c[2]}
			f.without[op] = append(f.without[op], since)
		default:
			err = fmt.Errorf("%d columns of kind %.80q", len(c), c[0])
		}
		if err != nil {
			return nil, fmt.Errorf("kernels.tsv: line %d: %w: make it again with fixtures/oracle/placement_kernels.py", i+1, err)
		}
	}
	return f, nil
}

// kernel reads provider, domain, operator, first and last version, types, and
// the inputs and outputs in CPU memory.
func (f *facts) kernel(c []string, types map[string][]string) error {
	k := Kernel{Provider: Provider(c[0]), Domain: standard(c[1]), Op: c[2]}
	var err error
	if k.Since, err = strconv.ParseInt(c[3], 10, 64); err != nil {
		return err
	}
	if c[4] != "" {
		if k.Until, err = strconv.ParseInt(c[4], 10, 64); err != nil {
			return err
		}
	}
	k.Types = lists(c[5], types)
	if k.HostInputs, err = numbers(c[6]); err != nil {
		return err
	}
	if k.HostOutputs, err = numbers(c[7]); err != nil {
		return err
	}
	key := kernelKey{k.Provider, operator{k.Domain, k.Op}}
	f.kernels[key] = append(f.kernels[key], k)
	return nil
}

// lists reads "T=float,double;U=@3": the types of each variable.
func lists(s string, types map[string][]string) map[string][]string {
	out := map[string][]string{}
	for variable, list := range pairs(s) {
		if allowed, ok := types[list]; ok {
			out[variable] = allowed
		} else {
			out[variable] = strings.Split(list, ",")
		}
	}
	return out
}

// pairs reads "a=x;b=y".
func pairs(s string) map[string]string {
	out := map[string]string{}
	for part := range strings.SplitSeq(s, ";") {
		if name, value, ok := strings.Cut(part, "="); ok {
			out[name] = value
		}
	}
	return out
}

// numbers reads "1,2,3".
func numbers(s string) (out []int, err error) {
	if s == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// standard returns the canonical name of a domain; the standard one has two.
func standard(domain string) string {
	if domain == "ai.onnx" {
		return ""
	}
	return domain
}
