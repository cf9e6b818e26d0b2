package attnx

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/memory"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// A runtime takes a file as it is: a loop that never ends keeps it busy for ever, and
// shapes that double take all memory, at which the system ends the process. So what can
// be known of a file is asked before it is handed over, in this file for every runtime:
//
//   - its control flow, by its constants (read.Endless);
//   - the memory of its values, where attnx reads the file as a graph (bounded);
//   - divisions that end the process, there too (divides);
//   - the time of a run, where data decide the rounds of a loop (patient).
//
// What attnx cannot read (operators of others) has the process's limit of memory only
// (memory.Limit, which the program sets).

// patience is how long a run may take if only data decide when its loops end, and how
// long a runtime may take to open a file of many nodes.
var patience = 10 * time.Minute

// Limits on the nodes of a file. What ONNX Runtime needs to open one grows faster than the
// nodes: 20 s at 100,000, 60 s at 300,000 and 523 s with 3 GB at a million, at each level
// of optimization (fixtures/MEASURED.md).
const (
	mostOptimized = 100_000 // beyond, a runtime with levels runs at the lowest
	mostOpened    = 300_000 // beyond, a runtime runs only if it is named
	fewNodes      = 10_000  // up to here a file is opened without a limit of time
)

// leftOut returns why a runtime does not open the file at a level; nil if it does. A level
// that the user named is the lowest.
func (x *ONNX) leftOut(name string, lowest, named bool) error {
	n := len(x.File.Graph.Nodes)
	gone := &runtime.UnavailableError{Runtime: name}
	switch {
	case n > mostOpened && !named:
		gone.Reason, gone.Remedy = fmt.Sprintf("the file has %s nodes, and beyond %s a runtime may need many minutes to open it", quote.Count(n), quote.Count(mostOpened)), "name the runtime to try it"
	case n > mostOptimized && !lowest:
		gone.Reason, gone.Remedy = fmt.Sprintf("the file has %s nodes, and beyond %s only the lowest level is opened", quote.Count(n), quote.Count(mostOptimized)), "compare at that level"
	default:
		return nil
	}
	return gone
}

// bounded refuses a file that no runtime can run to its end with these inputs. Without
// inputs it looks at what the file alone decides.
func (x *ONNX) bounded(inputs map[string]format.Tensor) error {
	r, err := x.readFor(inputs)
	var beyond *read.BoundError
	if errors.As(err, &beyond) && beyond.Rounds > 0 {
		return fmt.Errorf("%s: %w", x.Path, err)
	}
	if err != nil {
		return nil // a runtime may take a file that is not read here
	}
	free := memory.Free()
	if free == 0 {
		free = ref.MaxBytes
	}
	err = roomFor(r.Graph, inputs, free)
	if err == nil {
		err = divides(r, inputs)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", x.Path, err)
	}
	return nil
}

// MemoryError reports a value that does not fit into memory together with the others
// that are needed at its time.
type MemoryError struct {
	Node     string // which computes it
	Operator string
	Shape    []int
	Bytes    int64 // all of them together, in the types of the file
	Free     int64
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("node %.80q: %s: with its result %v the run needs %d MB, and %d MB are free: run a smaller batch or a shorter sequence", e.Node, e.Operator, e.Shape, e.Bytes>>20, e.Free>>20)
}

// roomFor refuses a graph whose values do not fit into memory. Each is held from its node to
// its last reader, in its own type. A size that is not known counts as nothing.
func roomFor(g *graph.Graph, inputs map[string]format.Tensor, free int64) error {
	shapes := map[string][]int{}
	for name, t := range inputs {
		shapes[name] = t.Shape
	}
	sizes, err := g.BindInputs(shapes)
	if err != nil {
		sizes = map[string]int{}
	}
	left := map[*graph.Value]int{}
	for _, n := range g.Nodes {
		for _, a := range n.Args {
			left[a]++
		}
	}
	for _, out := range g.Outputs {
		left[out.Value]++
	}
	bytes, held := map[*graph.Value]int64{}, int64(0)
	for _, n := range g.Nodes {
		if n.Results[0].Leaf() {
			continue // in memory already
		}
		for _, v := range n.Results {
			shape, err := v.Shape.Eval(sizes)
			if err != nil {
				continue
			}
			if emptyRows(shape) {
				return fmt.Errorf("node %.80q: %s: its result %v has no elements and too many rows: some operators walk them: give it fewer", n.Name(), n.Op.Name(), shape)
			}
			size := int64(math.MaxInt64)
			if count, ok := format.Elements(shape); ok && count <= math.MaxInt/8 {
				size = int64(count * v.DType.Size())
			}
			if size > free-held {
				total := int64(math.MaxInt64)
				if size < total-held {
					total = held + size
				}
				return &MemoryError{Node: n.Name(), Operator: n.Op.Name(), Shape: shape, Bytes: total, Free: free}
			}
			bytes[v] = size
			if held += size; left[v] == 0 {
				held -= size
			}
		}
		for _, a := range n.Args {
			if left[a]--; left[a] == 0 {
				held -= bytes[a]
			}
		}
	}
	return nil
}

// emptyRows reports whether a shape has no elements but more rows than an operator may
// walk.
func emptyRows(shape []int) bool {
	rows, empty := 1, false
	for _, d := range shape {
		if empty = empty || d == 0; d > 0 {
			rows = min(rows, math.MaxInt/d) * d
		}
	}
	return empty && rows >= 1<<31
}

// openFile opens a file in a runtime.
type openFile func(runtime.File, runtime.Options) (runtime.Session, error)

// guarded returns open with a limit of time: on the runs of its sessions, if data decide
// how long the file's loops run, and on itself, if the file has many nodes. It tells the
// runtime who wrote the file.
func (x *ONNX) guarded(plain openFile) openFile {
	open := func(f runtime.File, o runtime.Options) (runtime.Session, error) {
		o.Foreign = x.foreign()
		return plain(f, o)
	}
	if len(x.File.Graph.Nodes) > fewNodes {
		open = openedInTime(open)
	}
	if !x.mayGoOn() {
		return open // its rounds are known, and few
	}
	return func(f runtime.File, o runtime.Options) (runtime.Session, error) {
		s, err := open(f, o)
		if err != nil {
			return nil, err
		}
		return &patient{Session: s}, nil
	}
}

// foreign reports whether another tool wrote the file.
func (x *ONNX) foreign() bool { return x.File.Metadata[model.MetaConfig] == "" }

// mayGoOn reports whether a run may take long for its loops: data decide their rounds, or
// they make more than attnx reads.
func (x *ONNX) mayGoOn() bool {
	_, err := x.reading()
	return err != nil && read.HasLoop(x.File)
}

// openedInTime returns open with a limit of time. What cannot be stopped goes on in the
// background, until the program ends.
func openedInTime(open openFile) openFile {
	type result struct {
		s   runtime.Session
		err error
	}
	return func(f runtime.File, o runtime.Options) (runtime.Session, error) {
		done := make(chan result, 1)
		go func() {
			s, err := open(f, o)
			done <- result{s, err}
		}()
		late := time.NewTimer(patience)
		defer late.Stop()
		select {
		case r := <-done:
			return r.s, r.err
		case <-late.C:
			return nil, &TimeError{patience, "the file was not open, which has many nodes: take another runtime, such as the oracle"}
		}
	}
}

// TimeError reports what was given up.
type TimeError struct {
	After time.Duration
	Why   string // and the remedy
}

func (e *TimeError) Error() string { return fmt.Sprintf("after %s %s", e.After, e.Why) }

// goesOn is why a run was given up.
const goesOn = "the run goes on, and data may decide how many rounds its loops make: give them a count that bounds these"

// patient is a session whose runs are given up after patience. A runtime that cannot be
// stopped goes on in the background, with the session, until the program ends.
type patient struct {
	runtime.Session
	lost bool
}

func (p *patient) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	type result struct {
		out map[string]format.Tensor
		err error
	}
	if p.lost {
		return nil, &TimeError{patience, goesOn}
	}
	done := make(chan result, 1)
	go func() {
		out, err := p.Session.Run(inputs)
		done <- result{out, err}
	}()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case r := <-done:
		return r.out, r.err
	case <-late.C:
	}
	if s, can := p.Session.(runtime.Stopper); can {
		s.Stop()
		<-done
	} else {
		p.lost = true
	}
	return nil, &TimeError{patience, goesOn}
}

// Close frees the session, unless its run goes on.
func (p *patient) Close() error {
	if p.lost {
		return nil
	}
	return p.Session.Close()
}

// Place returns where the session runs.
func (p *patient) Place() runtime.Place {
	if s, says := p.Session.(runtime.Placed); says {
		return s.Place()
	}
	return runtime.Place{}
}
