//go:build cgo

package ort

// #include <stdlib.h>
// #include "api.h"
import "C"

import (
	"fmt"
	"syscall"
	"unsafe"
)

// nativePath converts path to ONNX Runtime's form on this system. The caller
// frees it with C.free.
func nativePath(path string) (*C.attnx_char, error) {
	wide, err := syscall.UTF16FromString(path)
	if err != nil {
		return nil, fmt.Errorf("the path %.80q has a zero byte", path)
	}
	p := C.malloc(C.size_t(2 * len(wide)))
	copy(unsafe.Slice((*uint16)(p), len(wide)), wide)
	return (*C.attnx_char)(p), nil
}
