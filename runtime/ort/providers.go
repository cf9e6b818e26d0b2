//go:build cgo

package ort

// #include <stdlib.h>
// #include "device.h"
import "C"

import (
	"fmt"
	goruntime "runtime"
	"strings"
	"unsafe"
)

// Assignments returns the execution provider of each node, as ONNX Runtime
// chose it after its basic optimizations and before fusions.
func (d *Device) Assignments() ([]Assignment, error) {
	if d.c == nil {
		return nil, d.closed()
	}
	defer goruntime.KeepAlive(d)
	var text *C.char
	var n C.size_t
	err := statusError(C.attnx_assignment(d.c, &text, &n))
	defer C.free(unsafe.Pointer(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.name, runError(err))
	}
	fields := strings.Split(C.GoStringN(text, C.int(n)), "\x00")
	var all []Assignment
	for ; len(fields) > 4; fields = fields[4:] { // the rest after the last zero is not a field
		all = append(all, Assignment{Provider: fields[0], Domain: fields[1], Op: fields[2], Node: fields[3]})
	}
	return all, nil
}

// providers returns the execution providers of the library and the sentence
// that describes its build. explicit is as in Find.
func providers(explicit string) (names []string, build string, err error) {
	if _, err := loadTable(explicit, "auto"); err != nil {
		return nil, "", err
	}
	var list **C.char
	var n C.int
	if err := statusError(C.attnx_providers(&list, &n)); err != nil {
		return nil, "", runError(err)
	}
	defer C.attnx_providers_release(list, n)
	for _, name := range unsafe.Slice(list, int(n)) {
		names = append(names, C.GoString(name))
	}
	return names, C.GoString(C.attnx_build()), nil
}
