//go:build !unix

package ending

import "os"

// batchSignals are the signals of batch queues; this system has none.
var batchSignals []os.Signal
