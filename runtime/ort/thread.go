//go:build cgo

package ort

import goruntime "runtime"

// thread makes all runs of a device on one system thread. The CUDA provider
// keeps recorded graphs per thread. A goroutine that moved to another thread
// would record each of them again.
type thread struct {
	replays chan int
	results chan error
}

func newThread(run func(replay int) error) *thread {
	t := &thread{make(chan int), make(chan error)}
	go func() {
		goruntime.LockOSThread()
		defer goruntime.UnlockOSThread()
		for replay := range t.replays {
			t.results <- run(replay)
		}
	}()
	return t
}

func (t *thread) run(replay int) error {
	t.replays <- replay
	return <-t.results
}

func (t *thread) stop() { close(t.replays) }
