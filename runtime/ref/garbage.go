package ref

import "runtime"

// garbageLimit is how many bytes of values that nothing needs any more may gather before
// they are collected.
const garbageLimit = 32 << 20

// garbage counts the bytes of dropped values. Left to itself, Go's collector lets them
// grow to as much as all that is in use: a model's weights and its largest values.
type garbage struct{ bytes int }

// drop counts a value, with its copies, that was held until now.
func (g *garbage) drop(all ...array) {
	for _, a := range all {
		g.bytes += 8*(len(a.f)+len(a.i)) + len(a.b)
	}
	if g.bytes >= garbageLimit {
		g.bytes = 0
		runtime.GC()
	}
}
