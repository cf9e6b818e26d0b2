//go:build cgo

package ort

// #include <stdlib.h>
// #include "device.h"
import "C"

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/attnx/attnx/format"
)

// leastWeight is the size in bytes from which ONNX Runtime takes a weight apart from
// the model: it infers shapes from smaller ones.
const leastWeight = 128

// lend describes the weights to C. Their memory stays where it is until the device is
// closed: ONNX Runtime does not tell which weights it has brought into a form of its
// own, and reads no more.
func (d *running) lend(weights []format.Tensor) error {
	if len(weights) == 0 {
		return nil
	}
	d.c.weights = (*C.attnx_weight)(zeroed(len(weights) * C.sizeof_attnx_weight))
	d.c.given = C.size_t(len(weights))
	all := unsafe.Slice(d.c.weights, len(weights))
	for i, t := range weights {
		if err := t.Check(); err != nil {
			return err
		}
		if len(t.Data) < leastWeight || len(t.Shape) > C.ATTNX_MAX_RANK {
			return fmt.Errorf("weight %.80q of %d bytes and shape %v: it must be in the model", t.Name, len(t.Data), slices.Clone(t.Shape))
		}
		if uintptr(unsafe.Pointer(&t.Data[0]))%uintptr(t.DType.Size()) != 0 {
			t.Data = slices.Clone(t.Data) // ONNX Runtime requires aligned elements
		}
		d.pins.Pin(&t.Data[0])
		w := &all[i]
		w.name, w._type, w.rank = C.CString(t.Name), C.int(elementNumber(t.DType)), C.int(len(t.Shape))
		for k, n := range t.Shape {
			w.dims[k] = C.int64_t(n)
		}
		w.data, w.bytes = unsafe.Pointer(&t.Data[0]), C.size_t(len(t.Data))
	}
	return nil
}

// takeBack ends the loan of the weights, once C is closed.
func (d *running) takeBack() {
	d.pins.Unpin()
	for _, w := range unsafe.Slice(d.c.weights, int(d.c.given)) {
		C.free(unsafe.Pointer(w.name))
	}
	C.free(unsafe.Pointer(d.c.weights))
	d.c.weights, d.c.given = nil, 0
}
