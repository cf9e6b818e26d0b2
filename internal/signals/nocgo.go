//go:build !cgo

package signals

// Keep calls f. A program without cgo loads no libraries.
func Keep(f func() error) (changed int, err error) { return 0, f() }
