package attnx

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/placement"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/train/gorgonia"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/onnxgo"
	"github.com/attnx/attnx/runtime/openvino"
	"github.com/attnx/attnx/runtime/ort"
	"github.com/attnx/attnx/runtime/ref"
)

// row is one entry in the list of runtimes.
type row struct {
	runtime.Runtime
	takes []export.Profile // profiles of the files that it opens, with any options
	// openAny opens files of any tool, as far as the runtime takes them; nil: if it takes
	// the profile plain, Open does.
	openAny func(runtime.File, runtime.Options) (runtime.Session, error)
	network func(*model.Checkpoint) (runtime.Session, error) // runs the network itself, without a file
	byPath  bool                                             // Options.Library is the path of its library
	grows   bool                                             // its attention returns a longer cache: it runs no file with a cache in one buffer
	level   string                                           // one of OnRequest: it runs at this level only
}

// runtimes is the list of runtimes, in the order of a report. A new runtime is a
// new line here: Verify, Open, Diagnose and the command line read this list.
//
// ref is the oracle on the network decomposed to primitive operators, rounded to
// float32. It checks the decompositions, and its error is the minimum for any
// float32 runtime.
var runtimes = []row{
	{Runtime: runtime.Runtime{Name: "ref"}, network: roundedOracle},
	{Runtime: runtime.Runtime{Name: "gorgonia"}, network: engine},
	{Runtime: ort.Runtime, takes: []export.Profile{export.Plain{}, export.Cache{}}, byPath: true},
	{Runtime: openvino.Runtime, takes: []export.Profile{export.Plain{}, export.Cache{}}, grows: true},
	{Runtime: onnxgo.Runtime, takes: []export.Profile{export.Flat{}}, openAny: onnxgo.OpenAny},
}

// engine is the row gorgonia.
func engine(c *model.Checkpoint) (runtime.Session, error) {
	lacks, err := gorgonia.Lacks(c.Graph)
	if err != nil {
		return nil, err
	}
	if lacks != "" {
		return nil, &runtime.UnavailableError{Runtime: "gorgonia", Reason: "the training engine has no " + lacks, Remedy: "compare with another runtime"}
	}
	return gorgonia.NewForward(c.Graph, c.Weights)
}

// roundedOracle is the row ref.
func roundedOracle(c *model.Checkpoint) (runtime.Session, error) {
	g, err := graph.DecomposeAll(c.Graph)
	if err != nil {
		return nil, err
	}
	s, err := ref.New(g, c.Weights)
	return rounded{s}, err
}

// atLevels returns the row, and the row at each level that runs only if it is named.
func (r row) atLevels() []row {
	all := []row{r}
	for _, level := range r.OnRequest {
		at := r
		at.level = level
		all = append(all, at)
	}
	return all
}

// String returns the name in Options.Runtime: "openvino (default)".
func (r row) String() string { return leveled(r.Name, r.level) }

// leveled returns a name with an optimization level.
func leveled(name, level string) string {
	if level == "" {
		return name
	}
	return name + " (" + level + ")"
}

// foreign reports whether the runtime opens files of any tool.
func (r row) foreign() bool {
	return slices.ContainsFunc(r.takes, func(p export.Profile) bool { _, plain := p.(export.Plain); return plain })
}

// libraryOf returns the path of the runtime's library, given Options.Library.
func (r row) libraryOf(path string) string {
	if !r.byPath {
		return ""
	}
	return path
}

// entrant is a row with a device and a profile, as named in Verify's report.
// Entrants whose names end in -cache run the network with a past, in every way
// that a text can be computed then.
type entrant struct {
	row
	device  string
	profile export.Profile // nil: it runs the network itself
}

// entrants returns all entrants of Verify, in the order of the report.
func entrants() (all []entrant) {
	for _, r := range runtimes {
		if r.network != nil {
			all = append(all, entrant{row: r})
		}
		for _, r := range r.atLevels() {
			for _, device := range r.devices() {
				for _, p := range r.takes {
					all = append(all, entrant{r, device, p})
				}
			}
		}
	}
	return all
}

// devices returns the names of the devices, "" for a runtime without devices.
func (r row) devices() []string {
	if len(r.Devices) == 0 {
		return []string{""}
	}
	return r.Devices
}

// available returns an error if the runtime's library is missing, before a model
// is exported for it.
func (r row) available(o runtime.Options) error {
	if r.Available == nil {
		return nil
	}
	return r.Available(o)
}

// levels returns the levels that Verify runs, and the names of their rows in a
// report.
func (e entrant) levels() (levels, names []string) {
	levels = e.Levels
	if e.level != "" || len(levels) == 0 || e.elsewhere() {
		return []string{e.level}, []string{e.String()}
	}
	for _, level := range levels {
		names = append(names, leveled(e.String(), level))
	}
	return levels, names
}

// elsewhere reports whether it is not the runtime's first device.
func (e entrant) elsewhere() bool { return e.device != e.devices()[0] }

// String returns the name in a report: "ort-cpu-cache".
func (e entrant) String() string {
	name := e.Name
	if e.device != "" {
		name += "-" + e.device
	}
	if isCache(e.profile) {
		name += "-cache"
	}
	return leveled(name, e.level)
}

// isCache reports whether a profile has a past.
func isCache(p export.Profile) bool {
	_, cached := p.(export.Cache)
	return cached
}

// Runtimes returns the names of the runtimes in Verify's reports.
func Runtimes() (names []string) {
	for _, e := range entrants() {
		names = append(names, e.String())
	}
	return names
}

// Devices returns the names of the devices on which models can run.
func Devices() (names []string) {
	for _, r := range runtimes {
		for _, d := range r.Devices {
			if !slices.Contains(names, d) {
				names = append(names, d)
			}
		}
	}
	return append(names, autoDevice)
}

// autoDevice selects the fastest device that works.
const autoDevice = "auto"

// Runners returns the values of Options.Runtime.
func Runners() (names []string) {
	for _, r := range runtimes {
		if len(r.takes) == 0 {
			continue
		}
		for _, r := range r.atLevels() {
			names = append(names, r.String())
		}
	}
	return names
}

// runner returns a runtime for files of a profile: the named one, or without a
// name the first that supports the profile.
func runner(name string, p export.Profile) (row, error) {
	if name != "" && !slices.Contains(Runners(), name) {
		return row{}, &OptionError{Option: "Runtime", Reason: fmt.Sprintf(": no runtime is called %.80q: take %s", name, quote.Or(Runners()))}
	}
	var can []string
	for _, r := range runtimes {
		takes := slices.ContainsFunc(r.takes, func(t export.Profile) bool { return t.Name() == p.Name() })
		if !takes || isCache(p) && r.OpenDevice == nil {
			continue
		}
		for _, r := range r.atLevels() {
			if name == "" || r.String() == name {
				return r, nil
			}
		}
		can = append(can, r.Name)
	}
	return row{}, &Error{Err: fmt.Errorf("%s does not run the profile %s", name, p.Name()), Do: "run it in " + quote.Or(can)}
}

// file returns a file, read as m, in the form that the runtime opens.
func (r row) file(path string, m *onnx.Model) (runtime.File, error) {
	if r.grows && fixedShapes(m) {
		return runtime.File{}, &runtime.UnavailableError{Runtime: r.Name, Reason: "the file keeps its cache in one buffer, which only ONNX Runtime does", Remedy: "for this runtime, export with --profile cache and without --fuse"}
	}
	if !r.Whole || !m.HasExternal() {
		return runtime.File{Path: path}, nil
	}
	data, err := inlined(m, filepath.Dir(path))
	if err != nil {
		return runtime.File{}, fmt.Errorf("%s: %w", path, err)
	}
	return runtime.File{Data: data}, nil
}

// placed returns where a session or device of the runtime runs.
func (r row) placed(x any) runtime.Place {
	if p, says := x.(runtime.Placed); says {
		return p.Place()
	}
	return runtime.Place{Runtime: r.Name}
}

// options converts o to the runtime's options.
func (r row) options(o Options) runtime.Options {
	return runtime.Options{Library: r.libraryOf(o.Library), Device: o.Device, TF32: o.TF32, Level: r.level}
}

// Diagnose checks everything that the runtimes need. library is the path of the
// ONNX Runtime library; it may be empty.
func Diagnose(library string) (all []runtime.Finding) {
	for _, r := range runtimes {
		if r.Library != nil {
			all = append(all, r.Library.Diagnose(r.libraryOf(library))...)
		}
	}
	return all
}

// Libraries returns the libraries that runtimes load.
func Libraries() (all []*runtime.Library) {
	for _, r := range runtimes {
		if r.Library != nil {
			all = append(all, r.Library)
		}
	}
	return all
}

// withoutKernel adds to an error the node that CUDA cannot run, if a missing
// kernel is the cause and the table of kernels has the node.
func withoutKernel(name string, m *onnx.Model, err error) error {
	missing := new(ort.CUDAError)
	if !errors.As(err, &missing) || missing.Missing != ort.MissingKernel {
		return err
	}
	plan, planErr := placement.Plan(m)
	if planErr != nil {
		return err
	}
	for _, n := range plan.Nodes {
		if n.Device != placement.OnCUDA {
			return &kernelError{name, &ort.CUDAError{
				Missing: ort.MissingKernel, Detail: fmt.Sprintf("node %.80q: %s", n.Node, n.Why), Remedy: ExportForGPU,
			}}
		}
	}
	return err
}

// kernelError reports a node of a file that CUDA cannot run.
type kernelError struct {
	file string
	*ort.CUDAError
}

func (e *kernelError) Error() string  { return e.file + ": " + e.CUDAError.Error() }
func (e *kernelError) Unwrap() error  { return e.CUDAError }
func (e *kernelError) Remedy() string { return e.CUDAError.Remedy }

// OpenGraph opens a graph without weights on a device, such as a single
// operator to test the device.
func OpenGraph(g *graph.Graph, o Options) (runtime.Device, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	r, err := o.runner(export.Cache{})
	if err == nil {
		err = r.available(r.options(o))
	}
	if err != nil {
		return nil, err
	}
	data, err := export.Bytes(g, nil, export.Train{})
	if err != nil {
		return nil, err
	}
	return r.OpenDevice(runtime.File{Data: data}, r.options(o))
}
