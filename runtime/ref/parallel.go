package ref

import (
	"runtime"
	"sync"
)

// parallel calls f for every i from 0 to n-1, on all processors. Each i writes
// its own part of the result, so the result does not depend on their number.
func parallel(n int, f func(i int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	var done sync.WaitGroup
	for w := range workers {
		done.Go(func() {
			for i := n * w / workers; i < n*(w+1)/workers; i++ {
				f(i)
			}
		})
	}
	done.Wait()
}
