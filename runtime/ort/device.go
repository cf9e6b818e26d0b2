//go:build cgo

package ort

// #include <stdlib.h>
// #include "device.h"
import "C"

import (
	"errors"
	"fmt"
	"math"
	goruntime "runtime"
	"slices"
	"unsafe"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/leak"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/declared"
)

var _ runtime.Device = (*Device)(nil)

// Device is one model on the CPU or on one GPU, with tensors bound to memory
// that stays there. Only one goroutine may use it at a time.
//
// Bindings are stored in C memory, so a step that binds and runs is one call
// into C and allocates nothing in Go.
//
// If a Device is dropped without Close, the garbage collector frees it, except
// memory whose Bytes were requested and may still be in use.
type Device struct {
	*running
	guard leak.Guard
}

// running is the part of a Device that its thread and its cleanup refer to.
// They must not refer to the Device, or it would never become unreachable.
type running struct {
	c       *C.attnx_device // nil once closed
	slots   []C.attnx_slot  // the inputs, then the outputs
	name    string          // of the model, for errors
	takes   declared.Signature
	version string
	device  string
	noCUDA  error

	memory  []*block
	pins    goruntime.Pinner // of weights in Go's memory
	gpu     *gpu             // nil on the CPU
	replays map[int]uint64   // hash of the bindings of the first run, by replay number
	thread  *thread          // nil if any thread will do
	shape   []int            // scratch of checkIDs, so that a run allocates nothing
}

// Inputs returns the model's inputs without weights, in the file's order.
func (d *Device) Inputs() []runtime.Value { return slices.Clone(d.takes.Inputs) }

// Outputs returns the model's outputs, in the file's order.
func (d *Device) Outputs() []runtime.Value { return slices.Clone(d.takes.Outputs) }

// Device returns where the model runs: "cpu" or "cuda".
func (d *Device) Device() string { return d.device }

// NoCUDA returns why a device opened as "auto" is the CPU. It is nil if the
// device is CUDA, or if CUDA was not requested.
func (d *Device) NoCUDA() error { return d.noCUDA }

// Version returns the version of ONNX Runtime, such as "1.30.0".
func (d *Device) Version() string { return d.version }

// Metadata returns the value of a key in the model's metadata_props; ok is
// false if the key is missing or the device is closed.
func (d *Device) Metadata(key string) (value string, ok bool) {
	if d.c == nil {
		return "", false
	}
	defer goruntime.KeepAlive(d)
	k := C.CString(key)
	defer C.free(unsafe.Pointer(k))
	var text *C.char
	if err := statusError(C.attnx_metadata(d.c, k, &text)); err != nil || text == nil {
		return "", false
	}
	defer C.attnx_release(text)
	return C.GoString(text), true
}

func (d *running) closed() error { return fmt.Errorf("%s: the device is closed", d.name) }

// BindInput makes the bytes of m from offset on the i-th input of the following
// runs, with the given shape. offset is a multiple of an element's size.
func (d *Device) BindInput(i int, m runtime.Memory, offset int, shape []int) error {
	if i < 0 || i >= len(d.takes.Inputs) {
		return fmt.Errorf("%s: there is no input %d; the model takes %s", d.name, i, declared.List(d.takes.Inputs))
	}
	return d.bind("input", &d.takes.Inputs[i], i, m, offset, shape)
}

// BindOutput makes the following runs write the i-th output into m from offset
// on. Run returns an error if the output has another shape.
func (d *Device) BindOutput(i int, m runtime.Memory, offset int, shape []int) error {
	if i < 0 || i >= len(d.takes.Outputs) {
		return fmt.Errorf("%s: there is no output %d; the model gives %s", d.name, i, declared.List(d.takes.Outputs))
	}
	return d.bind("output", &d.takes.Outputs[i], len(d.takes.Inputs)+i, m, offset, shape)
}

// bind stores a binding in its slot. The next Run creates the tensor, without
// an extra call into C.
func (d *Device) bind(kind string, v *runtime.Value, slot int, m runtime.Memory, offset int, shape []int) error {
	if d.c == nil {
		return d.closed()
	}
	own, ok := m.(*memory)
	if !ok || own == nil || own.device != d {
		return fmt.Errorf("%s: %s %.80q: the memory is not from this device's Alloc", d.name, kind, v.Name)
	}
	n, ok := format.Elements(shape)
	size := v.DType.Size()
	if !ok || len(shape) > C.ATTNX_MAX_RANK || n > math.MaxInt/size {
		return fmt.Errorf("%s: %s %.80q: a tensor of shape %v is not possible", d.name, kind, v.Name, slices.Clone(shape))
	}
	if !fits(v, shape) {
		return fmt.Errorf("%s: %s %.80q has shape %v, the model declares %s", d.name, kind, v.Name, slices.Clone(shape), v)
	}
	if bytes := n * size; offset < 0 || offset > own.size || bytes > own.size-offset || offset%size != 0 {
		return fmt.Errorf("%s: %s %.80q: %d bytes from byte %d on in a memory of %d bytes", d.name, kind, v.Name, bytes, offset, own.size)
	}
	defer goruntime.KeepAlive(d)
	s := &d.slots[slot]
	data := unsafe.Add(own.base, offset)
	same := s.data == data && int(s.rank) == len(shape)
	for i := range shape {
		same = same && s.dims[i] == C.int64_t(shape[i])
		s.dims[i] = C.int64_t(shape[i])
	}
	if same {
		return nil
	}
	s.data, s.bytes, s.rank, s.dirty = data, C.size_t(n*size), C.int(len(shape)), 1
	return nil
}

// fits reports whether shape has the rank and the fixed sizes that v declares.
func fits(v *runtime.Value, shape []int) bool {
	if !v.Ranked {
		return true
	}
	if len(shape) != len(v.Shape) {
		return false
	}
	for i, d := range v.Shape {
		if d.Name == "" && d.Size != shape[i] {
			return false
		}
	}
	return true
}

// Run computes every output from the bound inputs. An error that contains a
// *DeviceError means that the device failed. An id outside the table in which
// the model looks it up is a *format.RangeError on the CPU. A GPU would read
// memory beyond the table, and Run cannot check ids there: the caller must check
// them.
//
// With CUDAOptions.Graphs and a replay above 0, ONNX Runtime computes the first
// run with that number more than once while it records it. An output may
// therefore share an input's memory only if repeating the run changes nothing. A
// shared cache qualifies: each run writes the same keys and values to the same
// places. Run refuses a later run of that number with other memory or shapes,
// because the recording would ignore them.
func (d *Device) Run(replay int) error {
	if d.c == nil {
		return d.closed()
	}
	if replay < 0 || replay > math.MaxInt32 {
		return fmt.Errorf("%s: replay %d: a run's name is 1 to %d, or 0", d.name, replay, math.MaxInt32)
	}
	defer goruntime.KeepAlive(d)
	for i := range d.slots {
		if d.slots[i].data == nil {
			return fmt.Errorf("%s: %s is not bound", d.name, d.slotName(i))
		}
	}
	if err := d.checkIDs(); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	if d.c.graphs != 0 && replay > 0 {
		now := d.bound()
		if first, ok := d.replays[replay]; ok && first != now {
			return fmt.Errorf("%s: replay %d: the memory or the shapes differ from its first run; give it a name of its own", d.name, replay)
		}
		d.replays[replay] = now
	}
	if d.thread != nil {
		return d.thread.run(replay)
	}
	return d.run(replay)
}

// checkIDs refuses ids outside their table, if the processor can read them.
func (d *Device) checkIDs() error {
	if d.gpu != nil {
		return nil
	}
	for i, v := range d.takes.Inputs {
		limit, known := d.takes.Limits[v.Name]
		if !known {
			continue
		}
		s := &d.slots[i]
		d.shape = d.shape[:0]
		for _, n := range s.dims[:s.rank] {
			d.shape = append(d.shape, int(n))
		}
		ids := format.Tensor{Name: v.Name, DType: v.DType, Shape: d.shape, Data: unsafe.Slice((*byte)(s.data), s.bytes)}
		if err := ids.CheckRange(0, limit-1); err != nil {
			return err
		}
	}
	return nil
}

func (d *running) run(replay int) error {
	err := statusError(C.attnx_run(d.c, C.int64_t(replay)))
	if err == nil {
		return nil
	}
	if i := int(d.c.failed); i >= 0 {
		return fmt.Errorf("%s: %s: %w", d.name, d.slotName(i), runError(err))
	}
	return fmt.Errorf("%s: %w", d.name, runError(err))
}

// slotName returns `input "x"` or `output "y"`.
func (d *running) slotName(i int) string {
	if n := len(d.takes.Inputs); i >= n {
		return fmt.Sprintf("output %.80q", d.takes.Outputs[i-n].Name)
	}
	return fmt.Sprintf("input %.80q", d.takes.Inputs[i].Name)
}

// bound returns a hash of the addresses and shapes of all bindings (FNV-1a over
// words).
func (d *running) bound() uint64 {
	h := uint64(14695981039346656037)
	add := func(x uint64) { h = (h ^ x) * 1099511628211 }
	for i := range d.slots {
		s := &d.slots[i]
		add(uint64(uintptr(s.data)))
		for _, n := range s.dims[:s.rank] {
			add(uint64(n))
		}
	}
	return h
}

// Close frees the model and the memory. A second Close does nothing.
func (d *Device) Close() error {
	if d.c == nil {
		return nil
	}
	defer goruntime.KeepAlive(d)
	d.guard.Closed()
	d.free(false)
	return nil
}

// free frees the model and the memory. For a dropped device it keeps memory
// whose Bytes were handed out: slices of it may be in use.
func (d *running) free(dropped bool) {
	if d.thread != nil {
		d.thread.stop()
	}
	for _, b := range d.memory {
		if !dropped || !b.shown {
			d.release(b)
		}
	}
	d.memory = nil
	C.attnx_close(d.c)
	d.takeBack()
	for i := range d.slots {
		C.free(unsafe.Pointer(d.slots[i].name))
	}
	C.free(unsafe.Pointer(d.c.slots))
	C.free(unsafe.Pointer(d.c))
	d.c, d.slots = nil, nil
	if d.gpu != nil {
		d.gpu.close()
	}
}

// statusError converts s to an error and releases it; nil means success.
func statusError(s *C.OrtStatus) error {
	if s == nil {
		return nil
	}
	defer C.attnx_status_release(s)
	return errors.New(C.GoString(C.attnx_message(s)))
}
