//go:build cgo

package ort

// #include "gpu.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// gpu copies to and from one GPU.
type gpu struct {
	number  int
	context unsafe.Pointer
}

// openGPU is called with loading locked, so that first calls do not overlap.
func openGPU(number int) (*gpu, error) {
	g := &gpu{number: number}
	if err := driverError(C.attnx_driver_open(C.int(number), &g.context)); err != nil {
		return nil, err
	}
	return g, nil
}

func (g *gpu) close() { C.attnx_driver_close(C.int(g.number)) }

func (g *gpu) write(to unsafe.Pointer, src []byte) error {
	return driverError(C.attnx_driver_write(g.context, to, unsafe.Pointer(&src[0]), C.size_t(len(src))))
}

func (g *gpu) read(dst []byte, from unsafe.Pointer) error {
	return driverError(C.attnx_driver_read(g.context, unsafe.Pointer(&dst[0]), from, C.size_t(len(dst))))
}

func (g *gpu) zero(to unsafe.Pointer, n int) error {
	return driverError(C.attnx_driver_zero(g.context, to, C.size_t(n)))
}

// driverError converts a result of the driver to an error in the words of ONNX
// Runtime. The numbers are the same, so one table classifies both.
func driverError(r C.attnx_result) error {
	switch r {
	case 0:
		return nil
	case C.ATTNX_NO_DRIVER:
		return &CUDAError{Missing: MissingDriver, Detail: C.GoString(C.attnx_driver_text(r)), Remedy: MissingDriver.Remedy()}
	}
	return runError(fmt.Errorf("CUDA failure %d: %s", int(r), C.GoString(C.attnx_driver_text(r))))
}
