//go:build cgo && !windows

package ort

// #include "api.h"
import "C"

import (
	"fmt"
	"strings"
)

// nativePath converts path to ONNX Runtime's form on this system. The caller
// frees it with C.free.
func nativePath(path string) (*C.attnx_char, error) {
	if strings.ContainsRune(path, 0) {
		return nil, fmt.Errorf("the path %.80q has a zero byte", path)
	}
	return (*C.attnx_char)(C.CString(path)), nil
}
