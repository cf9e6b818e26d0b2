//go:build cgo

package ort

// #include <stdlib.h>
// #include "device.h"
import "C"

import (
	"fmt"
	goruntime "runtime"
	"unsafe"

	"github.com/attnx/attnx/runtime"
)

// memory is a block of a device's memory, as users hold it.
type memory struct {
	device *Device
	*block
}

// block is the block itself: C memory on the CPU, memory of the session's arena
// on a GPU.
type block struct {
	base  unsafe.Pointer // aligned start; nil once freed
	whole unsafe.Pointer // the allocation that contains base
	size  int
	shown bool // Bytes was called
}

// alignment is the size of a cache line, and of a processor's widest vector.
const alignment = 64

// Bytes returns the memory itself on the CPU. It is nil on a GPU and after the
// device is closed. The slice must not be used after Close.
func (m *memory) Bytes() []byte {
	if m.base == nil || m.device.gpu != nil {
		return nil
	}
	m.shown = true
	return m.bytes()
}

// Size is the size in bytes.
func (m *memory) Size() int { return m.size }

func (b *block) bytes() []byte { return unsafe.Slice((*byte)(b.base), b.size) }

func (d *running) release(b *block) {
	if d.gpu != nil {
		C.attnx_free(d.c, b.whole)
	} else {
		C.free(b.whole)
	}
	b.base, b.whole = nil, nil
}

// Alloc returns n zeroed bytes of the device's memory. On the CPU this is C
// memory, whose pages the system zeroes at first access. On a GPU it is memory
// of the session's arena, counted by CUDAOptions.MemoryLimit, and the driver
// zeroes it before Alloc returns. Running out of memory is a *DeviceError.
func (d *Device) Alloc(n int) (runtime.Memory, error) {
	if d.c == nil {
		return nil, d.closed()
	}
	if n < 0 {
		return nil, fmt.Errorf("%s: %d bytes of memory", d.name, n)
	}
	defer goruntime.KeepAlive(d)
	m := &memory{device: d, block: &block{size: n}}
	if d.gpu != nil {
		// An empty tensor needs an address too.
		if err := statusError(C.attnx_alloc(d.c, C.size_t(max(n, 1)), &m.whole)); err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, runError(err))
		}
		if m.whole == nil {
			return nil, d.outOfMemory(n)
		}
		m.base = m.whole
		if err := d.gpu.zero(m.base, n); err != nil {
			d.release(m.block)
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
	} else {
		m.whole = C.calloc(C.size_t(n)+alignment, 1)
		if m.whole == nil {
			return nil, d.outOfMemory(n)
		}
		m.base = unsafe.Add(m.whole, alignment-uintptr(m.whole)%alignment)
	}
	d.memory = append(d.memory, m.block)
	return m, nil
}

func (d *Device) outOfMemory(n int) error {
	return fmt.Errorf("%s: %w", d.name, &DeviceError{OutOfMemory, fmt.Sprintf("%d bytes cannot be had", n), remedyMemory})
}

// Write copies src into m from offset on.
func (d *Device) Write(m runtime.Memory, offset int, src []byte) error {
	defer goruntime.KeepAlive(d)
	own, err := d.span(m, offset, len(src))
	if err != nil || len(src) == 0 {
		return err
	}
	if d.gpu != nil {
		if err := d.gpu.write(unsafe.Add(own.base, offset), src); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		return nil
	}
	copy(own.bytes()[offset:], src)
	return nil
}

// Read fills dst from m, from offset on.
func (d *Device) Read(m runtime.Memory, offset int, dst []byte) error {
	defer goruntime.KeepAlive(d)
	own, err := d.span(m, offset, len(dst))
	if err != nil || len(dst) == 0 {
		return err
	}
	if d.gpu != nil {
		if err := d.gpu.read(dst, unsafe.Add(own.base, offset)); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		return nil
	}
	copy(dst, own.bytes()[offset:])
	return nil
}

// span checks that m is d's and has n bytes from offset on.
func (d *Device) span(m runtime.Memory, offset, n int) (*memory, error) {
	if d.c == nil {
		return nil, d.closed()
	}
	own, ok := m.(*memory)
	if !ok || own == nil || own.device != d {
		return nil, fmt.Errorf("%s: the memory is not from this device's Alloc", d.name)
	}
	if offset < 0 || offset > own.size || n > own.size-offset {
		return nil, fmt.Errorf("%s: %d bytes from byte %d on in a memory of %d bytes", d.name, n, offset, own.size)
	}
	return own, nil
}
