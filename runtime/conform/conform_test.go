package conform_test

import (
	"errors"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/conform"
	"github.com/attnx/attnx/runtime/ref"
)

// spoiled is a session that does one thing wrong.
type spoiled struct {
	runtime.Session
	after  func(out map[string]format.Tensor) // what it does to its results
	before func(in map[string]format.Tensor)
	close  error
}

func (s *spoiled) Run(in map[string]format.Tensor) (map[string]format.Tensor, error) {
	if s.before != nil {
		s.before(in)
	}
	out, err := s.Session.Run(in)
	if err == nil && s.after != nil {
		s.after(out)
	}
	return out, err
}

func (s *spoiled) Close() error { return errors.Join(s.close, s.Session.Close()) }

func oracle(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) {
	return ref.New(g, weights)
}

func build(c fixtures.Config) (*graph.Graph, error) {
	n, err := arch.Parse(c.Arch, c.JSON())
	if err != nil {
		return nil, err
	}
	return nn.Build(n)
}

// every changes all float results by a function of their element.
func every(f func(i int, x float64) float64) func(out map[string]format.Tensor) {
	return func(out map[string]format.Tensor) {
		for _, t := range out {
			if v, err := t.Float64s(); err == nil {
				for i := range v {
					v[i] = f(i, v[i])
				}
			}
		}
	}
}

// faults are the runtimes that the suite must not let pass, and what it says.
var faults = map[string]struct {
	open    conform.Open
	options conform.Options
	says    string
}{
	"a value is off": {spoil(&spoiled{after: every(func(i int, x float64) float64 {
		if i == 0 {
			return x + 2e-9
		}
		return x
	})}), conform.Options{}, "the oracle says"},
	"rounded to float32": {spoil(&spoiled{after: every(func(_ int, x float64) float64 { return float64(float32(x)) })}), conform.Options{}, "the oracle says"},
	"beyond the bound of the options": {spoil(&spoiled{after: every(func(_ int, x float64) float64 { return x + 1e-11 })}),
		conform.Options{MaxAbs: 1e-12}, "more than 1e-12"},
	"an output under another name": {spoil(&spoiled{after: func(out map[string]format.Tensor) {
		for name, t := range out {
			delete(out, name)
			out[name+"?"] = t
			break
		}
	}}), conform.Options{}, "is missing"},
	"an output too many": {spoil(&spoiled{after: func(out map[string]format.Tensor) {
		out["more"] = format.FromFloat32s("more", []int{}, []float32{1})
	}}), conform.Options{}, "outputs"},
	"another shape": {spoil(&spoiled{after: func(out map[string]format.Tensor) {
		for name, t := range out {
			t.Shape = append([]int{1}, t.Shape...)
			out[name] = t
		}
	}}), conform.Options{}, "has shape"},
	"it forgets": {func(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) {
		s, err := ref.New(g, weights)
		runs := 0
		return &spoiled{Session: s, after: func(out map[string]format.Tensor) {
			if runs++; runs > 1 {
				every(func(int, float64) float64 { return 0 })(out)
			}
		}}, err
	}, conform.Options{}, "the oracle says"},
	"it cannot open":  {func(*graph.Graph, []format.Tensor) (runtime.Session, error) { return nil, errors.New("no way") }, conform.Options{}, "no way"},
	"it cannot run":   {spoil(&spoiled{before: func(in map[string]format.Tensor) { in["extra"] = format.Tensor{} }}), conform.Options{}, "extra"},
	"it cannot close": {spoil(&spoiled{close: errors.New("still in use")}), conform.Options{}, "still in use"},
	"it mixes up weights": {func(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) {
		for i, p := range g.Params { // the second norm's weights for the first's
			if p.Name == "h.0.ln_1.weight" || p.Name == "attn.q.bias" {
				weights = append([]format.Tensor{}, weights...)
				weights[i].Data = make([]byte, len(weights[i].Data))
			}
		}
		return ref.New(g, weights)
	}, conform.Options{}, "the oracle says"},
}

// spoil opens the oracle and spoils it as s says.
func spoil(s *spoiled) conform.Open {
	return func(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) {
		o, err := ref.New(g, weights)
		c := *s
		c.Session = o
		return &c, err
	}
}

const faultName = "ATTNX_CONFORM_FAULT"

// TestSuiteSeesFaults runs this test binary again for every fault and expects it
// to fail, in Ops and in Networks each: a suite that lets everything pass is
// worse than none.
func TestSuiteSeesFaults(t *testing.T) {
	for name, fault := range faults {
		for _, part := range []string{"TestFaultyOps", "TestFaultyNetworks"} {
			if strings.Contains(name, "weights") && part == "TestFaultyOps" {
				continue
			}
			t.Run(name+", "+part, func(t *testing.T) {
				t.Parallel()
				cmd := exec.Command(os.Args[0], "-test.run=^"+part+"$")
				cmd.Env = append(os.Environ(), faultName+"="+name)
				out, err := cmd.CombinedOutput()
				var exit *exec.ExitError
				if !errors.As(err, &exit) {
					t.Fatalf("it passes: %v", err)
				}
				if !strings.Contains(string(out), fault.says) || strings.Contains(string(out), "panic") {
					t.Errorf("the suite does not say %q:\n%.2000s", fault.says, out)
				}
			})
		}
	}
}

func TestFaultyOps(t *testing.T) {
	if name := os.Getenv(faultName); name != "" {
		conform.Ops(t, faults[name].open, faults[name].options)
	}
}

func TestFaultyNetworks(t *testing.T) {
	if name := os.Getenv(faultName); name != "" {
		conform.Networks(t, faults[name].open, faults[name].options, build, oracle)
	}
}

// What a runtime cannot do is skipped, and so is a runtime that is not there.
func TestSkips(t *testing.T) {
	skip := map[string]string{}
	for _, op := range graph.Operators() {
		skip[op.Name()] = "not here"
	}
	opened := func(*graph.Graph, []format.Tensor) (runtime.Session, error) {
		t.Error("a session is opened for an operator that is skipped")
		return nil, runtime.ErrUnavailable
	}
	conform.Ops(t, opened, conform.Options{Skip: skip})
	missing := func(*graph.Graph, []format.Tensor) (runtime.Session, error) {
		return nil, &runtime.UnavailableError{Runtime: "test", Reason: "it is not there", Remedy: "none"}
	}
	conform.Ops(t, missing, conform.Options{})
	conform.Networks(t, missing, conform.Options{}, build, oracle)
}

// Every letter of a graph for a runtime that must be bound has a size, and its
// weights are those of the parameters that are left.
func TestBoundGraphsHaveNoLetters(t *testing.T) {
	sizes := map[string]bool{}
	bound := func(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) {
		for v := range g.Values() {
			if _, ok := v.Shape.Numbers(); !ok {
				t.Errorf("%s has shape %s", v.Name, v.Shape)
			}
		}
		sizes[g.Inputs[0].Shape.String()] = true
		return ref.New(g, weights)
	}
	conform.Networks(t, bound, conform.Options{Bind: true}, build, oracle)
	for _, want := range []string{"(1,1)", "(8,12)"} {
		if !sizes[want] {
			t.Errorf("no session is made for %s, only for %v", want, sizes)
		}
	}
}

// A runtime with open letters runs every size, the edge ids among its ids.
func TestAllSizesAreRun(t *testing.T) {
	ran := map[[2]int]bool{}
	edges := map[int64]bool{}
	watched := func(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) {
		s, err := ref.New(g, weights)
		return &spoiled{Session: s, before: func(in map[string]format.Tensor) {
			x := in["input_ids"]
			ran[[2]int{x.Shape[0], x.Shape[1]}] = true
			ids, err := x.Int64s()
			if err != nil {
				t.Error(err)
			}
			for _, id := range ids {
				edges[id] = true
			}
		}}, err
	}
	conform.Networks(t, watched, conform.Options{}, build, oracle)
	golden, err := fixtures.TinyGPT2()
	if err != nil {
		t.Fatal(err)
	}
	for batch := 1; batch <= 8; batch++ {
		for length := 1; length <= golden.Config.Context; length++ {
			if !ran[[2]int{batch, length}] {
				t.Errorf("batch %d, length %d is not run", batch, length)
			}
		}
	}
	if !edges[0] || !edges[int64(golden.Config.Vocab-1)] {
		t.Error("an edge of the vocabulary is not among the ids")
	}
}

// A runtime that computes in float32 passes.
func TestFloat32IsWithin(t *testing.T) {
	single := func(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) {
		s, err := ref.New(g, weights)
		return &spoiled{Session: s, after: func(out map[string]format.Tensor) {
			for name, x := range out {
				v, err := x.Float64s()
				if err != nil {
					continue
				}
				narrow := make([]float32, len(v))
				for i := range v {
					narrow[i] = float32(v[i])
				}
				out[name] = format.FromFloat32s(name, x.Shape, narrow)
			}
		}}, err
	}
	conform.Ops(t, single, conform.Options{})
	conform.Networks(t, single, conform.Options{}, build, oracle)
}
