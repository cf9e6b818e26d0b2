package gorgonia

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// blocks returns how many blocks of the given size cover n.
func blocks(n, size int) int { return (n + size - 1) / size }

// blockOf returns where block i starts and ends.
func blockOf(n, size, i int) (from, to int) { return i * size, min((i+1)*size, n) }

// blasParallel calls f with 0 to n-1, on as many cores as Go may use, and
// returns after all calls. The calls must not depend on each other, nor their
// division on the number of cores. A panic in f reaches the caller.
func blasParallel(n int, f func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	run := &parallelRun{n: n, f: f}
	run.wait.Add(workers)
	for range workers - 1 {
		go run.work()
	}
	run.work()
	run.wait.Wait()
	if r := run.failed.Load(); r != nil {
		panic(*r)
	}
}

// parallelRun is one call of blasParallel.
type parallelRun struct {
	n      int
	f      func(i int)
	next   atomic.Int64
	wait   sync.WaitGroup
	failed atomic.Pointer[any]
}

// work makes calls until none is left.
func (p *parallelRun) work() {
	defer p.wait.Done()
	defer func() {
		if r := recover(); r != nil {
			p.failed.Store(&r)
		}
	}()
	for i := int(p.next.Add(1)) - 1; i < p.n; i = int(p.next.Add(1)) - 1 {
		p.f(i)
	}
}
