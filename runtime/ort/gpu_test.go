//go:build cuda && cgo

package ort

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"os/signal"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/attnx/attnx/internal/signals"
	"github.com/attnx/attnx/runtime"
)

// These tests want a GPU and an ONNX Runtime that has CUDA's provider:
//
//	ATTNX_ORT_LIB=.../onnxruntime/capi go test -tags cuda ./runtime/ort -run 'GPU|CUDA'
//
// A test binary (go test -c -tags cuda) needs nothing else.

var onGPU = Options{Device: "cuda"}

// allOnCUDA checks that every node of d runs on the GPU.
func allOnCUDA(t *testing.T, d *Device, nodes int) {
	t.Helper()
	all, err := d.Assignments()
	ok(t, err)
	for _, a := range all {
		if a.Provider != "CUDAExecutionProvider" {
			t.Errorf("%+v is not on CUDA", a)
		}
	}
	if len(all) != nodes || d.Device() != "cuda" {
		t.Errorf("%d nodes on %s, want %d", len(all), d.Device(), nodes)
	}
}

// TestGPUGrows feeds present back as past on the GPU: nothing but the test's
// own reading comes down.
func TestGPUGrows(t *testing.T) {
	d := onDevice(t, cacheModel(), onGPU)
	allOnCUDA(t, d, 1)
	grow(t, d, 20)
	other := onDevice(t, cacheModel(), Options{Device: "auto"})
	if other.Device() != "cuda" || other.NoCUDA() != nil {
		t.Errorf("auto took %s: %v", other.Device(), other.NoCUDA())
	}
	grow(t, other, 3)
	grow(t, d, 5)
}

func TestGPUTypes(t *testing.T) { sendTypes(t, onGPU) }

func TestGPUAllocates(t *testing.T) { stepWithoutAllocation(t, onGPU) }

// TestGPUMemory is about memory that no run touches, and its limits.
func TestGPUMemory(t *testing.T) {
	d := onDevice(t, identity(protoFloat), Options{Device: "cuda", CUDA: CUDAOptions{MemoryLimit: 64 << 20, ExactArena: true}})
	const n = 1<<20 + 3
	kept, again := alloc(t, d, n), make([]byte, n)
	if kept.Bytes() != nil {
		t.Error("the processor can read the GPU's memory")
	}
	ok(t, d.Read(kept, 0, again))
	if slices.ContainsFunc(again, func(b byte) bool { return b != 0 }) {
		t.Error("new memory is not zero")
	}
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i * 7)
	}
	ok(t, d.Write(kept, 0, data), d.Write(kept, 5, []byte{1, 2, 3}))
	copy(data[5:], []byte{1, 2, 3})

	in, out := alloc(t, d, 16), alloc(t, d, 16)
	put(t, d, in, 1, 2, 3, 4)
	ok(t, d.BindInput(0, in, 0, []int{4}), d.BindOutput(0, out, 0, []int{4}), d.Run(0), d.Run(0))
	ok(t, d.Read(kept, 0, again))
	if !slices.Equal(again, data) || !slices.Equal(get(t, d, out, 4), []float32{1, 2, 3, 4}) {
		t.Error("memory did not keep its contents over two runs")
	}
	empty := alloc(t, d, 0)
	ok(t, d.BindInput(0, empty, 0, []int{0}), d.BindOutput(0, empty, 0, []int{0}), d.Run(0))

	var failed *DeviceError
	if _, err := d.Alloc(256 << 20); !errors.As(err, &failed) || failed.Failure != OutOfMemory {
		t.Errorf("256 MiB of 64: %v", err)
	}
	alloc(t, d, 1<<20) // and yet there is some left
}

// products runs the model of eight products on d and returns y.
func products(t *testing.T, d *Device, rows, replay int) []float32 {
	t.Helper()
	x := make([]float32, rows*benchWidth)
	for i := range x {
		x[i] = float32(i%11) - 5
	}
	from, to := alloc(t, d, 4*len(x)), alloc(t, d, 4*len(x))
	put(t, d, from, x...)
	shape := []int{rows, benchWidth}
	ok(t, d.BindInput(0, from, 0, shape), d.BindOutput(0, to, 0, shape), d.Run(replay))
	return get(t, d, to, len(x))
}

// distance is the largest difference of got from the products in float64, as
// a share of the largest of these.
func distance(got []float32, rows int) float64 {
	y := make([]float64, rows*benchWidth)
	for i := range y {
		y[i] = float64(i%11) - 5
	}
	w := benchModel().weights[0].vals
	for range benchLayers {
		next := make([]float64, len(y))
		for r := range rows {
			for k := range benchWidth {
				x := y[r*benchWidth+k]
				for c := range benchWidth {
					next[r*benchWidth+c] += x * float64(w[k*benchWidth+c])
				}
			}
		}
		y = next
	}
	var worst, largest float64
	for i, v := range y {
		worst, largest = max(worst, math.Abs(v-float64(got[i]))), max(largest, math.Abs(v))
	}
	return worst / largest
}

// TestGPUTF32 recognizes TF32 by its error. NumPy gives 4e-6 for these
// products in float32 and 6e-4 with factors rounded to 10 bits of mantissa.
func TestGPUTF32(t *testing.T) {
	const rows = 64
	off := onDevice(t, benchModel(), onGPU)
	allOnCUDA(t, off, benchLayers)
	on := onDevice(t, benchModel(), Options{Device: "cuda", CUDA: CUDAOptions{TF32: true}})
	single, rounded := distance(products(t, off, rows, 0), rows), distance(products(t, on, rows, 0), rows)
	t.Logf("error without TF32 %.1e, with it %.1e", single, rounded)
	if single > 2e-5 || rounded < 1e-4 {
		t.Errorf("error without TF32 %.1e, with it %.1e", single, rounded)
	}
}

// TestGPUGraphs records two runs of different shapes and repeats them with
// other contents, from whatever thread.
func TestGPUGraphs(t *testing.T) {
	plain := onDevice(t, benchModel(), onGPU)
	d := onDevice(t, benchModel(), Options{Device: "cuda", CUDA: CUDAOptions{Graphs: true}})
	allOnCUDA(t, d, benchLayers)
	type place struct {
		rows, replay int
		shape        []int
		in, out      runtime.Memory // of d
		in2, out2    runtime.Memory // of plain
	}
	places := []*place{{rows: 8, replay: 1}, {rows: 3, replay: 2}, {rows: 5, replay: 0}}
	for _, p := range places {
		n := 4 * p.rows * benchWidth
		p.in, p.out, p.in2, p.out2 = alloc(t, d, n), alloc(t, d, n), alloc(t, plain, n), alloc(t, plain, n)
		p.shape = []int{p.rows, benchWidth}
	}
	for step := range 24 {
		p := places[[]int{0, 0, 1, 0, 2, 1}[step%6]]
		x := make([]float32, p.rows*benchWidth)
		for i := range x {
			x[i] = float32((i+step)%11) - 5
		}
		put(t, d, p.in, x...)
		put(t, plain, p.in2, x...)
		ok(t, d.BindInput(0, p.in, 0, p.shape), d.BindOutput(0, p.out, 0, p.shape),
			plain.BindInput(0, p.in2, 0, p.shape), plain.BindOutput(0, p.out2, 0, p.shape), plain.Run(0))
		done := make(chan error)
		go func() {
			goruntime.LockOSThread() // and never unlocked: the thread ends with it
			done <- d.Run(p.replay)
		}()
		ok(t, <-done)
		got, want := get(t, d, p.out, len(x)), get(t, plain, p.out2, len(x))
		var worst, largest float64
		for i := range want {
			worst, largest = max(worst, math.Abs(float64(got[i]-want[i]))), max(largest, math.Abs(float64(want[i])))
		}
		// The same kernels in float32, perhaps in another order of summing.
		if worst > 2e-5*largest {
			t.Errorf("step %d, replay %d: off by %g of %g", step, p.replay, worst, largest)
		}
	}

	// A recording is there: a run by its name does the same work in less time,
	// and a run with other memory is refused.
	p := places[0]
	timed := func(d *Device, in, out runtime.Memory, replay int) time.Duration {
		ok(t, d.BindInput(0, in, 0, p.shape), d.BindOutput(0, out, 0, p.shape))
		start := time.Now()
		for range 500 {
			ok(t, d.Run(replay))
		}
		return time.Since(start) / 500
	}
	t.Logf("a run of %d products: %v; as a graph: %v", benchLayers, timed(plain, p.in2, p.out2, 0), timed(d, p.in, p.out, 1))
	ok(t, d.BindInput(0, alloc(t, d, p.in.Size()), 0, p.shape))
	if err := d.Run(1); err == nil || !strings.Contains(err.Error(), "replay 1") {
		t.Errorf("other memory in a recorded run: %v", err)
	}
	if n := testing.AllocsPerRun(20, func() { _ = d.Run(0) }); n != 0 {
		t.Errorf("%v allocations a run", n)
	}
}

// TestGPUHostInput changes an input that Slice reads on the host: its bytes
// are read when Run is called, as for every other.
func TestGPUHostInput(t *testing.T) {
	m := testModel{
		nodes: []testNode{{op: "Slice", in: []string{"x", "from", "to"}, out: []string{"y"}}},
		inputs: []testValue{{"x", protoFloat, []string{"N"}},
			{"from", protoInt64, []string{"1"}}, {"to", protoInt64, []string{"1"}}},
		outputs: []testValue{{"y", protoFloat, []string{"K"}}},
	}
	d := onDevice(t, m, onGPU)
	x, y, from, to := alloc(t, d, 16), alloc(t, d, 4), alloc(t, d, 8), alloc(t, d, 8)
	put(t, d, x, 10, 11, 12, 13)
	ok(t, d.BindInput(0, x, 0, []int{4}), d.BindInput(1, from, 0, []int{1}), d.BindInput(2, to, 0, []int{1}), d.BindOutput(0, y, 0, []int{1}))
	for i := range byte(4) {
		ok(t, d.Write(from, 0, []byte{i}), d.Write(to, 0, []byte{i + 1}), d.Run(0))
		if got := get(t, d, y, 1); got[0] != 10+float32(i) {
			t.Errorf("element %d is %v", i, got)
		}
	}
	var missing *CUDAError
	_, err := OpenDeviceBytes(m.bytes(), Options{Device: "cuda", CUDA: CUDAOptions{Graphs: true}})
	if !errors.As(err, &missing) || missing.Missing != MissingKernel {
		t.Errorf("a graph that cannot see its input: %v", err)
	}
}

func TestGPUErrors(t *testing.T) {
	unique := identity(protoFloat) // has a kernel on the CPU alone
	unique.nodes[0].op, unique.outputs[0].dims = "Unique", []string{"K"}
	for _, c := range []struct {
		m       testModel
		o       CUDAOptions
		missing Missing
	}{
		{identity(protoFloat), CUDAOptions{DeviceID: 99}, MissingDevice},
		{unique, CUDAOptions{}, MissingKernel},
		{unique, CUDAOptions{Graphs: true}, MissingKernel},
	} {
		_, err := OpenDeviceBytes(c.m.bytes(), Options{Device: "cuda", CUDA: c.o})
		var typed *CUDAError
		if !errors.As(err, &typed) || typed.Missing != c.missing || !errors.Is(err, runtime.ErrUnavailable) {
			t.Errorf("%s with %+v: %v, want %s", c.m.nodes[0].op, c.o, err, c.missing)
		} else {
			t.Log(err)
		}
	}
}

// inChild runs the test alone in a process of its own and reports whether
// this is that process.
func inChild(t *testing.T) bool {
	t.Helper()
	const child = "ATTNX_TEST_GPU_CHILD"
	if os.Getenv(child) == t.Name() {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), child+"="+t.Name())
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v", err)
	}
	return false
}

// TestGPUFault has a kernel read where nothing is. CUDA does no more work in
// that process, so it is another one, and nothing is closed in it.
func TestGPUFault(t *testing.T) {
	if !inChild(t) {
		return
	}
	d, err := OpenDeviceBytes(addModel(protoFloat, "N").bytes(), onGPU)
	ok(t, err)
	m := alloc(t, d, 64)
	ok(t, d.BindInput(0, m, 0, []int{4}), d.BindInput(1, m, 16, []int{4}), d.BindOutput(0, m, 32, []int{4}))
	d.slots[0].data = unsafe.Add(m.(*memory).base, 1<<44)
	var failed *DeviceError
	if err := d.Run(0); !errors.As(err, &failed) || failed.Failure != KernelFault {
		t.Errorf("a wild pointer: %v", err)
	} else {
		t.Log(err)
	}
	if err := d.Read(m, 0, make([]byte, 4)); !errors.As(err, &failed) {
		t.Errorf("a copy after the fault: %v", err)
	}
	if err := d.Close(); err != nil { // nothing of it can be freed any more, and it must not hang
		t.Errorf("closing after the fault: %v", err)
	}
}

// TestGPUSignals has Ctrl-C arrive after the provider was loaded for the first
// time in a process, and says how many handlers it took.
func TestGPUSignals(t *testing.T) {
	if !inChild(t) {
		return
	}
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, os.Interrupt)
	needLibrary(t)
	if _, err := loadTable("", "cuda"); err != nil {
		t.Fatal(err)
	}
	model := identity(protoFloat).bytes()
	takes, err := readDeclared(model)
	ok(t, err)
	taken, err := signals.Keep(func() error {
		d, err := newDevice("cuda", nameless, takes, onGPU, "", model)
		if err == nil {
			err = d.Close()
		}
		return err
	})
	ok(t, err)
	t.Logf("loading CUDA changed %d signals", taken)
	d := onDevice(t, identity(protoFloat), onGPU)
	m := alloc(t, d, 32)
	ok(t, d.BindInput(0, m, 0, []int{4}), d.BindOutput(0, m, 16, []int{4}), d.Run(0))
	self, err := os.FindProcess(os.Getpid())
	ok(t, err)
	if err := self.Signal(os.Interrupt); err != nil {
		t.Skip(err) // Windows
	}
	<-arrived // a Ctrl-C that is lost ends with the tests' own time
}

// BenchmarkGPU is what a step costs beside the work, as BenchmarkDevice is on
// the CPU: a run bound anew, and one repeated as a graph.
func BenchmarkGPU(b *testing.B) {
	shape := []int{4}
	b.Run("bound", func(b *testing.B) {
		d := onDevice(b, identity(protoFloat), onGPU)
		m := alloc(b, d, 256)
		b.ReportAllocs()
		for i := 0; b.Loop(); i ^= 1 {
			if d.BindInput(0, m, 64*i, shape) != nil || d.BindOutput(0, m, 128+64*i, shape) != nil || d.Run(0) != nil {
				b.Fatal("a step failed")
			}
		}
	})
	b.Run("graph", func(b *testing.B) {
		d := onDevice(b, identity(protoFloat), Options{Device: "cuda", CUDA: CUDAOptions{Graphs: true}})
		m := alloc(b, d, 256)
		ok(b, d.BindInput(0, m, 0, shape), d.BindOutput(0, m, 128, shape))
		b.ReportAllocs()
		for b.Loop() {
			if err := d.Run(1); err != nil {
				b.Fatal(err)
			}
		}
	})
}
