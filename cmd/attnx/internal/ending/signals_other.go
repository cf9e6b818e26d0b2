//go:build !unix

package ending

import "os"

// batchSignals are those of batch queues; there are none here.
var batchSignals []os.Signal
