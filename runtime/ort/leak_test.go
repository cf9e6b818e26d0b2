//go:build cgo && linux

package ort

import (
	"fmt"
	"os"
	"testing"
)

// resident returns the bytes of this process that are in memory.
func resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	ok(t, err)
	var total, pages int
	_, err = fmt.Sscan(string(text), &total, &pages)
	ok(t, err)
	return pages * os.Getpagesize()
}

// TestDeviceLeaks binds anew for every run, as the decode loop does, and opens
// and closes: what is C's no collector frees. A tensor that is not released is
// some 100 bytes, 12 MB in the end, and a session 100 kB.
func TestDeviceLeaks(t *testing.T) {
	d := onDevice(t, identity(protoFloat), Options{Threads: 1})
	m := alloc(t, d, 256)
	steps := func(n int) {
		for i := range n {
			at := 64 * (i % 2)
			ok(t, d.BindInput(0, m, at, []int{4}), d.BindOutput(0, m, 128+at, []int{4}), d.Run(0))
			for s := range d.slots {
				if d.slots[s].dirty != 0 {
					t.Fatal("what is bound would be bound again")
				}
			}
		}
	}
	opens := func(n int) {
		for range n {
			d, err := OpenDeviceBytes(cacheModel().bytes(), Options{Threads: 1})
			ok(t, err)
			_, err = d.Assignments()
			ok(t, err)
			ok(t, d.Close())
		}
	}
	for name, f := range map[string]func(n int){"steps": func(n int) { steps(600 * n) }, "opens": opens} {
		f(100) // the first ones fill caches
		before := resident(t)
		f(100)
		if grown := resident(t) - before; grown > 4<<20 {
			t.Errorf("%s: %d bytes more", name, grown)
		}
	}
}
