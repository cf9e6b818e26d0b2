//go:build cgo

package ort

// #include <stdlib.h>
// #include "device.h"
import "C"

import (
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/leak"
	"github.com/attnx/attnx/internal/signals"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/declared"
	"github.com/attnx/attnx/runtime/ort/library"
)

// OpenDevice opens the ONNX file at path on a device. Weights in sibling files
// are read from its folder. If the library is missing, or with Device "cuda" a
// part of CUDA, the error matches runtime.ErrUnavailable.
func OpenDevice(path string, o Options) (*Device, error) {
	takes, err := declaredIn(path)
	if err != nil {
		return nil, err
	}
	return openDevice(path, takes, o, path, nil)
}

// OpenDeviceBytes opens the bytes of an ONNX file that contains all of its
// weights. The bytes are not used after it returns.
func OpenDeviceBytes(model []byte, o Options) (*Device, error) {
	takes, err := declaredBytes(model)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", nameless, err)
	}
	return openDevice(nameless, takes, o, "", model)
}

// OpenDeviceLent is OpenDeviceBytes for a model that says of some initializers that
// they are in another file: weights has these, each of at least 128 bytes. ONNX
// Runtime reads them where they are, without a copy, so they must not be changed
// until the device is closed.
func OpenDeviceLent(model []byte, weights []format.Tensor, o Options) (*Device, error) {
	o.weights = weights
	return OpenDeviceBytes(model, o)
}

// bindable returns why a model with these inputs and outputs cannot run on memory
// that the caller binds.
func bindable(s declared.Signature) error {
	for _, v := range s.Outputs {
		if slices.ContainsFunc(s.Inputs, func(in runtime.Value) bool { return in.Name == v.Name }) {
			// ONNX Runtime returns the input itself and, without an error, leaves the
			// output's memory unwritten.
			return fmt.Errorf("%.80q is an input and an output: not supported; have an Identity between them", v.Name)
		}
	}
	return nil
}

// openDevice opens the model at path, or the bytes in model if path is empty.
func openDevice(name string, takes declared.Signature, o Options, path string, model []byte) (*Device, error) {
	if err := bindable(takes); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return openWith(name, takes, o, path, model)
}

// openWith is openDevice for the given inputs and outputs of the model.
func openWith(name string, takes declared.Signature, o Options, path string, model []byte) (*Device, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	version, err := loadTable(o.Library, o.Device)
	if err != nil {
		return nil, err
	}
	var noCUDA error
	if o.Device == "cuda" || o.Device == "auto" {
		var d *Device
		_, err := signals.Keep(func() (err error) {
			d, err = newDevice("cuda", name, takes, o, path, model)
			return err
		})
		if err == nil {
			d.version = version
			return d, nil
		}
		if noCUDA = cudaError(err); o.Device == "cuda" {
			return nil, fmt.Errorf("%s: %w", name, noCUDA)
		}
	}
	d, err := newDevice("cpu", name, takes, o, path, model)
	if err != nil {
		if e := missingKernel(err); e != nil {
			return nil, fmt.Errorf("%s: %w", name, e)
		}
		return nil, fmt.Errorf("%s: %w", name, runError(err))
	}
	d.version, d.noCUDA = version, noCUDA
	return d, nil
}

// loading is locked while C looks up functions of the library and the driver.
var loading sync.Mutex

// loadTable loads the library and gets its function table.
func loadTable(explicit, device string) (version string, err error) {
	lib, version, err := load(explicit, device)
	if err != nil {
		return "", err
	}
	path, err := nativePath(lib.Path)
	if err != nil {
		return "", err
	}
	defer C.free(unsafe.Pointer(path))
	loading.Lock()
	defer loading.Unlock()
	if wrong := C.attnx_load(path); wrong != nil {
		return "", &runtime.UnavailableError{Runtime: "ort-cpu", Reason: lib.Path + ": " + C.GoString(wrong), Remedy: library.InstallRemedy}
	}
	return version, nil
}

// newDevice opens a model on "cpu" or "cuda" only.
func newDevice(device, name string, takes declared.Signature, o Options, path string, model []byte) (*Device, error) {
	d := &Device{running: &running{
		c:      (*C.attnx_device)(zeroed(C.sizeof_attnx_device)),
		name:   name,
		takes:  takes,
		device: device,
	}}
	held := d.running
	d.guard = leak.Watch(d, "the ONNX Runtime device of "+name, func() { held.free(true) })
	n := len(takes.Inputs) + len(takes.Outputs)
	d.c.inputs, d.c.outputs, d.c.failed = C.int(len(takes.Inputs)), C.int(len(takes.Outputs)), -1
	d.c.slots = (*C.attnx_slot)(zeroed(n * C.sizeof_attnx_slot))
	d.slots = unsafe.Slice(d.c.slots, n)
	for i, v := range append(d.Inputs(), takes.Outputs...) {
		d.slots[i].name, d.slots[i]._type = C.CString(v.Name), C.int(elementNumber(v.DType))
	}
	if device == "cuda" && o.CUDA.Graphs {
		d.c.graphs = 1
	}
	if err := d.open(o, path, model); err != nil {
		d.Close()
		return nil, err
	}
	if d.c.graphs == 0 {
		return d, nil
	}
	for i := range takes.Inputs {
		if d.slots[i].host != 0 {
			d.Close()
			return nil, &CUDAError{Missing: MissingKernel, Detail: fmt.Sprintf("input %.80q is read on the host, so a CUDA graph would not see it change", takes.Inputs[i].Name), Remedy: remedyGraphs}
		}
	}
	d.replays = make(map[int]uint64)
	d.thread = newThread(d.running.run)
	return d, nil
}

// open creates d's session.
func (d *running) open(o Options, path string, model []byte) error {
	var held cMemory
	defer held.free()
	s := (*C.attnx_settings)(held.zeroed(C.sizeof_attnx_settings))
	var err error
	if path != "" {
		if s.path, err = nativePath(path); err != nil {
			return err
		}
		held = append(held, unsafe.Pointer(s.path))
	}
	if o.Profile != "" {
		if s.profile, err = nativePath(o.Profile); err != nil {
			return err
		}
		held = append(held, unsafe.Pointer(s.profile))
	}
	s.level, s.threads = C.int(levels[o.Optimization]), C.int(o.Threads)
	entries := o.entries(d.device)
	entries["session.record_ep_graph_assignment_info"] = "1" // records what Assignments returns
	s.entry_keys, s.entry_values, s.entries = held.pairs(entries)
	if d.device == "cuda" {
		s.cuda, s.device_id = 1, C.int(o.CUDA.DeviceID)
		s.cuda_keys, s.cuda_values, s.cuda_options = held.pairs(o.CUDA.provider())
	}
	if err := d.lend(o.weights); err != nil {
		return err
	}
	if err := statusError(C.attnx_open(d.c, s, unsafe.Pointer(unsafe.SliceData(model)), C.size_t(len(model)))); err != nil {
		return err
	}
	if d.device == "cuda" {
		loading.Lock()
		defer loading.Unlock()
		d.gpu, err = openGPU(o.CUDA.DeviceID)
	}
	return err
}

// zeroed returns n zeroed bytes of C memory. C.malloc never returns nil.
func zeroed(n int) unsafe.Pointer {
	p := C.malloc(C.size_t(n))
	clear(unsafe.Slice((*byte)(p), n))
	return p
}

// cMemory is C memory to be freed together.
type cMemory []unsafe.Pointer

func (h *cMemory) zeroed(n int) unsafe.Pointer {
	p := zeroed(n)
	*h = append(*h, p)
	return p
}

func (h *cMemory) free() {
	for _, p := range *h {
		C.free(p)
	}
}

// pairs converts m to two arrays of strings.
func (h *cMemory) pairs(m map[string]string) (keys, values **C.char, n C.size_t) {
	const pointer = int(unsafe.Sizeof((*C.char)(nil)))
	size := (len(m) + 1) * pointer
	keys, values = (**C.char)(h.zeroed(size)), (**C.char)(h.zeroed(size))
	k, v := unsafe.Slice(keys, len(m)), unsafe.Slice(values, len(m))
	for key, value := range m {
		k[n], v[n] = C.CString(key), C.CString(value)
		*h = append(*h, unsafe.Pointer(k[n]), unsafe.Pointer(v[n]))
		n++
	}
	return keys, values, n
}
