package ref

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// parallel calls f for every i from 0 to n-1, on all processors. Each i writes
// its own part of the result, so the result does not depend on their number.
func parallel(n int, f func(i int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	if workers == 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	done.Wait()
}

// inParts calls f for parts of 0 to n-1, on all processors. Each element takes about
// the given number of steps.
func inParts(n, steps int, f func(from, to int)) {
	part := max(1, 1<<14/max(1, steps))
	if n <= part {
		f(0, n)
		return
	}
	parallel((n+part-1)/part, func(i int) { f(i*part, min((i+1)*part, n)) })
}

// inLines is inParts for a function of one element.
func inLines(n, steps int, f func(i int)) {
	inParts(n, steps, func(from, to int) {
		for i := from; i < to; i++ {
			f(i)
		}
	})
}
