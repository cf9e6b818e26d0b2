//go:build cgo

package openvino

// #include <stdlib.h>
// #include "api.h"
import "C"

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/leak"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/declared"
)

var _ runtime.Session = (*Session)(nil)

// Session runs one model in OpenVINO. Several goroutines may use it; their runs
// are serialized. If a session is dropped without Close, the garbage collector
// frees it.
type Session struct {
	mu sync.Mutex
	*held
	guard leak.Guard
	name  string // of the model, for errors
	takes declared.Signature
}

// held is the part of a Session outside Go's heap. It does not refer to the
// Session, so that it can be freed once the Session is unreachable.
type held struct {
	c     C.attnx_ov
	names []*C.char // of the inputs; nil for one that OpenVINO has dropped
	open  bool
}

func (h *held) free() {
	for _, name := range h.names {
		C.free(unsafe.Pointer(name))
	}
	if h.open {
		C.attnx_ov_close(&h.c)
	}
	h.names, h.open = nil, false
}

// nameless is the name of a model given as bytes in errors.
const nameless = "model"

// Open opens a session on an ONNX file. Weights in sibling files are read from
// its folder; a model given as bytes must contain all of its weights. If the
// library is missing, the error matches runtime.ErrUnavailable.
func Open(f runtime.File, o Options) (*Session, error) {
	s := &Session{held: &held{}, name: nameless}
	var err error
	if f.Path != "" {
		s.name = f.Path
		s.takes, err = declared.ReadFile(f.Path, refuse)
	} else if s.takes, err = declared.Read(bytes.NewReader(f.Data), int64(len(f.Data)), refuse); err != nil {
		err = fmt.Errorf("%s: %w", nameless, err)
	}
	if err != nil {
		return nil, err
	}
	s.takes.Foreign = o.Foreign
	if _, _, err := load(o.Library); err != nil {
		return nil, err
	}
	if err := s.compile(f, o); err != nil {
		s.free()
		if o.Foreign { // it takes a part of ONNX, and the file may be right
			return nil, &runtime.UnavailableError{Runtime: name, Reason: "it does not open the file: " + err.Error(), Remedy: "take another runtime"}
		}
		return nil, fmt.Errorf("%s: openvino: %w", s.name, err)
	}
	h := s.held
	s.guard = leak.Watch(s, "the OpenVINO session of "+s.name, h.free)
	return s, nil
}

// compile reads and compiles the model, and finds its inputs.
func (s *Session) compile(f runtime.File, o Options) error {
	var path *C.char
	var data unsafe.Pointer
	switch {
	case strings.ContainsRune(f.Path, 0):
		return fmt.Errorf("the path has a zero byte")
	case f.Path != "":
		path = C.CString(f.Path)
		defer C.free(unsafe.Pointer(path))
	case len(f.Data) > 0:
		data = unsafe.Pointer(&f.Data[0])
	}
	properties := o.properties()
	arguments := make([]*C.char, len(properties))
	for i, p := range properties {
		arguments[i] = C.CString(p)
		defer C.free(unsafe.Pointer(arguments[i]))
	}
	if err := message(C.attnx_ov_open(path, data, C.size_t(len(f.Data)), &arguments[0], C.size_t(len(arguments)), &s.c)); err != nil {
		return err
	}
	s.open = true
	if n := int(s.c.outputs); n != len(s.takes.Outputs) {
		return fmt.Errorf("it has %d outputs, the file declares %d", n, len(s.takes.Outputs))
	}
	found := 0
	for _, in := range s.takes.Inputs {
		name := C.CString(in.Name)
		if C.attnx_ov_has(&s.c, name) == 0 {
			C.free(unsafe.Pointer(name))
			name = nil
		} else {
			found++
		}
		s.names = append(s.names, name)
	}
	if n := int(s.c.inputs); n != found {
		return fmt.Errorf("it has %d inputs, of which the file declares %d", n, found)
	}
	return nil
}

// Run computes every output from the inputs, given by name, which must have the
// declared types and shapes. An id outside the table in which the model looks it
// up is a *format.RangeError. The returned tensors are copies.
func (s *Session) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return nil, fmt.Errorf("%s: the session is closed", s.name)
	}
	_, err := s.takes.Bind(inputs)
	if err == nil {
		err = s.takes.CheckIDs(inputs)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	for i, v := range s.takes.Inputs {
		if s.names[i] == nil {
			continue
		}
		if err := s.set(s.names[i], inputs[v.Name]); err != nil {
			return nil, fmt.Errorf("%s: input %.80q: openvino: %w", s.name, v.Name, err)
		}
	}
	if err := message(C.attnx_ov_infer(&s.c)); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, runtime.RunFailed("openvino", err.Error(), s.takes.Ordered(inputs)))
	}
	outputs := make(map[string]format.Tensor, len(s.takes.Outputs))
	for i, v := range s.takes.Outputs {
		t, err := s.get(i, v)
		if err != nil {
			return nil, fmt.Errorf("%s: output %.80q: openvino: %w", s.name, v.Name, err)
		}
		outputs[v.Name] = t
	}
	return outputs, nil
}

// set copies a tensor to the input of a name.
func (s *Session) set(name *C.char, t format.Tensor) error {
	element := slices.Index(elements[:], t.DType)
	if element < 0 {
		return fmt.Errorf("it has no type %s", t.DType)
	}
	dims := make([]C.int64_t, max(1, len(t.Shape)))
	for d, n := range t.Shape {
		dims[d] = C.int64_t(n)
	}
	var data unsafe.Pointer
	if len(t.Data) > 0 {
		data = unsafe.Pointer(&t.Data[0])
	}
	return message(C.attnx_ov_input(&s.c, name, C.int(element), C.int64_t(len(t.Shape)), &dims[0], data, C.size_t(len(t.Data))))
}

// get returns a copy of output i.
func (s *Session) get(i int, want runtime.Value) (format.Tensor, error) {
	var element C.int
	var rank C.int64_t
	var dims [16]C.int64_t
	var data unsafe.Pointer
	var n C.size_t
	if err := message(C.attnx_ov_output(&s.c, C.size_t(i), &element, &rank, &dims[0], &data, &n)); err != nil {
		return format.Tensor{}, err
	}
	t := format.Tensor{Name: want.Name, Shape: make([]int, rank), Data: []byte{}}
	for d := range t.Shape {
		t.Shape[d] = int(dims[d])
	}
	if int(element) < len(elements) {
		t.DType = elements[element]
	}
	if t.DType != want.DType {
		return t, fmt.Errorf("it gives the type %d of its own (%s), the file declares %s", element, t.DType, want.DType)
	}
	if n > 0 {
		t.Data = slices.Clone(unsafe.Slice((*byte)(data), int(n)))
	}
	return t, t.Check()
}

// elements maps the numbers of ov_element_type_e to types. Types without a
// counterpart are Invalid.
var elements = [...]format.DType{
	1: format.Bool, 2: format.BFloat16, 3: format.Float16, 4: format.Float32, 5: format.Float64,
	7: format.Int8, 8: format.Int16, 9: format.Int32, 10: format.Int64,
	16: format.Uint8, 17: format.Uint16, 18: format.Uint32, 19: format.Uint64,
}

// Close frees the model. A second Close does nothing.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		s.guard.Closed()
		s.free()
	}
	return nil
}

// refuse returns an error for a node that would crash OpenVINO.
func refuse(declared.Node) error { return nil }
