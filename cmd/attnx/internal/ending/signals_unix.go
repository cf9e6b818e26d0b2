//go:build unix

package ending

import (
	"os"
	"syscall"
)

// batchSignals are sent by batch queues shortly before they kill a job (Slurm's
// --signal, Grid Engine's -notify, a CPU time limit).
var batchSignals = []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGXCPU}
