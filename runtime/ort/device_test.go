//go:build cgo

package ort

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/declared"
)

// onDevice opens a model with the library of this machine.
func onDevice(t testing.TB, m testModel, o Options) *Device {
	t.Helper()
	needLibrary(t)
	d, err := OpenDeviceBytes(m.bytes(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// ok stops the test at the first error.
func ok(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func alloc(t testing.TB, d *Device, n int) runtime.Memory {
	t.Helper()
	m, err := d.Alloc(n)
	ok(t, err)
	if m.Size() != n {
		t.Fatalf("%d bytes were asked for, %d given", n, m.Size())
	}
	return m
}

// get reads n float32s of m through the device.
func get(t testing.TB, d *Device, m runtime.Memory, n int) []float32 {
	t.Helper()
	b := make([]byte, 4*n)
	ok(t, d.Read(m, 0, b))
	v := make([]float32, n)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v
}

func put(t testing.TB, d *Device, m runtime.Memory, v ...float32) {
	t.Helper()
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	ok(t, d.Write(m, 0, b))
}

// cacheModel is a decoder's cache and nothing else: present (1,P+T,2) is past
// (1,P,2) with x (1,T,2) behind it.
func cacheModel() testModel {
	return testModel{
		nodes: []testNode{{op: "Concat", in: []string{"past", "x"}, out: []string{"present"}, ints: map[string]int64{"axis": 1}}},
		inputs: []testValue{
			{"x", protoFloat, []string{"1", "T", "2"}},
			{"past", protoFloat, []string{"1", "P", "2"}},
		},
		outputs:  []testValue{{"present", protoFloat, []string{"1", "P + T", "2"}}},
		metadata: [][2]string{{"fingerprint", "abc"}, {"empty", ""}},
	}
}

func identity(elem uint64) testModel {
	return testModel{
		nodes:   []testNode{{op: "Identity", in: []string{"x"}, out: []string{"y"}}},
		inputs:  []testValue{{"x", elem, []string{"N"}}},
		outputs: []testValue{{"y", elem, []string{"N"}}},
	}
}

// grow feeds present back as past, step by step in two memories, beginning
// with a past of no rows, and compares what it has in the end.
func grow(t *testing.T, d *Device, steps int) {
	t.Helper()
	x, cache := alloc(t, d, 8), [2]runtime.Memory{alloc(t, d, 8*steps), alloc(t, d, 8*steps)}
	var want []float32
	for i := range steps {
		put(t, d, x, float32(i), float32(-i))
		want = append(want, float32(i), float32(-i))
		past, present := cache[i%2], cache[(i+1)%2]
		ok(t,
			d.BindInput(0, x, 0, []int{1, 1, 2}),
			d.BindInput(1, past, 0, []int{1, i, 2}),
			d.BindOutput(0, present, 0, []int{1, i + 1, 2}),
			d.Run(0))
		if got := get(t, d, present, len(want)); !slices.Equal(got, want) {
			t.Fatalf("after %d steps: %v, want %v", i+1, got, want)
		}
	}
}

func TestDeviceGrows(t *testing.T) {
	a, b := onDevice(t, cacheModel(), Options{}), onDevice(t, cacheModel(), Options{Threads: 1, Optimization: OptimizeNone})
	grow(t, a, 20)
	grow(t, b, 3)
	grow(t, a, 5) // in new memory
}

// TestDeviceAgrees compares bytes with a Session's on the same model, with
// more work than one thread does at a time.
func TestDeviceAgrees(t *testing.T) {
	s, d := session(t, benchModel(), Options{}), onDevice(t, benchModel(), Options{})
	for _, rows := range []int{1, 64, 3} {
		x := make([]float32, rows*benchWidth)
		for i := range x {
			x[i] = float32(i%11) - 5
		}
		in, size := format.FromFloat32s("x", []int{rows, benchWidth}, x), 4*rows*benchWidth
		want, err := s.Run(tensors{"x": in})
		ok(t, err)
		to, from := alloc(t, d, size), alloc(t, d, size)
		ok(t, d.Write(from, 0, in.Data), d.BindInput(0, from, 0, in.Shape), d.BindOutput(0, to, 0, in.Shape), d.Run(0))
		if !slices.Equal(to.Bytes(), want["y"].Data) {
			t.Errorf("%d rows: a device and a session differ", rows)
		}
	}
}

func TestDeviceDescribes(t *testing.T) {
	d := onDevice(t, cacheModel(), Options{})
	if got, want := declared.List(d.Inputs())+" "+declared.List(d.Outputs()), "x F32[1,T,2], past F32[1,P,2] present F32[1,P + T,2]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for key, want := range map[string]string{"fingerprint": "abc", "empty": ""} {
		if v, ok := d.Metadata(key); v != want || !ok {
			t.Errorf("%s is %q, %v", key, v, ok)
		}
	}
	if _, ok := d.Metadata("absent"); ok {
		t.Error("a key that is not there was found")
	}
	if d.Device() != "cpu" || d.NoCUDA() != nil || !strings.HasPrefix(d.Version(), "1.") {
		t.Errorf("device %q, CUDA %v, version %q", d.Device(), d.NoCUDA(), d.Version())
	}
	all, err := d.Assignments()
	ok(t, err)
	if want := []Assignment{{Node: "the_Concat", Op: "Concat", Provider: "CPUExecutionProvider"}}; !slices.Equal(all, want) {
		t.Errorf("assigned are %+v, want %+v", all, want)
	}
	all, err = onDevice(t, benchModel(), Options{Optimization: OptimizeNone}).Assignments()
	ok(t, err)
	if n := len(all); n != benchLayers || all[n-1] != (Assignment{Node: "the_MatMul7", Op: "MatMul", Provider: "CPUExecutionProvider"}) {
		t.Errorf("assigned are %+v", all)
	}
}

func TestDeviceTypes(t *testing.T) { sendTypes(t, Options{}) }

// sendTypes sends the bytes of every type through, at an offset, and converts
// halves whose bits IEEE 754 and the definition of bfloat16 give.
func sendTypes(t *testing.T, o Options) {
	t.Helper()
	for number, dtype := range declared.ElementTypes {
		if dtype == format.Invalid {
			continue
		}
		d := onDevice(t, identity(uint64(number)), o)
		size := dtype.Size()
		in, out := alloc(t, d, 8*size), alloc(t, d, 8*size)
		data, got := make([]byte, 8*size), make([]byte, 8*size)
		for i := range data {
			data[i] = byte(i % 2)
		}
		ok(t, d.Write(in, 0, data), d.BindInput(0, in, 2*size, []int{6}), d.BindOutput(0, out, size, []int{6}), d.Run(0), d.Read(out, 0, got))
		want := make([]byte, 8*size) // zero before and behind
		copy(want[size:], data[2*size:])
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v became %v", dtype, data, got)
		}
	}

	values := []float32{1, -2, 0.5, 65280}
	for _, c := range []struct {
		elem uint64
		bits []uint16
	}{
		{protoHalf, []uint16{0x3c00, 0xc000, 0x3800, 0x7bf8}},
		{protoBFloat16, []uint16{0x3f80, 0xc000, 0x3f00, 0x477f}},
	} {
		cast := func(from, to uint64) *Device {
			m := identity(from)
			m.nodes = []testNode{{op: "Cast", in: []string{"x"}, out: []string{"y"}, ints: map[string]int64{"to": int64(to)}}}
			m.outputs[0].elem = to
			return onDevice(t, m, o)
		}
		var bits []byte
		for _, b := range c.bits {
			bits = binary.LittleEndian.AppendUint16(bits, b)
		}
		up, down := cast(c.elem, protoFloat), cast(protoFloat, c.elem)
		half, single := alloc(t, up, 8), alloc(t, up, 16)
		ok(t, up.Write(half, 0, bits), up.BindInput(0, half, 0, []int{4}), up.BindOutput(0, single, 0, []int{4}), up.Run(0))
		if got := get(t, up, single, 4); !slices.Equal(got, values) {
			t.Errorf("element type %d: %x are %v, want %v", c.elem, c.bits, got, values)
		}
		half, single = alloc(t, down, 8), alloc(t, down, 16)
		put(t, down, single, values...)
		got := make([]byte, 8)
		ok(t, down.BindInput(0, single, 0, []int{4}), down.BindOutput(0, half, 0, []int{4}), down.Run(0), down.Read(half, 0, got))
		if !slices.Equal(got, bits) {
			t.Errorf("element type %d: %v are % x, want % x", c.elem, values, got, bits)
		}
	}
}

func TestDeviceMemory(t *testing.T) {
	d := onDevice(t, identity(protoFloat), Options{})
	for _, n := range []int{0, 1, 63, 64, 65, 1 << 20} {
		m := alloc(t, d, n).(*memory)
		if uintptr(m.base)%alignment != 0 || len(m.Bytes()) != n || slices.ContainsFunc(m.Bytes(), func(b byte) bool { return b != 0 }) {
			t.Errorf("%d bytes lie at %p, %d of them", n, m.base, len(m.Bytes()))
		}
		for i := range m.Bytes() {
			m.Bytes()[i] = 0xff
		}
	}
	var failed *DeviceError
	if _, err := d.Alloc(1 << 61); !errors.As(err, &failed) || failed.Failure != OutOfMemory {
		t.Errorf("2 exabytes: %v", err)
	}
	m := alloc(t, d, 8)
	ok(t, d.Write(m, 3, []byte{7, 8}), d.Write(m, 8, nil), d.Read(m, 8, nil))
	got := make([]byte, 3)
	ok(t, d.Read(m, 2, got))
	if !slices.Equal(got, []byte{0, 7, 8}) {
		t.Errorf("read %v", got)
	}
}

// TestDeviceRefuses uses a device in every wrong way: each is an error that
// says where, and the device works afterwards.
func TestDeviceRefuses(t *testing.T) {
	d, other := onDevice(t, cacheModel(), Options{}), onDevice(t, cacheModel(), Options{})
	m, foreign := alloc(t, d, 64), alloc(t, other, 64)
	one := []int{1, 1, 2}
	wrong := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.HasPrefix(err.Error(), "model: ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	wrong(d.Run(0), `input "x" is not bound`)
	wrong(d.BindInput(2, m, 0, one), "there is no input 2; the model takes x F32[1,T,2]")
	wrong(d.BindInput(-1, m, 0, one), "there is no input -1")
	wrong(d.BindOutput(1, m, 0, one), "there is no output 1")
	wrong(d.BindInput(0, foreign, 0, one), "the memory is not from this device's Alloc")
	wrong(d.BindInput(0, nil, 0, one), "the memory is not from this device's Alloc")
	wrong(d.BindInput(0, m, 0, []int{1, 2}), `input "x" has shape [1 2], the model declares x F32[1,T,2]`)
	wrong(d.BindInput(0, m, 0, []int{2, 1, 2}), `has shape [2 1 2]`)
	wrong(d.BindInput(0, m, 0, []int{1, -1, 2}), `a tensor of shape [1 -1 2] is not possible`)
	wrong(d.BindInput(0, m, 0, []int{1, math.MaxInt / 2, 2}), `is not possible`)
	wrong(d.BindInput(0, m, 0, []int{1, 9, 2}), "72 bytes from byte 0 on in a memory of 64 bytes")
	wrong(d.BindInput(0, m, 60, one), "8 bytes from byte 60 on")
	wrong(d.BindInput(0, m, 2, one), "8 bytes from byte 2 on")
	wrong(d.BindInput(0, m, -8, one), "from byte -8 on")
	wrong(d.BindInput(0, m, math.MaxInt, one), "in a memory of 64 bytes")
	wrong(d.Write(m, 60, make([]byte, 5)), "5 bytes from byte 60 on")
	wrong(d.Read(m, -1, make([]byte, 5)), "from byte -1 on")
	wrong(d.Write(foreign, 0, []byte{1}), "the memory is not from this device's Alloc")
	wrong(d.Run(-1), "replay -1")
	if _, err := d.Alloc(-1); err == nil {
		t.Error("-1 bytes were given")
	}

	ok(t, d.BindInput(0, m, 0, one), d.BindInput(1, m, 8, []int{1, 0, 2}))
	wrong(d.Run(0), `output "present" is not bound`)
	// Shapes that the graph does not make: ONNX Runtime finds them out.
	ok(t, d.BindOutput(0, m, 16, []int{1, 3, 2}))
	wrong(d.Run(0), "model: onnxruntime: ")
	ok(t, d.BindOutput(0, m, 16, []int{1, 0, 2}))
	wrong(d.Run(0), "model: onnxruntime: ")
	ok(t, d.BindOutput(0, m, 16, one), d.Run(0))
	grow(t, d, 2)

	ok(t, d.Close(), d.Close())
	if m.Bytes() != nil {
		t.Error("memory after Close")
	}
	const closed = "the device is closed"
	wrong(d.Run(0), closed)
	wrong(d.BindInput(0, m, 0, one), closed)
	wrong(d.BindOutput(0, m, 0, one), closed)
	wrong(d.Write(m, 0, []byte{1}), closed)
	wrong(d.Read(m, 0, []byte{1}), closed)
	_, err := d.Alloc(1)
	wrong(err, closed)
	_, err = d.Assignments()
	wrong(err, closed)
	if _, ok := d.Metadata("fingerprint"); ok {
		t.Error("metadata after Close")
	}
	wrong(other.BindInput(0, m, 0, one), "the memory is not from this device's Alloc")
	grow(t, other, 2)
}

// TestOpenDevice opens a file, and has the profile written.
func TestOpenDevice(t *testing.T) {
	needLibrary(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "é.onnx")
	ok(t, os.WriteFile(path, cacheModel().bytes(), 0o644))
	d, err := OpenDevice(path, Options{Profile: filepath.Join(dir, "profile")})
	ok(t, err)
	grow(t, d, 2)
	ok(t, d.Close())
	if files, err := filepath.Glob(filepath.Join(dir, "profile*.json")); len(files) != 1 || err != nil {
		t.Errorf("profiles: %v, %v", files, err)
	}
}

func TestOpenDeviceRefuses(t *testing.T) {
	needLibrary(t)
	unknown := identity(protoFloat)
	unknown.nodes[0].op = "Nonesuch"
	for _, c := range []struct {
		model []byte
		o     Options
		want  string
	}{
		{[]byte("hello, this is a text"), Options{}, "not a valid ONNX model"},
		{unknown.bytes(), Options{}, "onnxruntime: "},
		{cacheModel().bytes(), Options{Device: "tpu"}, `device "tpu"`},
		{cacheModel().bytes(), Options{CUDA: CUDAOptions{DeviceID: -1}}, "CUDA: the device -1"},
		{cacheModel().bytes(), Options{Profile: "a\x00b"}, "zero byte"},
	} {
		if d, err := OpenDeviceBytes(c.model, c.o); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, %v, want %s", d, err, c.want)
		}
	}
	if _, err := OpenDevice(t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := OpenBytes(cacheModel().bytes(), Options{CUDA: CUDAOptions{Graphs: true}}); err == nil || !strings.Contains(err.Error(), "OpenDevice") {
		t.Errorf("a session with graphs: %v", err)
	}
}

// TestReplays makes the CPU believe that it records, which it takes without a
// word: the rules for names of runs and the thread they are made on are ours.
func TestReplays(t *testing.T) {
	d := onDevice(t, identity(protoFloat), Options{})
	d.c.graphs, d.replays, d.thread = 1, map[int]uint64{}, newThread(d.run)
	x, y := alloc(t, d, 16), alloc(t, d, 16)
	step := func(offset, n, replay int) error {
		put(t, d, x, 1, 2, 3, 4)
		ok(t, d.BindInput(0, x, offset, []int{n}), d.BindOutput(0, y, 0, []int{n}))
		return d.Run(replay)
	}
	ok(t, step(0, 2, 7), step(0, 3, 8), step(0, 4, 0), step(0, 2, 7))
	if got := get(t, d, y, 2); !slices.Equal(got, []float32{1, 2}) {
		t.Errorf("got %v", got)
	}
	for _, err := range []error{step(0, 3, 7), step(4, 2, 7)} {
		if err == nil || !strings.Contains(err.Error(), "replay 7: the memory or the shapes differ from its first run") {
			t.Errorf("another shape, another address: %v", err)
		}
	}
	ok(t, step(4, 2, 9))
	var err error
	if n := testing.AllocsPerRun(50, func() { err = errors.Join(err, d.Run(9)) }); n != 0 || err != nil {
		t.Errorf("%v allocations a run, %v", n, err)
	}
}

func TestDeviceAllocates(t *testing.T) { stepWithoutAllocation(t, Options{Threads: 1}) }

// stepWithoutAllocation binds everything anew for each run.
func stepWithoutAllocation(t *testing.T, o Options) {
	t.Helper()
	const steps = 40
	d := onDevice(t, cacheModel(), o)
	x, cache := alloc(t, d, 8), [2]runtime.Memory{alloc(t, d, 8*steps), alloc(t, d, 8*steps)}
	one, shape, longer := []int{1, 1, 2}, []int{1, 0, 2}, []int{1, 0, 2}
	var err error
	n := testing.AllocsPerRun(steps-2, func() {
		i := shape[1]
		longer[1] = i + 1
		for _, e := range [...]error{
			d.BindInput(0, x, 0, one), d.BindInput(1, cache[i%2], 0, shape),
			d.BindOutput(0, cache[(i+1)%2], 0, longer), d.Run(0),
		} {
			if e != nil {
				err = e
			}
		}
		shape[1]++
	})
	ok(t, err)
	if n != 0 {
		t.Errorf("%v allocations a step", n)
	}
}

func TestDevicesAtOnce(t *testing.T) {
	needLibrary(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 3 {
				d, err := OpenDeviceBytes(identity(protoFloat).bytes(), Options{Threads: 1})
				if err != nil {
					t.Error(err)
					return
				}
				m, err := d.Alloc(64)
				err = errors.Join(err, d.BindInput(0, m, 0, []int{4}), d.BindOutput(0, m, 32, []int{4}))
				for range 20 {
					err = errors.Join(err, d.Run(0))
				}
				if err := errors.Join(err, d.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkDevice is what a step costs beside the work: one input and one
// output bound to other places, and a run of one Identity of four numbers.
func BenchmarkDevice(b *testing.B) {
	d := onDevice(b, identity(protoFloat), Options{Threads: 1})
	m := alloc(b, d, 256)
	shape := []int{4}
	b.ReportAllocs()
	for i := 0; b.Loop(); i ^= 1 {
		if d.BindInput(0, m, 64*i, shape) != nil || d.BindOutput(0, m, 128+64*i, shape) != nil || d.Run(0) != nil {
			b.Fatal("a step failed")
		}
	}
}
